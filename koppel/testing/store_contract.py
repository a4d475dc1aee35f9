"""What every store keeps its word on: subclass it, give a fixture `store`, and it runs.

```python
class TestMyStore(StoreContract):
    @pytest.fixture
    def store(self, clock): ...      # an empty, migrated store with this clock and `KEY`

    @pytest.fixture
    def reopen(self, clock): ...     # -> (key) -> the same store, as a new process opens it
```

Groups: connections and secrets, documents, couplings and cursors, journal, inbox, replica and
sweep, lease. The engine relies on each of them when it says that it may be killed at any instant.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from koppel.connectors.base import Create, FieldInfo, Gone, Record, Resource, Update
from koppel.errors import NeedsUser, TryLater
from koppel.model import Address, Ref
from koppel.store import Store
from koppel.store.codec import decode, decode_record, decode_write
from koppel.store.values import CouplingRow, FormerPair, PlannedStep, ReplicaRow, StepBody
from koppel.sync.rule import Side
from koppel.sync.state import FieldChange, FieldConflict, FieldNotice

KEY = b"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
OTHER_KEY = b"OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg="


@dataclass
class Clock:
    """A clock that stands still until somebody moves it on."""

    now: datetime = datetime(2026, 11, 2, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        """Move it on."""
        self.now += timedelta(seconds=seconds)


def record(number: int, side: Side = "crm", **fields: Any) -> Record:
    """A record of one side."""
    resource = "organisation" if side == "crm" else "party"
    return Record(resource=resource, id=str(number), version=f"v{number}", fields=fields)


def coupling(number: int, **values: Any) -> CouplingRow:
    """A coupling of the records of that number."""
    row = CouplingRow(id=f"{number:032x}", entity="partner", label=f"Partner {number}", **values)
    row.put("crm", record(number, "crm", name=f"Partner {number}"))
    row.put("erp", record(number, "erp", name=f"Partner {number}"))
    return row


def replica(number: int, side: Side = "crm", **values: Any) -> ReplicaRow:
    """What was read of a record."""
    return ReplicaRow(
        entity="partner",
        side=side,
        record=str(number),
        version=f"v{number}",
        label=f"Partner {number}",
        content=record(number, side, name=f"Partner {number}"),
        features=b"{}",
        **values,
    )


def step(number: int, **values: Any) -> PlannedStep:
    """A step of a plan."""
    return PlannedStep(number=number, entity="partner", kind="update", **values)


class Stop(Exception):
    """Where a transaction of a test ends before its time."""


class StoreFixtures:
    """What a subclass gives."""

    @pytest.fixture
    def clock(self) -> Clock:
        """The store's clock."""
        return Clock()

    @pytest.fixture
    def store(self, clock: Clock) -> Store:
        """An empty store."""
        raise NotImplementedError

    @pytest.fixture
    def reopen(self, clock: Clock) -> Callable[[bytes], Store]:
        """Opens the same store anew, with a key."""
        raise NotImplementedError


