"""The interface: quarantine, runs and undo, the journal, rules, the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import Http404, HttpRequest
from ninja import Schema
from pydantic import Field

from koppel.engine.runner import Engine
from koppel.errors import NeedsUser
from koppel.store.codec import decode
from koppel.store.models import Journal, Quarantine, Run
from koppel.sync.rule import Side
from koppel.web import rulebook
from koppel.web.api import RunOut, run_told
from koppel.web.api_base import (
    SILENT,
    Id,
    Limit,
    Moment,
    Number,
    Text,
    api,
    done,
    entities_of,
    may,
    page,
    plain,
    since,
    user_of,
)
from koppel.web.service import current

LARGEST_RULE = 100_000
"""Characters of a rule."""

SideName = Literal["crm", "erp"]


class StuckOut(Schema):
    """A record that failed with an error that does not pass by itself."""

    number: int
    entity: str
    side: str
    record: str
    coupling: str
    label: str
    reason: str
    remedy: str
    failures: int
    at: datetime


class Stuck(Schema):
    """A page."""

    items: list[StuckOut]
    next: int | None


class EntryOut(Schema):
    """One write: what, where, when, and each field with its old and new value."""

    number: int
    run: int
    entity: str
    coupling: str
    side: str
    record: str
    state: str
    message: str
    at: datetime
    changes: list[dict[str, Any]]


class Entries(Schema):
    """A page, the newest first; `next` goes into `before`."""

    items: list[EntryOut]
    next: int | None


class RuleOut(Schema):
    """The live rule of an entity."""

    entity: str
    version: int
    author: str
    text: str


class Rules(Schema):
    """All of them; there are few."""

    items: list[RuleOut]
    next: None = None


class RuleIn(Schema):
    """A rule as its document has it."""

    text: str = Field(max_length=LARGEST_RULE)


class EffectOut(Schema):
    """One thing that a changed rule would do: mostly, write a field of a record.

    `kind`: write, sleep, wake, couple, ask, create, stay; without a coupling, `record` is its id.
    """

    kind: str
    coupling: str
    record: str
    label: str
    field: str
    side: str
    old: Any = None
    new: Any = None
    at_once: bool


class PreviewOut(Schema):
    """What a changed rule would do; with faults it cannot be saved."""

    faults: list[str]
    changed: list[str]
    effects: list[EffectOut]
    more: int


class LineOut(Schema):
    """A line of the audit log."""

    number: int
    at: datetime
    user: str
    action: str
    subject: str
    detail: dict[str, Any]
    digest: str


class AuditLines(Schema):
    """A page, the newest first; `next` goes into `before`."""

    items: list[LineOut]
    next: int | None


class Work(Schema):
    """What is to be run: everything, or some entities; with `only_plan` nothing is written."""

    entities: list[str] = Field(default=[], max_length=20)
    only_plan: bool = False


# quarantine


@api.get("/quarantine", response=Stuck, operation_id="quarantine")
def quarantine(
    request: HttpRequest,
    entity: Text = "",
    side: Text = "",
    after: Number = 0,
    limit: Limit = 50,
) -> Any:
    """Records that failed with an error that does not pass by itself."""
    rows = Quarantine.objects.filter(
        state="open", entity__in=entities_of(request, "view", entity), id__gt=after
    )
    if side:
        rows = rows.filter(side=side)
    found, last = page(list(rows.order_by("id")[: limit + 1]), limit)
    names = ("entity", "side", "record", "coupling", "label", "reason", "remedy", "failures", "at")
    return {
        "items": [{"number": r.id, **{n: getattr(r, n) for n in names}} for r in found],
        "next": last.id if last else None,
    }


@api.post("/quarantine/{number}/release", response={204: None}, operation_id="release")
def release(request: HttpRequest, number: Id) -> Any:
    """Try a record of the quarantine again, now."""
    row = Quarantine.objects.filter(id=number, state="open").first()
    if row is None:
        raise Http404
    may(request, "decide", row.entity)
    side: Side = "crm" if row.side == "crm" else "erp"
    store = current().store
    store.inbox.release(row.id)
    store.audit_log.write(user_of(request), "release", f"{row.entity} {row.side} {row.record}")
    current().watch.hint(row.entity, side, row.record)
    return SILENT


# runs


def _run(number: int) -> Run:
    row = Run.objects.filter(id=number).first()
    if row is None:
        raise Http404
    return row


@api.post("/runs", response=RunOut, operation_id="run_now")
def run_now(request: HttpRequest, work: Work) -> Any:
    """Bring everything into step now, or only plan it."""
    may(request, "approve")
    user, entities = user_of(request), list(work.entities)
    known = current().store.documents.names("rule")
    for entity in entities:
        if entity not in known:
            raise NeedsUser(f"no rule is about '{entity}'", remedy=f"There are: {', '.join(known)}")
        may(request, "approve", entity)

    def carry_out(engine: Engine) -> Run:
        if work.only_plan:
            return engine.plan(entities or None, user=user, trigger="plan")
        return engine.sync(entities or None, user=user, trigger="manual")

    said = ", ".join(entities) or "everything"
    current().store.audit_log.write(user, "plan" if work.only_plan else "synchronise", said)
    return run_told(done(request, "Synchronise", carry_out))


@api.get("/runs/{number}", response=RunOut, operation_id="run")
def run(request: HttpRequest, number: Id) -> Any:
    """One run."""
    may(request, "view")
    return run_told(_run(number))


@api.post("/runs/{number}/undo", response=RunOut, operation_id="undo")
def undo(request: HttpRequest, number: Id) -> Any:
    """Plan to take a run back: a new run that is ready to be looked at and applied."""
    may(request, "approve")
    row, user = _run(number), user_of(request)
    current().store.audit_log.write(user, "plan undo", f"run {row.id}")
    planned = done(request, "Undo", lambda engine: engine.undo(row.id, user=user))
    return run_told(planned)


@api.post("/runs/{number}/apply", response=RunOut, operation_id="apply")
def apply(request: HttpRequest, number: Id) -> Any:
    """Carry a plan out; a held one is approved by this."""
    may(request, "approve")
    row, user = _run(number), user_of(request)
    approve = row.state == "held"
    if not approve:
        current().store.audit_log.write(user, "apply", f"run {row.id}")

    def carry_out(engine: Engine) -> Run:
        return engine.apply(engine.store.runs.get(row.id), user=user, approve=approve)

    return run_told(done(request, "Apply", carry_out))


@api.post("/runs/{number}/reject", response={204: None}, operation_id="reject")
def reject(request: HttpRequest, number: Id) -> Any:
    """Drop a plan that waits; nothing is written."""
    may(request, "approve")
    row = _run(number)
    if row.state not in ("ready", "held"):
        raise NeedsUser(f"run {row.id} does not wait: it is {row.state}")
    current().store.runs.end(row, "superseded")
    current().store.audit_log.write(user_of(request), "reject", f"run {row.id}")
    return SILENT


@api.get("/journal", response=Entries, operation_id="journal")
def journal(
    request: HttpRequest,
    entity: Text = "",
    coupling: Text = "",
    side: Text = "",
    record: Text = "",
    run: Number = 0,
    written: Moment = None,
    before: Number = 0,
    limit: Limit = 50,
) -> Any:
    """What was written, the newest first; `written`: at that moment or later."""
    rows = Journal.objects.filter(entity__in=entities_of(request, "view", entity))
    wanted = {"coupling": coupling, "side": side, "record": record}
    rows = rows.filter(**{name: value for name, value in wanted.items() if value})
    if run:
        rows = rows.filter(run_id=run)
    if written is not None:
        rows = rows.filter(intent_at__gte=since(written)["at"])
    if before:
        rows = rows.filter(id__lt=before)
    found, last = page(list(rows.order_by("-id")[: limit + 1]), limit)
    if found:
        current().store.audit_log.write(
            user_of(request), "see", request.path, entries=[found[-1].id, found[0].id]
        )
    return {"items": [_entry(row) for row in found], "next": last.id if last else None}


def _entry(row: Journal) -> dict[str, Any]:
    changes = decode(bytes(row.changes) or None) or []
    return {
        "number": row.id,
        "run": row.run_id,
        "at": row.intent_at,
        **{
            name: getattr(row, name)
            for name in ("entity", "coupling", "side", "record", "state", "message")
        },
        "changes": [
            {"field": c[0], "old": plain(c[1]), "new": plain(c[2]), "owner": c[3], "why": c[4]}
            for c in changes
        ],
    }


# rules


def _rule(entity: str) -> dict[str, Any]:
    versions = current().store.documents.versions("rule", entity)
    if not versions:
        raise Http404
    newest = versions[0]
    return {
        "entity": entity,
        "version": newest.version,
        "author": newest.author,
        "text": newest.content,
    }


@api.get("/rules", response=Rules, operation_id="rules")
def rules(request: HttpRequest) -> Any:
    """The live rules: owners, policies and directions, entity by entity."""
    return {"items": [_rule(entity) for entity in entities_of(request, "view")]}


@api.get("/rules/{entity}", response=RuleOut, operation_id="rule")
def rule(request: HttpRequest, entity: str) -> Any:
    """The live rule of an entity."""
    may(request, "view", entity)
    return _rule(entity)


@api.post("/rules/{entity}/preview", response=PreviewOut, operation_id="preview_rule")
def preview_rule(request: HttpRequest, entity: str, wanted: RuleIn) -> Any:
    """What a changed rule would do, and what is wrong with it; nothing is saved."""
    may(request, "configure", entity)
    _rule(entity)
    found = rulebook.preview(current(), entity, wanted.text)
    return {
        "faults": [str(fault) for fault in found.faults],
        "changed": list(found.changed),
        "more": found.foreseen.more,
        "effects": [
            {
                "kind": one.kind,
                "coupling": one.coupling,
                "record": one.record,
                "label": one.label,
                "field": one.field,
                "side": one.side,
                "old": plain(one.old),
                "new": plain(one.new),
                "at_once": one.at_once,
            }
            for one in found.foreseen.effects
        ],
    }


@api.put("/rules/{entity}", response=RuleOut, operation_id="change_rule")
def change_rule(request: HttpRequest, entity: str, wanted: RuleIn) -> Any:
    """Make a text the live rule. A fault is a conflict that names it."""
    may(request, "configure", entity)
    _rule(entity)
    found = rulebook.preview(current(), entity, wanted.text)
    if found.faults:
        raise NeedsUser(
            " ".join(str(fault) for fault in found.faults[:5]), place=f"rules/{entity}.toml"
        )
    rulebook.save(current(), entity, wanted.text, by=user_of(request))
    return _rule(entity)


# the audit log


@api.get("/audit-log", response=AuditLines, operation_id="audit_log")
def audit_log(
    request: HttpRequest,
    user: Text = "",
    action: Text = "",
    before: Number = 0,
    limit: Limit = 50,
) -> Any:
    """Who did and saw what, the newest first; each line's digest covers the line before it."""
    may(request, "people")
    log = current().store.audit_log
    current().looks.settle(everything=True)
    rows = log.recent(limit + 1, before=before, user=user, actions=[action] if action else ())
    found, last = page(rows, limit)
    return {
        "items": [
            {
                "number": row.id,
                **{n: getattr(row, n) for n in ("at", "user", "action", "subject", "detail")},
                "digest": row.digest,
            }
            for row in found
        ],
        "next": last.id if last else None,
    }
