"""What needs a person, or another try: conflicts, notices, quarantine, review, pending, events."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from koppel.errors import NeedsUser
from koppel.store import bulk
from koppel.store.auditlog import AuditLog
from koppel.store.codec import decode, encode
from koppel.store.models import Alarm, Conflict, Event, Notice, Pending, Quarantine, Review, Run
from koppel.store.opening import Clock
from koppel.sync.rule import Side
from koppel.sync.state import FieldConflict, FieldNotice

LIMIT = 2
"""Failures with the same non-transient error after which a record is quarantined."""

_THESE = "entity = %s AND side = %s AND record IN ({ids})"


class InboxStore:
    """Reads and writes everything that waits."""

    def __init__(self, clock: Clock, audit: AuditLog) -> None:
        self._clock = clock
        self._audit = audit

    # conflicts

    def open_fields(self, couplings: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Coupling -> field -> resolution (a list with the value) or None, of open conflicts."""
        found: dict[str, dict[str, Any]] = {}
        rows = bulk.select(
            "SELECT coupling, field, state, resolution FROM store_conflict"
            " WHERE state IN ('open', 'resolved') AND coupling IN ({ids})",
            couplings,
        )
        for coupling, field, state, resolution in rows:
            value = decode(resolution) if state == "resolved" else None
            found.setdefault(coupling, {})[field] = value
        return found

    def shown(self, couplings: Iterable[str]) -> dict[str, dict[str, tuple[Any, Any]]]:
        """Coupling -> field -> what both sides held (CRM, ERP) when a person decided."""
        found: dict[str, dict[str, tuple[Any, Any]]] = {}
        rows = bulk.select(
            'SELECT coupling, field, "values" FROM store_conflict'
            " WHERE state = 'resolved' AND coupling IN ({ids})",
            couplings,
        )
        for coupling, field, values in rows:
            _, _, crm, erp = decode(values)
            found.setdefault(coupling, {})[field] = (crm, erp)
        return found

    def open_conflicts(
        self, run: Run, coupling: str, entity: str, label: str, items: Sequence[FieldConflict]
    ) -> None:
        """Open conflicts; of open ones bring the values up to date, and keep the first bases.

        One that was decided is open again where its values are others than those decided about, and
        one that the pair's end left open, where the two are a pair again.
        """
        for item in items:
            values = [item.crm_base, item.erp_base, item.crm, item.erp]
            row = Conflict.objects.filter(
                coupling=coupling, field=item.field, state__in=["open", "resolved", "over"]
            ).last()
            if row is not None:
                now = encode(decode(row.values)[:2] + values[2:])
                if row.state != "resolved" or now != bytes(row.values):
                    row.state, row.resolution, row.values, row.why = "open", None, now, item.why
                    row.closed_at = None
                    row.save(update_fields=["state", "resolution", "values", "why", "closed_at"])
                continue
            Conflict.objects.create(
                coupling=coupling,
                entity=entity,
                field=item.field,
                label=label,
                values=encode(values),
                why=item.why,
                run=run,
                opened_at=self._clock(),
            )

    def close_conflicts(self, coupling: str, fields: Iterable[str]) -> None:
        """Both sides agree: the conflict is over."""
        Conflict.objects.filter(
            coupling=coupling, field__in=list(fields), state__in=["open", "resolved"]
        ).update(state="closed", closed_at=self._clock())

    def pair_over(self, coupling: str) -> None:
        """A pair has ended: nothing about it is left to be decided, unless it comes back."""
        self.close_conflicts(coupling, [""])
        Conflict.objects.filter(coupling=coupling, state__in=["open", "resolved"]).update(
            state="over", resolution=None, closed_at=self._clock()
        )

    def left_open(self, couplings: Iterable[str]) -> dict[str, frozenset[str]]:
        """Coupling -> fields that were in conflict when the pair ended."""
        found: dict[str, set[str]] = {}
        sql = "SELECT coupling, field FROM store_conflict WHERE state = 'over' AND coupling IN "
        for coupling, field in bulk.select(f"{sql}({{ids}})", couplings):
            found.setdefault(coupling, set()).add(field)
        return {coupling: frozenset(fields) for coupling, fields in found.items()}

    def pairs_again(self, couplings: Iterable[str]) -> None:
        """These are pairs again: what is in conflict now is open, and the rest is over for good."""
        sql = "UPDATE store_conflict SET state = 'closed' WHERE state = 'over' AND coupling IN "
        bulk.execute(f"{sql}({{ids}})", couplings)

    def conflicts(self, *, state: str = "open", limit: int = 500) -> list[Conflict]:
        """Conflicts of a state, oldest first."""
        return list(Conflict.objects.filter(state=state).order_by("id")[:limit])

    def conflict(self, number: int) -> Conflict:
        """One conflict; `NeedsUser` where there is none."""
        row = Conflict.objects.filter(id=number).first()
        if row is None:
            raise NeedsUser(f"there is no conflict {number}", remedy="List: koppel conflicts")
        return row

    def resolve(self, number: int, value: Any, *, by: str) -> Conflict:
        """A person's value for a conflict; the next sync writes it to the side that differs."""
        row = self.conflict(number)
        if row.state not in ("open", "resolved"):
            raise NeedsUser(f"conflict {number} is already {row.state}")
        row.state, row.resolution, row.by = "resolved", encode([value]), by
        row.save(update_fields=["state", "resolution", "by"])
        return row

    def resolved_couplings(self, entity: str) -> list[str]:
        """Couplings with a resolution that was not carried out yet, but for those that are over."""
        sql = (
            "SELECT DISTINCT f.coupling FROM store_conflict f"
            " WHERE f.entity = %s AND f.state = 'resolved' AND NOT EXISTS (SELECT 1 FROM"
            " store_coupling c WHERE c.id = f.coupling AND c.state IN ('parted', 'undone'))"
        )
        return [one for (one,) in bulk.ask(sql, entity)]

    # notices

    def add_notices(
        self, run: Run, coupling: str, entity: str, label: str, items: Sequence[FieldNotice]
    ) -> None:
        """Values that were put back."""
        Notice.objects.bulk_create(
            Notice(
                coupling=coupling,
                entity=entity,
                field=item.field,
                side=item.side,
                label=label,
                values=encode([item.lost, item.kept]),
                why=item.why,
                run=run,
                at=self._clock(),
            )
            for item in items
        )

    def notices(self, limit: int = 200) -> list[Notice]:
        """The newest notices."""
        return list(Notice.objects.order_by("-id")[:limit])

    # quarantine

    def failed(
        self,
        entity: str,
        side: Side,
        record: str,
        *,
        label: str,
        reason: str,
        remedy: str = "",
        coupling: str = "",
        version: str = "",
    ) -> bool:
        """Count a non-transient failure; True when the record is in quarantine now."""
        fingerprint = hashlib.sha256(reason.encode()).hexdigest()
        row = Quarantine.objects.filter(entity=entity, side=side, record=record).first()
        if row is None:
            row = Quarantine(entity=entity, side=side, record=record, failures=0)
        same = row.fingerprint == fingerprint
        row.failures = row.failures + 1 if same else 1
        row.state = "open" if row.failures >= LIMIT else "watched"
        row.label, row.reason, row.remedy = label, reason, remedy
        row.fingerprint, row.coupling, row.at = fingerprint, coupling, self._clock()
        row.version = version
        row.save()
        return row.state == "open"

    def quarantined(self, entity: str, side: Side, records: Iterable[str]) -> dict[str, str]:
        """Those of these records that are in quarantine, with the version that failed."""
        sql = f"SELECT record, version FROM store_quarantine WHERE state = 'open' AND {_THESE}"
        return dict(bulk.select(sql, records, entity, side))

    def healed(self, entity: str, side: Side, records: Iterable[str]) -> None:
        """These went through: forget their failures."""
        bulk.execute(f"DELETE FROM store_quarantine WHERE {_THESE}", records, entity, side)

    def quarantine(self) -> list[Quarantine]:
        """All that is in quarantine, oldest first."""
        return list(Quarantine.objects.filter(state="open").order_by("id"))

    def release(self, number: int) -> Quarantine:
        """A person says: try again."""
        row = Quarantine.objects.filter(id=number).first()
        if row is None:
            raise NeedsUser(f"there is no quarantine entry {number}", remedy="koppel quarantine")
        self._try_again(row, "released by a person")
        return row

    def try_dependants(self, entity: str) -> None:
        """What is in quarantine of other entities is tried again: what it refers to has moved."""
        for row in Quarantine.objects.exclude(entity=entity):
            self._try_again(row, "its company was merged")

    def _try_again(self, row: Quarantine, reason: str) -> None:
        self.wait(row.entity, _side(row.side), row.record, reason=reason)
        row.delete()

    # pending

    def wait(
        self, entity: str, side: Side, record: str, *, reason: str, waits_for: str = ""
    ) -> None:
        """Look at a record again; with `waits_for` only once that record is coupled."""
        row, made = Pending.objects.get_or_create(
            entity=entity,
            side=side,
            record=record,
            defaults={"reason": reason, "waits_for": waits_for, "at": self._clock()},
        )
        if not made:
            row.reason, row.waits_for, row.attempts = reason, waits_for, row.attempts + 1
            row.save()

    def wait_all(self, entity: str, records: Sequence[tuple[Side, str]], *, reason: str) -> None:
        """Look at all of these again."""
        at = bulk.moment(self._clock())
        bulk.upsert(
            Pending,
            ("entity", "side", "record", "reason", "waits_for", "attempts", "at"),
            [(entity, side, record, reason, "", 0, at) for side, record in records],
            unique=("entity", "side", "record"),
            replace=("reason", "waits_for", "at"),
        )

    def pending(self, entity: str, side: Side) -> list[str]:
        """Records to look at again, those that wait for a parent excepted."""
        sql = "SELECT record FROM store_pending WHERE entity = %s AND side = %s AND waits_for = ''"
        return [row[0] for row in bulk.ask(f"{sql} ORDER BY id", entity, side)]

    def all_pending(self) -> list[Pending]:
        """Everything that waits, with what for."""
        return list(Pending.objects.order_by("id"))

    def arrived(self, parents: Iterable[str]) -> int:
        """Parents (`entity:side:record`) are coupled now: release the children that wait."""
        sql = "UPDATE store_pending SET waits_for = '' WHERE waits_for IN ({ids})"
        return bulk.execute(sql, parents)

    def done_waiting(self, entity: str, side: Side, records: Iterable[str]) -> None:
        """These were dealt with."""
        bulk.execute(f"DELETE FROM store_pending WHERE {_THESE}", records, entity, side)

    # review of matches

    def propose(
        self, entity: str, crm_id: str, erp_id: str, *, score: float, reasons: Sequence[str]
    ) -> None:
        """Put a pair into the review list, unless a person has said that they are two.

        One that was called the same is proposed where it is a pair no more: it is asked about anew.
        """
        row, made = Review.objects.get_or_create(
            entity=entity,
            crm_id=crm_id,
            erp_id=erp_id,
            defaults={"score": score, "reasons": list(reasons), "at": self._clock()},
        )
        if not made and row.state in ("open", "same"):
            row.state, row.score, row.reasons = "open", score, list(reasons)
            row.save(update_fields=["state", "score", "reasons"])

    def reviews(self, *, state: str = "open", entity: str | None = None) -> list[Review]:
        """Proposed pairs, best first."""
        rows = Review.objects.filter(state=state)
        if entity:
            rows = rows.filter(entity=entity)
        return list(rows.order_by("-score", "id"))

    def answer(self, number: int, answer: str, *, by: str) -> Review:
        """A person says same, different or later."""
        row = Review.objects.filter(id=number).first()
        if row is None:
            raise NeedsUser(f"there is no proposed pair {number}", remedy="koppel couplings review")
        row.state, row.by, row.at = ("open" if answer == "later" else answer), by, self._clock()
        row.save()
        return row

    def withdraw(self, *, since: datetime) -> int:
        """Forget proposals and answers from a moment on, but for pairs that a person broke."""
        rows = Review.objects.filter(at__gte=since, score__gt=0)
        return rows.delete()[0]

    def part(self, entity: str, crm_id: str, erp_id: str, *, by: str) -> None:
        """Never propose this pair again: a person broke it."""
        Review.objects.update_or_create(
            entity=entity,
            crm_id=crm_id,
            erp_id=erp_id,
            defaults={"state": "different", "by": by, "at": self._clock(), "score": 0.0},
        )

    def unpart(self, entity: str, crm_id: str, erp_id: str) -> None:
        """A person couples the pair after all."""
        Review.objects.filter(entity=entity, crm_id=crm_id, erp_id=erp_id).update(state="same")

    def answers(self, entity: str) -> dict[tuple[str, str], str]:
        """(CRM id, ERP id) -> same or different, as people answered."""
        rows = Review.objects.filter(entity=entity, state__in=["same", "different"])
        return {(row.crm_id, row.erp_id): row.state for row in rows}

    def unseen_answers(self, entity: str) -> dict[int, tuple[tuple[str, str], bool]]:
        """Answers whose evidence was not kept yet: number -> ((CRM id, ERP id), the same?).

        Without those that say "different" of a record that was called the same as another one: it
        exists twice, and one of its likenesses had to be refused.
        """
        answered = Review.objects.filter(entity=entity, state__in=["same", "different"])
        called = answered.filter(state="same")
        rows = answered.filter(evidence=[]).exclude(
            Q(state="different")
            & (Q(crm_id__in=called.values("crm_id")) | Q(erp_id__in=called.values("erp_id")))
        )
        return {row.id: ((row.crm_id, row.erp_id), row.state == "same") for row in rows}

    def keep_evidence(self, found: Mapping[int, Sequence[tuple[str, float]]]) -> None:
        """What spoke for and against answered pairs, by number."""
        rows = list(Review.objects.filter(id__in=list(found)))
        for row in rows:
            row.evidence = [list(one) for one in found[row.id]]
        Review.objects.bulk_update(rows, ["evidence"], batch_size=200)

    def lessons(self, entity: str, limit: int = 2000) -> list[tuple[list[tuple[str, float]], bool]]:
        """The newest answers that teach: (evidence, whether the two are the same)."""
        rows = Review.objects.filter(
            entity=entity, state__in=["same", "different"], teaches=True
        ).exclude(evidence=[])
        return [
            ([(kind, points) for kind, points in row.evidence], row.state == "same")
            for row in rows.order_by("-at", "-id")[:limit]
        ]

    def let_teach(self, entity: str, teach: bool) -> int:
        """Let all answers given so far teach the weights, or none; how many that changed."""
        rows = Review.objects.filter(entity=entity, state__in=["same", "different"])
        return rows.exclude(teaches=teach).update(teaches=teach)

    def under_review(self, entity: str, side: Side, records: Iterable[str]) -> set[str]:
        """Those of these records that an open proposal names."""
        sql = (
            f"SELECT {side}_id FROM store_review"
            f" WHERE state = 'open' AND entity = %s AND {side}_id IN ({{ids}})"
        )
        return {row[0] for row in bulk.select(sql, records, entity)}

    def forget_same(self, entity: str, pairs: Iterable[tuple[str, str]]) -> None:
        """A person had these pairs ended: that they were called the same counts no more."""
        for crm_id, erp_id in pairs:
            Review.objects.filter(
                entity=entity, crm_id=crm_id, erp_id=erp_id, state="same"
            ).delete()

    def close_reviews(self, entity: str, crm_ids: Iterable[str], erp_ids: Iterable[str]) -> None:
        """Open proposals about these records are moot where both are coupled now.

        Where only one of the two is, the other one still waits for a person's word.
        """
        for side, records in (("crm", crm_ids), ("erp", erp_ids)):
            far = "erp" if side == "crm" else "crm"
            sql = (
                "DELETE FROM store_review WHERE state = 'open' AND entity = %s"
                f" AND EXISTS (SELECT 1 FROM store_coupling c WHERE c.entity = %s"
                f" AND c.{far}_id = store_review.{far}_id) AND {side}_id IN ({{ids}})"
            )
            bulk.execute(sql, records, entity, entity)

    # audit log

    def log(self, user: str, action: str, subject: str = "", **detail: Any) -> None:
        """Who did what by hand."""
        self._audit.write(user, action, subject, **detail)

    def events(self, limit: int = 100) -> list[Event]:
        """The newest entries of the audit log."""
        return self._audit.recent(limit)

    def totals(self) -> Mapping[str, int]:
        """How much waits for a person."""
        return {
            "conflicts": Conflict.objects.filter(state="open").count(),
            "resolved": Conflict.objects.filter(state="resolved").count(),
            "reviews": Review.objects.filter(state="open").count(),
            "quarantine": Quarantine.objects.filter(state="open").count(),
            "pending": Pending.objects.filter(waits_for="").count(),
            "waiting": Pending.objects.filter(~Q(waits_for="")).count(),
            "held": Run.objects.filter(state="held").count(),
            "alarms": Alarm.objects.filter(state="open").count(),
        }


def _side(text: str) -> Side:
    return "crm" if text == "crm" else "erp"