class ConnectionRules(StoreFixtures):
    """Connections, their secrets, their schema."""

    def put(self, store: Store, **secrets: str) -> None:
        store.connections.put(
            "creme", side="crm", type="creme", config={"url": "http://x"}, secrets=secrets
        )

    def test_settings_and_secrets_come_back_together(self, store: Store) -> None:
        self.put(store, token="s3cret")
        assert store.connections.settings("creme") == {"url": "http://x", "token": "s3cret"}

    def test_a_secret_is_encrypted_at_rest(self, store: Store) -> None:
        self.put(store, token="s3cret")
        row = store.connections.get("creme")
        assert b"s3cret" not in bytes(row.secrets)
        assert "s3cret" not in f"{row!r} {vars(row)}"

    def test_secrets_survive_a_restart_and_a_key_that_is_rotated(
        self, store: Store, reopen: Callable[[bytes], Store]
    ) -> None:
        self.put(store, token="s3cret")
        assert reopen(KEY).connections.settings("creme")["token"] == "s3cret"
        both = reopen(OTHER_KEY + b" " + KEY)
        self.put(both, token=both.connections.settings("creme")["token"])
        assert reopen(OTHER_KEY).connections.settings("creme")["token"] == "s3cret"

    @pytest.mark.parametrize("key", [OTHER_KEY, b"", b"no key at all"])
    def test_without_the_right_key_a_person_is_told_and_nothing_is_shown(
        self, store: Store, reopen: Callable[[bytes], Store], key: bytes
    ) -> None:
        self.put(store, token="s3cret")
        with pytest.raises(NeedsUser) as told:
            reopen(key).connections.settings("creme")
        assert told.value.remedy
        assert "s3cret" not in str(told.value)
        assert not key or key.decode() not in str(told.value)

    def test_an_unknown_connection_names_the_known_ones(self, store: Store) -> None:
        self.put(store)
        with pytest.raises(NeedsUser, match="creme"):
            store.connections.get("cream")

    def test_a_pause_stays_until_it_is_lifted(self, store: Store) -> None:
        self.put(store)
        store.connections.pause("creme", "the log-in has expired")
        assert store.connections.get("creme").paused == "the log-in has expired"
        store.connections.pause("creme", "")
        assert not store.connections.get("creme").paused

    def test_away_counts_from_the_first_time_until_it_is_seen(
        self, store: Store, clock: Clock
    ) -> None:
        self.put(store)
        first = clock.now
        store.connections.away("creme")
        clock.forward(60)
        store.connections.away("creme")
        assert store.connections.get("creme").away_since == first
        store.connections.seen("creme")
        assert store.connections.get("creme").away_since is None

    def test_a_schema_drifts_from_what_was_accepted(self, store: Store) -> None:
        self.put(store)
        old = (Resource(name="a", label="A", fields=(FieldInfo(name="x", type="text"),)),)
        new = (Resource(name="a", label="A", fields=(FieldInfo(name="y", type="text"),)),)
        assert not store.connections.drifted("creme", old)
        store.connections.accept_schema("creme", old)
        assert store.connections.schema("creme") == old
        assert not store.connections.drifted("creme", old)
        assert store.connections.drifted("creme", new)


class DocumentRules(StoreFixtures):
    """Rules, mappings and overlays with all their versions."""

    def test_each_change_is_a_version_and_none_is_ever_changed(self, store: Store) -> None:
        assert store.documents.put("rule", "partner", "a = 1", author="anna") == 1
        assert store.documents.put("rule", "partner", "a = 2") == 2
        assert store.documents.get("rule", "partner") == "a = 2"
        assert store.documents.get("rule", "partner", 1) == "a = 1"
        assert [row.author for row in store.documents.versions("rule", "partner")] == ["", "anna"]

    def test_the_same_content_is_no_new_version(self, store: Store) -> None:
        store.documents.put("rule", "partner", "a = 1")
        newest = store.documents.newest()
        assert store.documents.put("rule", "partner", "a = 1") == 1
        assert store.documents.newest() == newest

    def test_what_is_not_there_is_none(self, store: Store) -> None:
        assert store.documents.get("rule", "nothing") is None
        assert store.documents.get("rule", "nothing", 3) is None

    def test_names_keep_the_order_in_which_they_were_made(self, store: Store) -> None:
        for name in ("partner", "contact", "address"):
            store.documents.put("rule", name, "a = 1")
        store.documents.put("rule", "partner", "a = 2")
        assert store.documents.names("rule") == ["partner", "contact", "address"]
        assert store.documents.names("mapping") == []


FIELDS: dict[str, Any] = {
    "decimal": Decimal("1.00"),
    "date": date(2026, 2, 28),
    "moment": datetime(2026, 2, 28, 1, 2, 3, 4, tzinfo=UTC),
    "address": Address(line1="Weg 1", city="Łódź", country="PL"),
    "ref": Ref("partner", "c1"),
    "tuple": ("a", 1, None),
    "list": [{"id": "1", "$odd": True}, []],
    "dict": {"$decimal": "a dict that looks like a number"},
    "bytes": b"\x00\xff",
    "none": None,
    "zero": 0,
    "no": False,
}


