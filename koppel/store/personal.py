"""One person in Koppel's own store: where it is, all of it for an export, and taking it out.

What each kind of row becomes when a person is erased stands in `FATE`, with the reason. Rows that
prove that something was written keep what, when and by which run, and lose every value. Business
documents and the audit log are kept: the law, or the proof, wants them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Literal

import msgspec
from django.db import connection, transaction
from django.db.models import BinaryField, Model, Q, QuerySet
from msgspec import Struct, field

from koppel.connectors.base import Record
from koppel.errors import NeedsUser
from koppel.store import models, order_models, searching, seen_models, work_models
from koppel.store.codec import decode, decode_write, encode, encode_record, encode_write
from koppel.store.opening import Clock
from koppel.store.people_models import KeptReply
from koppel.store.runs import decode_body, encode_body
from koppel.store.seen import SeenStore
from koppel.store.values import StepBody
from koppel.sync.rule import SIDES, Side

ENTITIES = ("contact", "partner")
"""The entities that are about people."""
SHORTEST = 5
"""Letters of a name from which on it is looked for in free text."""

Fate = Literal["erased", "emptied", "kept"]

FATE: Mapping[str, tuple[Fate, str]] = {
    "couplings": ("erased", "what each side returned last"),
    "copies": ("erased", "what was read for matching"),
    "views": ("erased", "made for lists and search"),
    "conflicts": ("erased", "values of both sides"),
    "notices": ("erased", "values that were put back"),
    "quarantine": ("erased", "what a system said of the record"),
    "matches": ("erased", "proposed pairs with their reasons"),
    "waiting": ("erased", "records to be looked at again"),
    "journal": ("emptied", "that something was written, when and why stays; no value does"),
    "steps": ("emptied", "that a plan had this step stays; no value does"),
    "findings": ("emptied", "the counts of audits stay; the name does not"),
    "audit log": ("kept", "it proves who did and saw what, by number; changing it would break it"),
    "documents": ("kept", "orders and invoices are kept for as long as tax law wants them"),
}
"""Kind of row -> what erasing makes of it, and what it is or why."""


class Subject(Struct, frozen=True, kw_only=True):
    """One person or company: its record on each side, and everything that it was coupled as."""

    entity: str
    records: Mapping[Side, str]
    couplings: tuple[str, ...] = ()
    label: str = ""

    @property
    def name(self) -> str:
        """The label without its number."""
        return self.label.partition(" (")[0].strip()

    @property
    def place(self) -> tuple[str, Side, str]:
        """Entity, side and record by which it is asked for."""
        side: Side = "crm" if "crm" in self.records else "erp"
        return self.entity, side, self.records[side]

    def anywhere(self) -> Q:
        """Rows that name one of its records by side and number."""
        wanted = Q(pk__in=[])
        for side, record in self.records.items():
            wanted |= Q(entity=self.entity, side=side, record=record)
        return wanted

    def by_sides(self) -> Q:
        """Rows that name its records in a column for each side."""
        wanted = Q(pk__in=[])
        for side, record in self.records.items():
            wanted |= Q(**{"entity": self.entity, f"{side}_id": record})
        return wanted

    def as_party(self) -> Q:
        """Rows of views that name it as the party, by side."""
        wanted = Q(pk__in=[])
        for side, record in self.records.items():
            wanted |= Q(side=side, party=record)
        return wanted


class Documents(Struct, frozen=True, kw_only=True):
    """Business documents of one kind of one person on one side; `last` is the newest one's day."""

    side: Side
    kind: str
    many: int
    last: date | None


