"""A transfer killed at every boundary, and cut at every call: always exactly one order, whole.

The boundaries are enumerated, not sampled. After each kill the processes start anew, as after a
restart, and go on with what is due.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from koppel.engine.durable import Program
from koppel.errors import Interrupted, KoppelError
from koppel.processes.orders import Orders
from koppel.store.order_models import Process
from koppel.store.work_models import Lease
from koppel.testing.chaos import Kind
from koppel.testing.sales import QUOTE
from tests.scenarios.selling import Selling, line, make_selling


def begun(folder: Path, template: Path) -> tuple[Selling, str]:
    """A pair with a quote of a prospect, so that the transfer promotes it too."""
    selling = make_selling(folder, template)
    quote = selling.quote(
        line("P-001", "3", "9.99"), line("P-002", "2", "5.55"), organisation=selling.prospect
    )
    return selling, quote


def until_done(selling: Selling, quote: str) -> Process:
    """What a serving Koppel does after its start: go on with what is due, however often."""
    orders = selling.orders()
    for _ in range(8):
        row = orders.begin(QUOTE, quote, user="clara")
        if row.state == "done":
            return row
        with suppress(KoppelError):
            orders.go_on(row.id)
    raise AssertionError(f"the order does not arrive: {row.state}, {row.step}, {row.why}")


def assert_one_whole_order(selling: Selling, quote: str, where: str) -> None:
    (sale,) = selling.sales()
    assert selling.erp.made == 1, where
    assert sale.fields["state"] == "processing", where
    assert len(sale.fields["lines"]) == 2, where
    number = sale.fields["number"]
    assert selling.pair.crm.row(QUOTE, quote).fields["erp_number"] == number, where
    parties = [row for row in selling.erp.table("party").order if row.gone is None]
    assert len(parties) == 2, where


def test_a_transfer_killed_at_any_boundary_makes_exactly_one_order(
    tmp_path: Path, store_template: Path
) -> None:
    killed = 0
    while True:
        selling, quote = begun(tmp_path / f"kill-{killed + 1}", store_template)
        selling.plan.kill_at(killed + 1)
        try:
            row = selling.transfer(quote)
        except Interrupted:
            killed += 1
            selling.plan.clear()
            until_done(selling, quote)
            assert_one_whole_order(selling, quote, f"killed at boundary {killed}")
            continue
        assert row.state == "done"
        break
    assert killed > 40


def test_who_was_silent_while_another_worker_ended_the_order_leaves_it_ended(
    tmp_path: Path, store_template: Path
) -> None:
    selling, quote = begun(tmp_path, store_template)
    slept: list[str] = []
    begun_since: list[str] = []

    def sleeps(name: str) -> None:
        if slept and name.startswith("before"):
            begun_since.append(name)
        if name.startswith("remembered") and not slept:
            slept.append(name)
            Lease.objects.filter(name__startswith="process-").delete()
            other = Orders(selling.pair.engine(), program=Program())
            assert [row.state for row in other.run_due()] == ["done"]

    silent = Orders(selling.pair.engine(), boundary=sleeps)
    row = silent.transfer(QUOTE, quote, user="clara")
    assert slept
    assert begun_since == []
    assert row.state == "done"
    assert Process.objects.get(id=row.id).state == "done"
    assert_one_whole_order(selling, quote, "taken over")


@pytest.mark.parametrize("kind", ["refuse", "drop_reply", "lose", "status"])
def test_a_fault_in_any_single_call_of_a_transfer_makes_exactly_one_order(
    kind: Kind, tmp_path: Path, store_template: Path
) -> None:
    place = 0
    while True:
        selling, quote = begun(tmp_path / f"{kind}-{place}", store_template)
        with selling.plan.fault(kind, after=place) as fault, suppress(KoppelError):
            selling.transfer(quote)
        if not fault.hits:
            break
        place += 1
        until_done(selling, quote)
        assert_one_whole_order(selling, quote, f"{kind} in call {place}")
    assert place > 12
