"""The journey on PostgreSQL: the same scenarios as on SQLite, in a selection of every kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connections

from koppel.store import open_store
from koppel.store.searching import name_key, search
from koppel.store.seen_models import Customer
from koppel.testing.store_given import KEY
from tests.postgres import Databases, empty
from tests.scenarios import test_both_sides as both
from tests.scenarios import test_engine as engine
from tests.scenarios import test_golive_audit as audit
from tests.scenarios import test_golive_load as load
from tests.scenarios import test_thrift as thrift
from tests.scenarios.pair import PairOfSystems, Ticking, pair_on

pytestmark = pytest.mark.xdist_group("postgres")


@pytest.fixture(scope="module")
def address(databases: Databases) -> str:
    """One database for all of them."""
    return databases.fresh()


@pytest.fixture
def pair(address: str) -> Iterator[PairOfSystems]:
    """A pair of memory systems whose store is on PostgreSQL."""
    yield pair_on(empty(address, Ticking()))
    connections.close_all()


test_coupled = engine.test_the_same_companies_are_coupled_and_a_second_run_writes_nothing
test_created = engine.test_an_erp_customer_without_a_match_is_made_in_the_crm
test_both_ways = engine.test_a_change_travels_both_ways
test_conflict = engine.test_both_sides_changed_becomes_a_conflict_for_that_field_alone
test_notice = engine.test_an_edit_on_the_wrong_side_is_put_back_and_kept_as_a_notice
test_quarantine = engine.test_a_record_that_fails_twice_goes_to_quarantine_and_the_rest_goes_on
test_undo = engine.test_undo_puts_both_sides_back_and_the_next_run_leaves_it_so
test_number = both.test_the_number_that_the_erp_gives_is_in_the_crm_after_the_same_run
test_killed_load = load.test_a_load_that_is_killed_goes_on_where_it_stopped
filled = audit.filled
test_audited = audit.test_every_one_of_200_edits_is_found_and_nothing_else
test_proved_again = audit.test_a_pair_in_step_is_proved_without_its_content
test_thrift = thrift.test_a_plan_takes_what_reading_has_mapped
mapped = thrift.mapped


def test_beginnings_of_names_are_found_whatever_the_language_of_the_database(
    databases: Databases,
) -> None:
    server, name = databases.server, "koppel_german"
    server.execute(
        f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'"
    )
    store = open_store(server.url(name), clock=Ticking(), key=KEY)
    try:
        made = [
            Customer.objects.create(name=name, name_key=name_key(name), crm_id=name)
            for name in ("Öbst & Söhne", "Obermeier KG", "Olivenhain AG", "Zoberst GmbH")
        ]
        assert search("ob") == [made[1].pk, made[0].pk]
        assert search("o") == [made[1].pk, made[0].pk, made[2].pk]
    finally:
        store.close()
        connections.close_all()
