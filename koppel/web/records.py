"""One record through both systems: what each side holds, field by field, and its history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from koppel.connectors.base import Gone, Record
from koppel.errors import KoppelError
from koppel.model import Ref, agree
from koppel.store.codec import decode
from koppel.store.models import Journal
from koppel.store.values import CouplingRow
from koppel.sync.rule import SIDES, Rule, Side
from koppel.web.rights import needs, require, rights_of
from koppel.web.service import Service, current

HISTORY = 60
"""Journal entries shown of one record."""


def rule_of(service: Service, entity: str) -> Rule | None:
    """The live rule of an entity."""
    return next((rule for rule in service.lines.rules() if rule.entity == entity), None)


def canonical(
    service: Service, entity: str, side: Side, record: Record | Gone | None
) -> Mapping[str, Any]:
    """What a native record says in canonical fields, by the live mapping; {} where it is gone.

    Where the mapping has a fault, the native fields are given as they are.
    """
    rule = rule_of(service, entity)
    if rule is None or not isinstance(record, Record):
        return record.fields if isinstance(record, Record) else {}
    try:
        mapper = service.lines.mapper(rule.connections[side], entity, offline=True)
        return mapper.get(record, _coupled(service, side))
    except KoppelError:
        return record.fields


def _coupled(service: Service, side: Side) -> Callable[[str, str], str | None]:
    def find(entity: str, native: str) -> str | None:
        known = service.store.couplings.versions(entity, side, [native])
        return known[native][0] if native in known else None

    return find


def reference(service: Service, value: Any) -> Any:
    """A reference as the label of what it refers to; any other value as it is."""
    if not isinstance(value, Ref) or value.coupling is None:
        return value
    row = service.store.couplings.by_id([value.coupling]).get(value.coupling)
    return row.label if row is not None else value


def referred(request: HttpRequest, values: Iterable[Any]) -> dict[str, str]:
    """Coupling -> label, of all that these values refer to and this person may see."""
    wanted = {one.coupling for one in values if isinstance(one, Ref) and one.coupling is not None}
    rows = current().store.couplings.by_id(wanted)
    seen = rights_of(request).among("view", {row.entity for row in rows.values()})
    return {id: row.label for id, row in rows.items() if row.entity in seen}


def compare(service: Service, row: CouplingRow) -> list[dict[str, Any]]:
    """Field by field: both values, whether they differ, who owns the field."""
    rule = rule_of(service, row.entity)
    sides = {side: canonical(service, row.entity, side, row.base(side)) for side in SIDES}
    names = sorted({*sides["crm"], *sides["erp"]}, key=_order(rule))
    told = []
    for name in names:
        crm, erp = sides["crm"].get(name), sides["erp"].get(name)
        both = name in sides["crm"] and name in sides["erp"]
        told.append(
            {
                "name": name,
                "crm": reference(service, crm),
                "erp": reference(service, erp),
                "differs": both and not agree(crm, erp),
                "owner": _owner(rule, name),
            }
        )
    return told


def _order(rule: Rule | None) -> Callable[[str], tuple[int, str]]:
    names = list(rule.fields) if rule is not None else []
    return lambda name: (names.index(name) if name in names else len(names), name)


def _owner(rule: Rule | None, name: str) -> str:
    if rule is None:
        return ""
    groups = {member: group for group, members in rule.groups.items() for member in members}
    found = rule.fields.get(groups.get(name, name))
    return found.owner if found is not None else ""


def journal_lines(entries: list[Journal]) -> list[dict[str, Any]]:
    """Journal entries with their fields: field, old, new, owner, why."""
    return [
        {
            "entry": entry,
            "changes": [
                {"field": c[0], "old": c[1], "new": c[2], "owner": c[3], "why": c[4]}
                for c in decode(bytes(entry.changes) or None) or []
            ],
        }
        for entry in entries
    ]


def names_in(request: HttpRequest, lines: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the values in lines of the journal refer to (see `referred`)."""
    changes = [change for line in lines for change in line["changes"]]
    return referred(request, [change[key] for change in changes for key in ("old", "new")])


def native_address(service: Service, entity: str, side: Side, record: str | None) -> str | None:
    """Where the system itself shows that record, where its connector can tell."""
    rule = rule_of(service, entity)
    if rule is None or not record:
        return None
    connection = service.store.connections.get(rule.connections[side])
    url = str(connection.config.get("url", "")).rstrip("/")
    if connection.type == "creme" and entity in _CREME and url:
        return f"{url}/persons/{_CREME[entity]}/{record}"
    return None


_CREME = {"partner": "organisation", "contact": "contact"}


@needs("view", seen=True, anywhere=True)
def coupling(request: HttpRequest, coupling: str) -> HttpResponse:
    """One coupling: what each side holds, its conflicts, its journal."""
    service = current()
    store = service.store
    row = store.couplings.by_id([coupling]).get(coupling)
    if row is None:
        raise Http404
    require(request, "view", row.entity)
    lines = journal_lines(store.journal.of_coupling(coupling, HISTORY))
    context = {
        "row": row,
        "in_step_at": store.couplings.in_step_at(coupling),
        "fields": compare(service, row),
        "lines": lines,
        "names": names_in(request, lines),
        "open": store.inbox.open_fields([coupling]).get(coupling, {}),
        "links": {
            side: native_address(service, row.entity, side, row.record(side)) for side in SIDES
        },
        "stuck": [
            entry
            for entry in store.inbox.quarantine()
            if (entry.entity, entry.side, entry.record)
            in ((row.entity, "crm", row.crm_id), (row.entity, "erp", row.erp_id))
        ],
    }
    return render(request, "web/coupling.html", context)


@needs("view", entity_in="entity", seen=True, anywhere=True)
def record(request: HttpRequest, entity: str, side: str, record: str) -> HttpResponse:
    """A native record: its coupling, or what is known of it without one."""
    if side not in SIDES:
        raise Http404
    service = current()
    here: Side = "crm" if side == "crm" else "erp"
    found = service.store.couplings.by_record(entity, here, [record])
    if record in found:
        return redirect("coupling", coupling=found[record].id)
    known = service.store.replica.get(entity, here, [record]).get(record)
    if known is None:
        raise Http404
    asked = bool(service.store.inbox.under_review(entity, here, [record]))
    fields = canonical(service, entity, here, known.content)
    context = {
        "known": known,
        "fields": [(name, reference(service, value)) for name, value in fields.items()],
        "why": _("A proposed match of it waits for a person.") if asked else "",
        "inbox": reverse("inbox_tab", kwargs={"tab": "matches"}),
    }
    return render(request, "web/record.html", context)