class CouplingRules(StoreFixtures):
    """Couplings with both bases, and cursors."""

    def test_a_base_comes_back_as_exactly_what_the_side_returned(
        self, store: Store, reopen: Callable[[bytes], Store]
    ) -> None:
        row = coupling(1)
        row.put("crm", record(1, **FIELDS))
        store.couplings.save([row])
        found = reopen(KEY).couplings.by_id([row.id])[row.id]
        assert found == row
        assert isinstance(found.crm_base, Record)
        for name, value in FIELDS.items():
            assert type(found.crm_base.fields[name]) is type(value), name

    def test_a_coupling_is_found_by_either_record(self, store: Store) -> None:
        store.couplings.save([coupling(n) for n in range(1, 6)])
        assert store.couplings.by_record("partner", "erp", ["3", "9"])["3"].crm_id == "3"
        assert store.couplings.by_record("contact", "erp", ["3"]) == {}
        assert store.couplings.versions("partner", "crm", ["2"]) == {
            "2": (f"{2:032x}", "v2", "active")
        }
        assert store.couplings.locate("partner", "erp", [f"{4:032x}"]) == {f"{4:032x}": "4"}

    def test_a_record_is_in_one_coupling_only(self, store: Store) -> None:
        store.couplings.save([coupling(1)])
        rival = coupling(2)
        rival.put("crm", record(1))
        with pytest.raises(IntegrityError), transaction.atomic():
            store.couplings.save([rival])
        assert store.couplings.count() == 1

    def test_saving_again_replaces_it_and_tells_when_both_were_in_step(
        self, store: Store, clock: Clock
    ) -> None:
        row = coupling(1)
        store.couplings.save([row])
        first = clock.now
        clock.forward(60)
        row.state = "dormant"
        store.couplings.save([row], in_step=False)
        assert store.couplings.in_step_at(row.id) == first.isoformat()
        assert store.couplings.count("partner", "dormant") == 1
        store.couplings.save([row])
        assert store.couplings.in_step_at(row.id) == clock.now.isoformat()

    def test_all_are_walked_through_in_pages_while_rows_are_saved(self, store: Store) -> None:
        store.couplings.save([coupling(n) for n in range(1, 26)])
        seen = []
        for row in store.couplings.each("partner", page=10):
            seen.append(row.crm_id)
            store.couplings.save([row])
        assert sorted(seen, key=lambda found: int(found or 0)) == [str(n) for n in range(1, 26)]

    def test_more_ids_than_a_statement_takes_are_asked_for(self, store: Store) -> None:
        rows = [coupling(n) for n in range(1, 1201)]
        store.couplings.save(rows)
        assert len(store.couplings.by_id(row.id for row in rows)) == 1200
        store.couplings.remove(row.id for row in rows[:1000])
        assert store.couplings.count() == 200

    def test_a_pair_that_was_is_remembered_until_it_is_one_again(self, store: Store) -> None:
        rows = [coupling(n) for n in (1, 2)]
        pairs = [
            FormerPair(
                entity="partner",
                crm_id=str(row.crm_id),
                erp_id=str(row.erp_id),
                coupling=row.id,
                crm_base=row.crm_base,
                erp_base=row.erp_base,
                asked=row.crm_id == "2",
            )
            for row in rows
        ]
        store.couplings.remember([*pairs, pairs[0]])
        wanted = [("1", "1"), ("2", "2"), ("1", "2")]
        assert store.couplings.former("contact", wanted) == {}
        assert store.couplings.former("partner", wanted) == {
            ("1", "1"): pairs[0],
            ("2", "2"): pairs[1],
        }
        store.couplings.together_again("partner", ["1", "2"])
        assert len(store.couplings.former("partner", wanted)) == 2
        store.couplings.save(rows[:1])
        store.couplings.together_again("partner", ["1", "2"])
        assert store.couplings.former("partner", wanted) == {("2", "2"): pairs[1]}

    def test_a_former_pair_is_told_of_while_one_of_its_records_is_new(self, store: Store) -> None:
        pair = FormerPair(entity="partner", crm_id="1", erp_id="2", coupling="c")
        store.couplings.remember([pair])
        assert store.couplings.returned("partner") == []
        store.replica.put([replica(1), replica(2)])
        assert store.couplings.returned("partner") == [pair]
        store.replica.settle("partner", "crm", ["1", "2"], coupled=False)
        assert store.couplings.returned("partner") == []
        store.replica.put([replica(2, "erp")])
        assert store.couplings.returned("partner") == [pair]
        store.replica.put([replica(2, "erp", coupled=True)])
        assert store.couplings.returned("partner") == []

    def test_who_was_left_alone_is_free_to_be_coupled(self, store: Store) -> None:
        left = coupling(1, state="parted")
        left.erp_id = left.erp_base = None
        left.erp_version = ""
        store.couplings.save([left, coupling(3)])
        anew = coupling(2)
        anew.put("crm", record(1))
        store.couplings.free([anew])
        store.couplings.save([anew])
        assert store.couplings.by_record("partner", "crm", ["1"])["1"].id == anew.id
        assert store.couplings.count("partner") == 2
        taken_up = coupling(3)
        taken_up.state = "parted"
        store.couplings.save([taken_up])
        store.couplings.free([taken_up])
        assert store.couplings.count("partner", "parted") == 1

    def test_cursors_move_together_or_not_at_all(self, store: Store) -> None:
        store.couplings.move_cursors({("partner", "crm"): "1", ("partner", "erp"): "2"})
        with suppress(Stop), transaction.atomic():
            store.couplings.move_cursors({("partner", "crm"): "8"})
            store.couplings.move_cursors({("partner", "erp"): "9"})
            raise Stop
        assert store.couplings.cursor("partner", "crm") == "1"
        assert store.couplings.cursor("partner", "erp") == "2"

    def test_a_cursor_moves_only_with_what_its_page_produced(
        self, store: Store, reopen: Callable[[bytes], Store]
    ) -> None:
        with suppress(Stop), transaction.atomic():
            store.couplings.save([coupling(1)])
            store.replica.put([replica(2)])
            store.couplings.move_cursors({("partner", "crm"): "7"})
            raise Stop
        again = reopen(KEY)
        assert again.couplings.cursor("partner", "crm") is None
        assert again.couplings.count() == 0
        assert again.replica.get("partner", "crm", ["2"]) == {}

    def test_a_forgotten_cursor_begins_anew(self, store: Store) -> None:
        store.couplings.move_cursors({("partner", "crm"): "1", ("contact", "crm"): "2"})
        store.couplings.forget_cursors("partner")
        assert store.couplings.cursor("partner", "crm") is None
        assert store.couplings.cursor("contact", "crm") == "2"


