"""The contract of a store about runs: intents and outcomes, steps, and what waits for a person."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from koppel.connectors.base import Create, Gone, Update
from koppel.errors import NeedsUser
from koppel.model import Address
from koppel.store import Store
from koppel.store.codec import decode, decode_record, decode_write
from koppel.store.values import StepBody
from koppel.sync.state import FieldChange, FieldConflict, FieldNotice
from koppel.testing.store_given import (
    KEY,
    Stop,
    StoreFixtures,
    coupling,
    record,
    step,
)


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

    def test_what_was_open_when_a_pair_ended_is_open_again_with_it(self, store: Store) -> None:
        number = self.conflict(store)
        self.conflict(store, "phone")
        store.inbox.pair_over("c1")
        assert store.inbox.left_open(["c1", "c2"]) == {"c1": {"email", "phone"}}
        assert self.conflict(store, crm="a2") == number
        (row,) = store.inbox.conflicts()
        assert (row.field, row.closed_at) == ("email", None)
        store.inbox.pairs_again(["c1"])
        assert store.inbox.left_open(["c1"]) == {}
        assert [row.field for row in store.inbox.conflicts()] == ["email"]

    def test_what_refers_to_a_merged_record_is_tried_again(self, store: Store) -> None:
        for entity in ("partner", "contact"):
            for _ in range(2):
                store.inbox.failed(entity, "erp", "4", label="P", reason="it is not there")
        store.inbox.try_dependants("partner")
        assert [row.entity for row in store.inbox.quarantine()] == ["partner"]
        assert store.inbox.pending("contact", "erp") == ["4"]

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