class Trace(Struct, frozen=True, kw_only=True):
    """What the store has of a person: rows by kind."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """How many of each kind; kinds without any are left out."""
        return {kind: len(rows) for kind, rows in self.rows.items() if rows}


class PersonalStore:
    """Finds, gathers and erases what is kept of one person."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    # finding

    def find(
        self, query: str, entities: Sequence[str] = ENTITIES, limit: int = 50
    ) -> list[Subject]:
        """People and companies by name, e-mail, phone or number; at least three letters."""
        text = query.strip()
        if len(text) < 3:
            raise NeedsUser("a name needs three letters or more", remedy="Type more of it")
        places: dict[tuple[str, str, str], None] = {}
        if "contact" in entities:
            people = seen_models.Person.objects.filter(
                Q(name__icontains=text) | Q(email__icontains=text) | Q(phone__icontains=text)
            )
            for side, record in people.values_list("side", "record")[:limit]:
                places["contact", side, record] = None
        if "partner" in entities:
            for row in seen_models.Customer.objects.filter(id__in=searching.search(text, limit)):
                places["partner", *_first(row.crm_id, row.erp_id)] = None
        named = {"entity__in": list(entities), "label__icontains": text}
        for entity, crm, erp in models.Coupling.objects.filter(**named).values_list(
            "entity", "crm_id", "erp_id"
        )[:limit]:
            places[entity, *_first(crm, erp)] = None
        for place in models.Replica.objects.filter(**named).values_list("entity", "side", "record")[
            :limit
        ]:
            places[place] = None
        found: dict[tuple[str, Side, str], Subject] = {}
        for entity, side, record in places:
            one = self.subject(entity, "crm" if side == "crm" else "erp", record)
            if one is not None:
                found[one.place] = one
        return sorted(found.values(), key=lambda one: one.label.casefold())[:limit]

    def subject(self, entity: str, side: Side, record: str) -> Subject | None:
        """Who a record is about; None where nothing here knows it."""
        rows = list(models.Coupling.objects.filter(**{"entity": entity, f"{side}_id": record}))
        records: dict[Side, str] = {side: record}
        for row in rows:
            for here, number in (("crm", row.crm_id), ("erp", row.erp_id)):
                if number:
                    records["crm" if here == "crm" else "erp"] = number
        subject = Subject(
            entity=entity,
            records={one: records[one] for one in SIDES if one in records},
            couplings=tuple(row.id for row in rows),
        )
        labels = [row.label for row in rows if row.label]
        labels += self._labels(subject)
        known = rows or labels or any(rows.exists() for _, rows in _sets(subject))
        if not known:
            return None
        return msgspec.structs.replace(subject, label=labels[0] if labels else "")

    @staticmethod
    def _labels(subject: Subject) -> list[str]:
        found = list(
            models.Replica.objects.filter(subject.anywhere())
            .exclude(label="")
            .values_list("label", flat=True)
        )
        steps = models.Step.objects.filter(subject.by_sides()).exclude(label="")
        return found + list(steps.order_by("-id").values_list("label", flat=True)[:1])

    # gathering

    def gather(self, subject: Subject) -> Trace:
        """Everything that is kept of a person, by kind, with plain values."""
        rows: dict[str, list[Any]] = {kind: [] for kind in FATE}
        for kind, found in _sets(subject):
            rows[kind] += [_told(row) for row in found]
        rows["findings"] = [
            {"audit": row.id, "finding": one}
            for row in models.AuditResult.objects.order_by("id")
            for one in row.findings
            if _mentions(one, subject)
        ] + [
            {"alarm": row.id, "text": row.text}
            for row in models.Alarm.objects.order_by("id")
            if _mentions(row.text, subject)
        ]
        rows["documents"] = list(map(msgspec.to_builtins, self.documents(subject)))
        return Trace(rows=rows)

    @staticmethod
    def documents(subject: Subject) -> list[Documents]:
        """Orders, quotes, invoices and deliveries of a partner; a contact has none of its own."""
        if subject.entity != "partner":
            return []
        days: dict[tuple[Side, str], list[date | None]] = {}
        sales = seen_models.Sale.objects.filter(subject.as_party())
        for side, kind, day in sales.values_list("side", "kind", "day"):
            days.setdefault(("crm" if side == "crm" else "erp", kind), []).append(day)
        party = subject.records.get("erp")
        if party is not None:
            bills = seen_models.Bill.objects.filter(party=party).values_list("kind", "day")
            for kind, day in bills:
                days.setdefault(("erp", kind), []).append(day)
            for planned, done in seen_models.Delivery.objects.filter(party=party).values_list(
                "planned", "delivered_on"
            ):
                days.setdefault(("erp", "delivery"), []).append(done or planned)
            for seen_at in order_models.OrderLink.objects.filter(erp_party=party).values_list(
                "changed_at", flat=True
            ):
                days.setdefault(("erp", "order"), []).append(seen_at.date())
        return [
            Documents(
                side=side, kind=kind, many=len(found), last=max(filter(None, found), default=None)
            )
            for (side, kind), found in sorted(days.items())
        ]

    # erasing

    def forget(
        self, subject: Subject, pseudonym: str, stays: Iterable[Side] = ()
    ) -> dict[str, int]:
        """Take a person out of the store, as `FATE` says; how many rows of each kind.

        `stays`: sides on which the record itself stays. Their numbers are kept, without a value, so
        that no sync takes the record for a new one. Repeating it does no harm.
        """
        done: dict[str, int] = {}
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                # What is deleted is overwritten in the file, too.
                cursor.execute("PRAGMA secure_delete = ON")
        with transaction.atomic():
            # Of a plan that nobody has carried out yet, the step goes: it must never be.
            open_runs = models.Run.objects.filter(state__in=["ready", "held"])
            models.Step.objects.filter(subject.by_sides(), run__in=open_runs).delete()
            for kind, found in _sets(subject):
                fate = FATE[kind][0]
                if fate == "kept":
                    continue
                empty = _EMPTY.get(found.model)
                rows = list(found.values_list("pk", flat=True))
                done[kind] = done.get(kind, 0) + len(rows)
                if empty is None:
                    self._remove(found.model, rows)
                    continue
                for row in found.model._base_manager.filter(pk__in=rows):
                    emptied = empty(row, pseudonym)
                    found.model._base_manager.filter(pk=row.pk).update(**emptied)
            done["findings"] = self._blot(subject, pseudonym)
            self._drop_replies(subject)
            for side in stays:
                self._set_aside(subject, side, pseudonym)
        return {kind: many for kind, many in done.items() if many}

    def _remove(self, model: type[Model], rows: Sequence[Any]) -> None:
        if model is seen_models.Customer:
            SeenStore(self._clock).remove_customers(rows)
        else:
            model._base_manager.filter(pk__in=rows).delete()

    @staticmethod
    def _blot(subject: Subject, pseudonym: str) -> int:
        """Put the pseudonym where findings of audits and alarms name the person."""
        many = 0
        for row in models.AuditResult.objects.order_by("id"):
            if any(_mentions(one, subject) for one in row.findings):
                found = [_replaced(one, subject, pseudonym) for one in row.findings]
                models.AuditResult.objects.filter(id=row.id).update(findings=found)
                many += 1
        for alarm in models.Alarm.objects.order_by("id"):
            if _mentions(alarm.text, subject):
                text = _replaced(alarm.text, subject, pseudonym)
                models.Alarm.objects.filter(id=alarm.id).update(text=text)
                many += 1
        for group in seen_models.TargetGroup.objects.all():
            number = subject.records.get("crm") if subject.entity == "partner" else None
            if number in group.written:
                left = [one for one in group.written if one != number]
                seen_models.TargetGroup.objects.filter(id=group.id).update(written=left)
        return many

    @staticmethod
    def _drop_replies(subject: Subject) -> None:
        """Forget answers of the interface that name the person, before their day is over."""
        words = [subject.name] if len(subject.name) >= SHORTEST else []
        words += [json.dumps(word)[1:-1] for word in words]
        raw = [word.encode() for word in (*words, *subject.couplings)]
        for row in KeptReply.objects.exclude(status=0).iterator(chunk_size=100):
            if any(word in bytes(row.body) for word in raw):
                row.delete()

    def _set_aside(self, subject: Subject, side: Side, pseudonym: str) -> None:
        record = subject.records[side]
        base = Record(resource=subject.entity, id=record, version="", fields={})
        models.Coupling.objects.create(
            id=uuid.uuid4().hex,
            entity=subject.entity,
            state="parted",
            label=pseudonym,
            created_at=self._clock(),
            made_by="erased",
            **{f"{side}_id": record, f"{side}_base": encode_record(base)},
        )