class JournalRules(StoreFixtures):
    """Intent before a write, outcome after it."""

    def write(self, number: int) -> Update:
        return Update(
            resource="party",
            key=f"k{number}",
            id=str(number),
            expected=f"v{number}",
            fields={"limit": Decimal("1.50")},
        )

    def intend(self, store: Store, *numbers: int) -> Any:
        run = store.runs.start("sync")
        change = FieldChange(
            field="limit", side="erp", old=None, new=Decimal("1.50"), owner="erp", why="so"
        )
        planned = [
            (
                step(
                    n,
                    coupling=f"{n:032x}",
                    erp_id=str(n),
                    body=StepBody(erp=record(n, "erp", limit=None), changes=(change,)),
                ),
                self.write(n),
            )
            for n in numbers
        ]
        store.runs.add_steps(run, [one for one, _ in planned])
        store.journal.intend(run, "erp", planned)
        return run

    def test_an_intent_is_there_after_a_crash_with_all_that_recovery_needs(
        self, store: Store, reopen: Callable[[bytes], Store]
    ) -> None:
        self.intend(store, 1)
        (entry,) = reopen(KEY).journal.open_intents()
        assert decode_write(entry.write) == self.write(1)
        assert decode_record(entry.before) == record(1, "erp", limit=None)
        assert decode(entry.changes) == [["limit", None, Decimal("1.50"), "erp", "so"]]

    def test_an_outcome_closes_its_intent_and_an_unknown_one_leaves_it_open(
        self, store: Store
    ) -> None:
        run = self.intend(store, 1, 2, 3, 4)
        store.journal.settle(
            [
                ("k1", "done", record(1, "erp", limit=Decimal("1.5")), ""),
                ("k2", "refused", None, "No."),
                ("k3", "unknown", None, "The answer was lost."),
            ]
        )
        assert [entry.key for entry in store.journal.open_intents()] == ["k3", "k4"]
        assert store.journal.count(run.id) == 1
        states = [(entry.state, entry.message) for entry in store.journal.of_run(run.id)]
        assert states[:2] == [("done", ""), ("refused", "No.")]
        after = decode_record(store.journal.of_run(run.id)[0].after)
        assert after == record(1, "erp", limit=Decimal("1.5"))

    def test_a_creation_learns_its_id_from_the_outcome(self, store: Store) -> None:
        run = store.runs.start("sync")
        made = Create(resource="party", key="new-1", fields={"name": "A"})
        store.journal.intend(run, "erp", [(step(1, coupling="c1"), made)])
        assert store.journal.of_run(run.id)[0].record == ""
        store.journal.settle([("new-1", "done", record(77, "erp", name="A"), "")])
        assert store.journal.of_run(run.id)[0].record == "77"
        assert [entry.record for entry in store.journal.of_coupling("c1")] == ["77"]

    def test_no_write_is_intended_twice(self, store: Store) -> None:
        self.intend(store, 1)
        with pytest.raises(IntegrityError), transaction.atomic():
            self.intend(store, 1)

    def test_intents_of_a_transaction_that_failed_are_not_there(self, store: Store) -> None:
        with suppress(Stop), transaction.atomic():
            self.intend(store, 1)
            raise Stop
        assert store.journal.open_intents() == []

    def test_the_last_run_that_wrote_is_no_undo(self, store: Store) -> None:
        with pytest.raises(NeedsUser, match="nothing to undo"):
            store.journal.last_writing_run()
        run = self.intend(store, 1)
        store.journal.settle([("k1", "done", record(1, "erp"), "")])
        undo = store.runs.start("undo", undoes=run.id)
        store.journal.intend(undo, "erp", [(step(1, coupling="c"), self.write(9))])
        store.journal.settle([("k9", "done", record(9, "erp"), "")])
        assert store.journal.last_writing_run() == run.id

    def test_a_run_that_still_looks_for_changes_is_not_listed_yet(self, store: Store) -> None:
        kept = store.runs.start("sync", trigger="manual")
        looking = store.runs.start("sync", trigger="poll")
        assert [run.id for run in store.runs.recent()] == [kept.id]
        store.runs.update(looking, state="applying")
        assert [run.id for run in store.runs.recent()] == [looking.id, kept.id]

    def test_a_run_that_a_crash_left_is_closed_and_its_plan_void(self, store: Store) -> None:
        left = store.runs.start("sync")
        ready = store.runs.start("plan")
        store.runs.update(ready, state="ready")
        mine = store.runs.start("sync")
        assert store.runs.abandon_unfinished(mine) == 1
        store.runs.supersede(mine)
        assert store.runs.get(left.id).state == "interrupted"
        assert store.runs.get(ready.id).state == "superseded"
        assert store.runs.get(mine.id).state == "planning"

    def test_a_step_comes_back_whole_and_in_its_order(self, store: Store) -> None:
        run = store.runs.start("plan")
        conflict = FieldConflict(field="x", crm_base=1, erp_base=2, crm=3, erp=None, why="both")
        notice = FieldNotice(field="x", side="crm", lost="a", kept="b", owner="erp", why="owned")
        body = StepBody(
            reason="because",
            writes={"erp": {"address": Address(line1="Weg 1"), "limit": Decimal("1.0")}},
            conflicts=(conflict,),
            notices=(notice,),
            closed=("y",),
            crm=record(1, name="A"),
            erp=Gone(resource="party", id="1", merged_into="2"),
        )
        steps = [step(n, coupling=f"{n:032x}", body=body if n == 1 else StepBody()) for n in (2, 1)]
        store.runs.add_steps(run, steps)
        found = [one for page in store.runs.steps(run, page=1) for one in page]
        assert [one.number for one in found] == [1, 2]
        assert found[0] == steps[1]
        assert store.runs.next_number(run) == 3

    def test_a_run_about_another_pair_is_left_alone(self, store: Store) -> None:
        other = store.runs.start("sync", scope="crm2/erp2")
        both = store.runs.start("sync", scope="crm/erp\ncrm2/erp2")
        mine = store.runs.start("sync", scope="crm/erp")
        assert store.runs.abandon_unfinished(mine) == 1
        assert store.runs.get(other.id).state == "planning"
        assert store.runs.get(both.id).state == "interrupted"
        store.runs.end(other, "held")
        store.runs.supersede(mine)
        assert store.runs.held("crm/erp") is None
        found = store.runs.held("crm2/erp2")
        assert found is not None
        assert found.id == other.id

    def test_rivals_come_in_whole_families_whatever_the_page(self, store: Store) -> None:
        # A chain of ten, a star of four, and a pair that stands alone.
        chain = [(f"c{n // 2 + n % 2}", f"e{n // 2}") for n in range(10)]
        star = [("s", f"t{n}") for n in range(4)]
        store.pairs.begin()
        store.pairs.add_scores(
            [(crm, erp, 0.9, "couple", ("same name",)) for crm, erp in [*chain, *star, ("x", "y")]]
        )
        store.pairs.settle_scores()
        for page in (1, 3, 100):
            found = [{score[:2] for score in rivals} for rivals in store.pairs.rivals(page)]
            assert set().union(*found) == {*chain, *star}
            for one in found:
                assert set(chain) <= one or not set(chain) & one
                assert set(star) <= one or not set(star) & one
        assert [score[:2] for page_ in store.pairs.alone() for score in page_] == [("x", "y")]


