"""What must be true once everything is at rest, whatever happened before.

Each check gives sentences about what is wrong. Together they say: both sides agree; what a person
typed stands there, or is in the inbox; no record and no order is there twice; and where an owner's
value replaced another one, a notice says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from koppel.connectors.base import Record
from koppel.processes.order_transfer import KIND as TRANSFER
from koppel.store.codec import decode, decode_record
from koppel.store.models import Conflict, Coupling, Journal, Notice
from koppel.store.order_models import Process
from koppel.sync.rule import SIDES, Side
from koppel.testing.sales import QUOTE, SALE
from koppel.testing.simulation.world import RATES, World

_AGREED = ("name", "email", "phone", "payment_term", "city")
_UNIT = {"payment_term": "payment_terms", "city": "billing_address"}
_OWNED: dict[str, Side] = {"name": "erp", "payment_term": "erp"}


def check(world: World) -> list[str]:
    """All that is wrong."""
    return [
        *_left_open(world),
        *_doubled(world),
        *_left_out(world),
        *_agree(world),
        *_traced(world),
        *_orders(world),
    ]


def told(world: World) -> list[str]:
    """All texts of the inbox: conflicts and notices with their values, in whatever state."""
    texts = [repr(decode(row.values)) for row in Notice.objects.all()]
    return texts + [repr(decode(row.values)) for row in Conflict.objects.all()]


def _left_open(world: World) -> Iterator[str]:
    for row in world.store.journal.open_intents():
        yield f"the write {row.key} is open"
    # Who points to a record that a person is still asked about has to wait for the answer.
    asked = any(row.field == "" for row in world.store.inbox.conflicts())
    for one in () if asked else world.store.inbox.quarantine():
        yield f"in quarantine: {one.side} {one.record}, {one.reason}"


def _doubled(world: World) -> Iterator[str]:
    for side in SIDES:
        sites = [world.people.see(side, record, "website") for record in world.people.living(side)]
        for site, many in Counter(sites).items():
            if many > 1 and site and site not in world.people.mingled:
                yield f"the {side} has {site} {many} times"
        seen = [record for row in _active(world) if (record := row.record(side))]
        for record, many in Counter(seen).items():
            if many > 1:
                yield f"{side} {record} is in {many} couplings"


def _left_out(world: World) -> Iterator[str]:
    store = world.store
    for side in SIDES:
        living = world.people.living(side)
        known = set(store.couplings.versions("partner", side, living))
        known |= store.inbox.under_review("partner", side, living)
        known |= {row.record for row in store.inbox.all_pending() if row.side == side}
        for record in living:
            customer = side == "erp" or world.people.read(side, record)["role"] == "customer"
            if record not in known and customer:
                yield f"{side} {record} is left out"


def _agree(world: World) -> Iterator[str]:
    rows = _active(world)
    waiting = world.store.inbox.open_fields([row.id for row in rows])
    living = {side: set(world.people.living(side)) for side in SIDES}
    for row in rows:
        open_fields = waiting.get(row.id, {})
        if "" in open_fields:
            continue
        lost = [side for side in SIDES if row.record(side) not in living[side]]
        if lost:
            yield f"{row.label}: coupled, and gone from the {' and '.join(lost)}"
            continue
        for name in _AGREED:
            if _UNIT.get(name, name) in open_fields:
                continue
            crm = world.people.see("crm", str(row.crm_id), name)
            erp = world.people.see("erp", str(row.erp_id), name)
            if crm.casefold() != erp.casefold():
                yield f"{row.label}: {name} is {crm!r} in the CRM and {erp!r} in the ERP"


def _traced(world: World) -> Iterator[str]:
    """Of what a person typed last, what is not where it was typed."""
    texts = "\n".join([*told(world), *world.lost_texts]).casefold()
    anew = _coupled_anew(world)
    for (side, record, name), typed in world.people.ledger.entered.items():
        if record not in world.people.living(side):
            continue
        now = world.people.see(side, record, name)
        if now.casefold() == typed.value.casefold() or typed.value.casefold() in texts:
            continue
        journal = _in_journal(typed.value)
        if journal and (world.put_back or (side, record) in anew):
            # Values of then travel once a person let them, and what the store did not know any
            # more is coupled as at the first time: the plan shows what is replaced.
            continue
        if _OWNED.get(name) == side:
            yield f"{side} {record}: the owner's {name} {typed.value!r} was replaced by {now!r}"
            continue
        # Somebody typed what stands there now, later than this: that is an ordinary change.
        if world.people.ledger.latest.get((name, now.casefold()), 0) > typed.number:
            continue
        kept = "the journal has it" if journal else "nothing knows it"
        yield f"{side} {record}: {name} {typed.value!r} became {now!r} without a word ({kept})"


def _coupled_anew(world: World) -> set[tuple[Side, str]]:
    """Records whose pair was made after a backup of the store was put back that had none of it."""
    if world.store_back is None:
        return set()
    rows = Coupling.objects.filter(entity="partner", created_at__gte=world.store_back)
    return {(side, str(getattr(row, f"{side}_id"))) for row in rows for side in SIDES}


def _in_journal(value: str) -> bool:
    for entry in Journal.objects.all():
        before = decode_record(entry.before)
        if isinstance(before, Record) and value.casefold() in repr(before.fields).casefold():
            return True
    return False


def _orders(world: World) -> Iterator[str]:
    if not world.life.setting.orders or "crm" in world.put_back:
        # A CRM that was put back gives the numbers of quotes out again.
        return
    erp = world.systems["erp"]
    sales = [row for row in erp.table(SALE).order if row.gone is None]
    keys = Counter(str(row.fields["koppel_key"]) for row in sales)
    for key, many in keys.items():
        if many > 1:
            yield f"the ERP has {many} orders of {key}"
    by_quote: dict[str, list[Any]] = {}
    for row in sales:
        by_quote.setdefault(str(row.fields["koppel_key"]).partition("#")[0], []).append(row)
    for quote in world.quotes:
        yield from _order(world, quote, by_quote.get(f"crm/{QUOTE}/{quote}", []))


def _order(world: World, quote: str, sales: list[Any]) -> Iterator[str]:
    row = (
        Process.objects.filter(kind=TRANSFER, subject=f"{QUOTE}/{quote}")
        .order_by("made_at", "id")
        .last()
    )
    if len(sales) > 1:
        yield f"quote {quote} is {len(sales)} orders"
    if row is None:
        return
    if row.state in ("running", "waiting", "failed"):
        yield f"the order of quote {quote} is still {row.state} at '{row.step}': {row.why}"
    if row.state != "done":
        return
    if not sales:
        if "erp" not in world.put_back:
            yield f"the order of quote {quote} is done, and not in the ERP"
        return
    wanted = world.systems["crm"].row(QUOTE, quote).fields
    net = sum(line["quantity"] * line["unit_price"] for line in wanted["lines"])
    if sales[0].fields["untaxed_amount"] != net or len(sales[0].fields["lines"]) != len(RATES):
        yield f"the order of quote {quote} is not whole"
    if wanted["erp_number"] != sales[0].fields["number"]:
        yield f"quote {quote} does not know its number {sales[0].fields['number']}"


def _active(world: World) -> list[Any]:
    return [row for row in world.store.couplings.each("partner") if row.state == "active"]