def _first(crm: str | None, erp: str | None) -> tuple[str, str]:
    return ("crm", crm) if crm else ("erp", str(erp))


def _sets(subject: Subject) -> Iterator[tuple[str, QuerySet[Any]]]:
    """Kind -> the rows of it, table by table."""
    of_pair = Q(coupling__in=subject.couplings)
    anywhere = subject.anywhere()
    yield "couplings", models.Coupling.objects.filter(id__in=subject.couplings)
    yield "couplings", work_models.Agreement.objects.filter(coupling__in=subject.couplings)
    yield "couplings", models.Former.objects.filter(subject.by_sides())
    # Before the replicas, by which they are found.
    copies = models.Replica.objects.filter(anywhere)
    yield "copies", models.BlockKey.objects.filter(replica__in=copies.values("id"))
    for kind, model in (
        ("copies", models.Replica),
        ("waiting", models.Pending),
        ("waiting", work_models.Hint),
        ("quarantine", models.Quarantine),
    ):
        yield kind, model._base_manager.filter(anywhere)
    if subject.entity == "partner":
        wanted = Q(pk__in=[])
        for side, record in subject.records.items():
            wanted |= Q(**{f"{side}_id": record})
        yield "views", seen_models.Customer.objects.filter(wanted)
    if subject.entity == "contact":
        people = Q(pk__in=[])
        for side, record in subject.records.items():
            people |= Q(side=side, record=record)
        yield "views", seen_models.Person.objects.filter(people)
    yield "conflicts", models.Conflict.objects.filter(of_pair)
    yield "notices", models.Notice.objects.filter(of_pair)
    yield "matches", models.Review.objects.filter(subject.by_sides())
    yield "journal", models.Journal.objects.filter(of_pair | anywhere).order_by("id")
    yield "steps", models.Step.objects.filter(of_pair | subject.by_sides()).order_by("id")
    told = Q(subject__in=[f"{subject.entity} {s} {r}" for s, r in subject.records.items()])
    for side, record in subject.records.items():
        told |= Q(subject=f"/records/{subject.entity}/{side}/{record}")
    for coupling in subject.couplings:
        told |= Q(subject__contains=coupling)
    yield "audit log", models.Event.objects.filter(told).order_by("id")