class InboxRules(StoreFixtures):
    """Conflicts, notices, quarantine, pending, review, log."""

    def conflict(self, store: Store, field: str = "email", crm: str = "a") -> int:
        run = store.runs.start("sync")
        item = FieldConflict(field=field, crm_base="o", erp_base="o", crm=crm, erp="b", why="both")
        store.inbox.open_conflicts(run, "c1", "partner", "Partner 1", [item])
        return store.inbox.conflicts()[-1].id

    def test_a_conflict_opens_once_and_follows_the_values(self, store: Store) -> None:
        first = self.conflict(store)
        assert self.conflict(store, crm="a2") == first
        (row,) = store.inbox.conflicts()
        assert decode(row.values) == ["o", "o", "a2", "b"]
        assert store.inbox.open_fields(["c1"]) == {"c1": {"email": None}}

    def test_a_resolution_waits_until_it_is_carried_out(self, store: Store) -> None:
        number = self.conflict(store)
        store.inbox.resolve(number, Decimal("1.0"), by="anna")
        assert store.inbox.open_fields(["c1"]) == {"c1": {"email": [Decimal("1.0")]}}
        assert store.inbox.resolved_couplings("partner") == ["c1"]
        store.inbox.close_conflicts("c1", ["email"])
        assert store.inbox.resolved_couplings("partner") == []
        with pytest.raises(NeedsUser, match="closed"):
            store.inbox.resolve(number, "x", by="anna")

    def test_nothing_is_left_to_be_decided_about_a_pair_that_is_over(self, store: Store) -> None:
        row = coupling(1)
        row.id, row.state = "c1", "parted"
        number = self.conflict(store)
        self.conflict(store, "phone")
        store.inbox.resolve(number, "x", by="anna")
        assert store.inbox.resolved_couplings("partner") == ["c1"]
        store.couplings.save([row])
        assert store.inbox.resolved_couplings("partner") == []
        store.inbox.pair_over("c1")
        assert store.inbox.conflicts() == store.inbox.conflicts(state="resolved") == []

    def test_the_same_error_twice_is_quarantine_another_one_counts_anew(self, store: Store) -> None:
        def fails(reason: str) -> bool:
            return store.inbox.failed("partner", "crm", "1", label="P", reason=reason, version="v1")

        assert not fails("too long")
        assert not fails("no such country")
        assert store.inbox.quarantine() == []
        assert fails("no such country")
        assert store.inbox.quarantined("partner", "crm", ["1", "2"]) == {"1": "v1"}
        store.inbox.healed("partner", "crm", ["1"])
        assert store.inbox.quarantine() == []

    def test_a_released_record_is_looked_at_again(self, store: Store) -> None:
        for _ in range(2):
            store.inbox.failed("partner", "erp", "1", label="P", reason="no")
        (row,) = store.inbox.quarantine()
        store.inbox.release(row.id)
        assert store.inbox.quarantine() == []
        assert store.inbox.pending("partner", "erp") == ["1"]

    def test_a_child_waits_for_its_parent_and_is_released_by_it(self, store: Store) -> None:
        store.inbox.wait("contact", "crm", "5", reason="no parent", waits_for="partner:crm:1")
        assert store.inbox.pending("contact", "crm") == []
        assert store.inbox.arrived(["partner:crm:2", "partner:crm:1"]) == 1
        assert store.inbox.pending("contact", "crm") == ["5"]
        store.inbox.done_waiting("contact", "crm", ["5"])
        assert store.inbox.all_pending() == []

    def test_a_pair_that_a_person_answered_is_never_proposed_again(self, store: Store) -> None:
        store.inbox.propose("partner", "1", "2", score=0.7, reasons=["name"])
        (row,) = store.inbox.reviews()
        store.inbox.answer(row.id, "different", by="anna")
        store.inbox.propose("partner", "1", "2", score=0.9, reasons=["name"])
        assert store.inbox.reviews() == []
        assert store.inbox.answers("partner") == {("1", "2"): "different"}

    def test_a_pair_that_was_called_the_same_is_asked_about_where_it_is_proposed_again(
        self, store: Store
    ) -> None:
        for crm in ("1", "2"):
            store.inbox.propose("partner", crm, "2", score=0.7, reasons=["name"])
        for row in store.inbox.reviews():
            store.inbox.answer(row.id, "same", by="anna")
        store.inbox.propose("partner", "1", "2", score=1.0, reasons=["came back"])
        (row,) = store.inbox.reviews()
        assert (row.crm_id, row.reasons) == ("1", ["came back"])
        store.inbox.forget_same("partner", [("1", "2"), ("2", "2")])
        assert store.inbox.answers("partner") == {}
        assert len(store.inbox.reviews()) == 1

    def test_an_answer_later_keeps_the_question(self, store: Store) -> None:
        store.inbox.propose("partner", "1", "2", score=0.7, reasons=["name"])
        store.inbox.answer(store.inbox.reviews()[0].id, "later", by="anna")
        assert len(store.inbox.reviews()) == 1
        assert store.inbox.under_review("partner", "erp", ["2", "3"]) == {"2"}

    def test_a_proposal_is_moot_once_both_its_records_are_coupled(self, store: Store) -> None:
        store.couplings.save([coupling(1), coupling(2)])
        store.inbox.propose("partner", "1", "2", score=0.7, reasons=[])
        store.inbox.propose("partner", "1", "9", score=0.7, reasons=[])
        store.inbox.close_reviews("partner", ["1"], ["1"])
        assert [(row.crm_id, row.erp_id) for row in store.inbox.reviews()] == [("1", "9")]

    def test_a_lost_value_is_kept_with_its_type(self, store: Store) -> None:
        run = store.runs.start("sync")
        notice = FieldNotice(
            field="limit", side="crm", lost=Decimal("5.0"), kept=None, owner="erp", why="owned"
        )
        store.inbox.add_notices(run, "c1", "partner", "P", [notice])
        assert decode(store.inbox.notices()[0].values) == [Decimal("5.0"), None]

    def test_what_people_do_by_hand_is_logged(self, store: Store) -> None:
        store.inbox.log("anna", "resolve", "conflict 1", field="email")
        (event,) = store.inbox.events()
        assert (event.user, event.action, event.detail) == ("anna", "resolve", {"field": "email"})

    def test_the_totals_count_all_that_waits(self, store: Store) -> None:
        self.conflict(store)
        store.inbox.propose("partner", "1", "2", score=0.7, reasons=[])
        store.inbox.wait("contact", "crm", "5", reason="x", waits_for="partner:crm:1")
        totals = store.inbox.totals()
        assert (totals["conflicts"], totals["reviews"], totals["waiting"]) == (1, 1, 1)


