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
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from koppel.connectors.base import FieldInfo, Record, Resource
from koppel.errors import NeedsUser, TryLater
from koppel.model import Address, Ref
from koppel.store import Store
from koppel.store.values import FormerPair
from koppel.testing.store_given import (
    KEY,
    OTHER_KEY,
    Clock,
    Stop,
    StoreFixtures,
    coupling,
    record,
    replica,
)
from koppel.testing.store_journal import InboxRules, JournalRules


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


class OrderRules(StoreFixtures):
    """Orders of both systems."""

    def test_a_number_of_the_erp_belongs_to_the_order_that_has_it_now(self, store: Store) -> None:
        lost = store.orders.put(key="crm/quote/1", crm_id="1", erp_id="7", state="sale")
        store.orders.put(key="crm/quote/2", crm_id="2", erp_id="7")
        found = store.orders.get(lost.id)
        assert found is not None
        assert (found.erp_id, found.state) == (None, "gone")
        assert store.orders.of_erp(["7"])["7"].crm_id == "2"
        store.orders.put(key="crm/quote/2", erp_id="7", state="sale")
        assert store.orders.of_erp(["7"])["7"].state == "sale"


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
    OrderRules,
    LeaseRules,
):
    """All groups."""