def _emptied_entry(row: Any, pseudonym: str) -> dict[str, Any]:
    write = decode_write(bytes(row.write))
    if hasattr(write, "fields"):
        write = msgspec.structs.replace(write, fields={})
    return {
        "write": encode_write(write),
        "before": None,
        "after": None,
        "changes": encode([]),
        "message": "" if not row.message else pseudonym,
    }


def _emptied_step(row: Any, pseudonym: str) -> dict[str, Any]:
    return {"body": encode_body(StepBody(reason="erased")), "label": pseudonym, "message": ""}


_EMPTY: Mapping[type[Model], Callable[[Any, str], dict[str, Any]]] = {
    models.Journal: _emptied_entry,
    models.Step: _emptied_step,
}
"""How a row is emptied that stays; rows of other tables go."""


def _told(row: Any) -> dict[str, Any]:
    """A row as plain values; what only matching reads is left out."""
    told: dict[str, Any] = {"table": row._meta.model_name}
    for column in row._meta.concrete_fields:
        value = getattr(row, column.attname)
        if column.attname in ("features", "digest", "previous", "search"):
            continue
        if isinstance(column, BinaryField) and value is not None:
            value = _read(row, column.attname, bytes(value))
        told[column.attname] = msgspec.to_builtins(value, str_keys=True, enc_hook=str)
    return told


def _read(row: Any, name: str, raw: bytes) -> Any:
    if isinstance(row, models.Step):
        return decode_body(raw)
    if name == "write":
        return decode_write(raw)
    return decode(raw) if raw else None


def _mentions(value: Any, subject: Subject) -> bool:
    if isinstance(value, str):
        named = len(subject.name) >= SHORTEST and subject.name in value
        return named or any(one in value for one in subject.couplings)
    if isinstance(value, Mapping):
        return any(_mentions(one, subject) for one in value.values())
    return isinstance(value, list) and any(_mentions(one, subject) for one in value)


def _replaced(value: Any, subject: Subject, pseudonym: str) -> Any:
    """The same without what names the person; a finding about that person loses its values too."""
    if isinstance(value, Mapping):
        about = value.get("coupling") in subject.couplings
        return {
            name: _without(name, one, pseudonym) if about else _replaced(one, subject, pseudonym)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [_replaced(one, subject, pseudonym) for one in value]
    if isinstance(value, str) and len(subject.name) >= SHORTEST:
        return value.replace(subject.label, pseudonym).replace(subject.name, pseudonym)
    return value


def _without(name: str, value: Any, pseudonym: str) -> Any:
    return {"label": pseudonym, "cause": "", "fields": []}.get(name, value)