class ReplicaRules(StoreFixtures):
    """What was read of each record, and the sweep that finds deletes."""

    def test_a_replica_is_fresh_until_it_is_settled(self, store: Store) -> None:
        store.replica.put([replica(1), replica(2), replica(3, "erp")])
        assert store.replica.any_fresh("partner")
        store.replica.settle("partner", "crm", ["1"], coupled=True)
        fresh = [row.record for page in store.replica.fresh("partner", "crm") for row in page]
        assert fresh == ["2"]
        assert store.replica.get("partner", "crm", ["1"])["1"].content is None
        store.replica.settle_fresh("partner")
        assert not store.replica.any_fresh("partner")
        store.replica.refresh("partner", "crm", ["1"])
        assert store.replica.any_fresh("partner")

    def test_reading_again_replaces_it(self, store: Store) -> None:
        store.replica.put([replica(1, keys=(("vat:1", True),))])
        newer = replica(1, keys=(("vat:2", True),))
        newer.version = "v9"
        store.replica.put([newer])
        assert store.replica.count("partner", "crm") == 1
        assert store.replica.versions("partner", "crm", ["1"]) == {"1": ("v9", True)}

    def test_a_sweep_tells_what_is_missing_and_what_changed(self, store: Store) -> None:
        store.couplings.save([coupling(n) for n in (1, 2, 3)])
        store.replica.put([replica(10), replica(11)])
        store.replica.begin_sweep()
        store.replica.add_sweep([("1", "v1"), ("2", "another")])
        store.replica.add_sweep([("10", "v10"), ("12", "v12")])
        assert store.replica.swept() == 4
        found = store.replica.sweep_result("partner", "crm")
        assert sorted(found.missing) == ["11", "3"]
        assert sorted(found.changed) == ["12", "2"]
        store.replica.begin_sweep()
        assert store.replica.swept() == 0

    def test_parted_and_undone_couplings_miss_nothing(self, store: Store) -> None:
        rows = [coupling(n) for n in (1, 2, 3)]
        for row, state in zip(rows, ("active", "parted", "undone"), strict=True):
            row.state = state
        store.couplings.save(rows)
        store.replica.begin_sweep()
        store.replica.add_sweep([])
        assert store.replica.sweep_result("partner", "crm").missing == ["1"]


