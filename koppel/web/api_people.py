"""The interface: one person's data, found, exported and erased by an approved plan."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import Http404, HttpRequest
from ninja import Schema
from pydantic import Field

from koppel.engine import erasing
from koppel.store.people_models import Erasure
from koppel.web.api_base import (
    SILENT,
    Id,
    Limit,
    Number,
    Text,
    api,
    done,
    may,
    page,
    plain,
    user_of,
)
from koppel.web.privacy import subject_at, whole
from koppel.web.rights import Rights
from koppel.web.service import current
from koppel.web.trade import today

SideName = Literal["crm", "erp"]


class Query(Schema):
    """A name, e-mail address, phone or number, of three letters or more."""

    q: str = Field(max_length=200)


class PersonOut(Schema):
    """Somebody, by the records of both sides."""

    entity: str
    label: str
    records: dict[str, str]


class Persons(Schema):
    """Those who were found; at most 50."""

    items: list[PersonOut]
    next: None = None


class ErasureOut(Schema):
    """The plan of an erasure and what came of it; it holds no value of the person."""

    number: int
    entity: str
    records: dict[str, str]
    label: str
    state: str
    steps: list[dict[str, Any]]
    kept: list[dict[str, Any]]
    store: dict[str, int]
    made_by: str
    made_at: datetime
    approved_by: str
    ended_at: datetime | None


class Erasures(Schema):
    """A page, the newest first; `next` goes into `before`."""

    items: list[ErasureOut]
    next: int | None


@api.post("/persons/find", response=Persons, operation_id="find_person")
def find(request: HttpRequest, asked: Query) -> Any:
    """Find a person. By POST, so that no log of an address holds the name."""
    may(request, "privacy")
    rights: Rights = request.rights  # type: ignore[attr-defined]
    entities = rights.among("privacy", ("contact", "partner"))
    found = current().store.personal.find(asked.q, entities)
    current().store.audit_log.write(
        user_of(request), "find person", found=[" ".join(one.place) for one in found]
    )
    return {
        "items": [
            {"entity": one.entity, "label": one.label, "records": one.records} for one in found
        ]
    }


@api.get("/persons/{entity}/{side}/{record}", response=dict[str, Any], operation_id="export_person")
def export(request: HttpRequest, entity: str, side: SideName, record: str) -> Any:
    """Everything that Koppel keeps of one person, by kind of row."""
    may(request, "privacy", entity)
    subject = subject_at(entity, side, record)
    current().store.audit_log.write(user_of(request), "export person", " ".join(subject.place))
    return whole(subject)


@api.post(
    "/persons/{entity}/{side}/{record}/erasure", response=ErasureOut, operation_id="plan_erasure"
)
def plan(request: HttpRequest, entity: str, side: SideName, record: str) -> Any:
    """Plan to erase a person in both systems and here; nothing is changed yet."""
    may(request, "privacy", entity)
    subject, user, day = subject_at(entity, side, record), user_of(request), today()
    return _told(
        done(request, "Plan", lambda engine: erasing.plan(engine, subject, day, user=user))
    )


@api.get("/erasures", response=Erasures, operation_id="erasures")
def erasures(request: HttpRequest, state: Text = "", before: Number = 0, limit: Limit = 50) -> Any:
    """Plans of erasures, the newest first."""
    may(request, "privacy")
    rights: Rights = request.rights  # type: ignore[attr-defined]
    rows = Erasure.objects.filter(entity__in=rights.among("privacy", ("contact", "partner")))
    if state:
        rows = rows.filter(state=state)
    if before:
        rows = rows.filter(id__lt=before)
    found, last = page(list(rows.order_by("-id")[: limit + 1]), limit)
    return {"items": [_told(row) for row in found], "next": last.id if last else None}


@api.get("/erasures/{number}", response=ErasureOut, operation_id="erasure")
def erasure(request: HttpRequest, number: Id) -> Any:
    """One plan, and what came of it."""
    return _told(_erasure(request, number))


@api.post("/erasures/{number}/approve", response=ErasureOut, operation_id="approve_erasure")
def approve(request: HttpRequest, number: Id) -> Any:
    """Carry a plan out. It cannot be undone."""
    row, user = _erasure(request, number), user_of(request)
    return _told(
        done(request, "Erase", lambda engine: erasing.carry_out(engine, row.id, user=user))
    )


@api.post("/erasures/{number}/reject", response={204: None}, operation_id="reject_erasure")
def reject(request: HttpRequest, number: Id) -> Any:
    """Drop a plan; nobody is erased."""
    erasing.reject(current().store, _erasure(request, number), user=user_of(request))
    return SILENT


def _erasure(request: HttpRequest, number: int) -> Erasure:
    may(request, "privacy")
    row = Erasure.objects.filter(id=number).first()
    if row is None:
        raise Http404
    may(request, "privacy", row.entity)
    return row


def _told(row: Erasure) -> dict[str, Any]:
    names = (
        "entity", "records", "label", "state", "steps", "kept", "store", "made_by", "made_at",
        "approved_by", "ended_at",
    )  # fmt: skip
    told: dict[str, Any] = plain({name: getattr(row, name) for name in names})
    return {"number": row.id, **told}