class LeaseRules(StoreFixtures):
    """At most one writer."""

    def test_only_one_holds_it(self, store: Store, clock: Clock) -> None:
        assert store.lease.take("engine", "elsewhere:1", seconds=60)
        assert not store.lease.take("engine", "otherwhere:2", seconds=60)
        assert store.lease.holder("engine") == "elsewhere:1"
        assert store.lease.take("engine", "elsewhere:1", seconds=60)
        store.lease.give_back("engine", "otherwhere:2")
        assert store.lease.holder("engine") == "elsewhere:1"
        store.lease.give_back("engine", "elsewhere:1")
        assert store.lease.take("engine", "otherwhere:2", seconds=60)

    def test_one_that_is_not_renewed_runs_out(self, store: Store, clock: Clock) -> None:
        store.lease.take("engine", "elsewhere:1", seconds=60)
        clock.forward(59)
        assert not store.lease.take("engine", "otherwhere:2", seconds=60)
        clock.forward(2)
        assert store.lease.holder("engine") == ""
        assert store.lease.take("engine", "otherwhere:2", seconds=60)

    def test_who_was_silent_for_too_long_settles_nothing(self, store: Store, clock: Clock) -> None:
        store.lease.take("engine", "elsewhere:1", seconds=60)
        with transaction.atomic():
            store.lease.hold("engine", "elsewhere:1")
        clock.forward(61)
        store.lease.take("engine", "otherwhere:2", seconds=60)

        def settle() -> None:
            with transaction.atomic():
                store.couplings.save([coupling(1)])
                store.lease.hold("engine", "elsewhere:1")

        with pytest.raises(TryLater, match="taken the work over"):
            settle()
        assert store.couplings.count() == 0


class StoreContract(
    ConnectionRules,
    DocumentRules,
    CouplingRules,
    JournalRules,
    InboxRules,
    ReplicaRules,
    LeaseRules,
):
    """All groups."""
