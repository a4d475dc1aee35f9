"""`koppel price | values`: what the ERP asks for, and the lists that people choose from."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import msgspec
import typer

from koppel.cli.app import Json, app, session
from koppel.cli.session import Session, out, table, words
from koppel.errors import NeedsUser
from koppel.processes.orders import Orders


@contextmanager
def _orders(here: Session) -> Iterator[Orders]:
    with here.engine("asking the ERP") as engine:
        yield Orders(engine)


@app.command()
def price(
    context: typer.Context,
    customer: Annotated[str, typer.Argument(help="The customer's number or id in the ERP.")],
    product: Annotated[str, typer.Argument(help="The product's number in the ERP.")],
    quantity: Annotated[str, typer.Argument(help="How many.")] = "1",
    currency: Annotated[str, typer.Option(help="ISO 4217; else the customer's or ERP's own.")] = "",
    unit: Annotated[str, typer.Option(help="UN/ECE Rec 20; else the product's own.")] = "",
    date: Annotated[str, typer.Option(help="The day of the order, like 2026-11-30.")] = "",
    steps: Annotated[bool, typer.Option(help="Show the price lists' steps as well.")] = False,
    json: Json = False,
) -> None:
    """Ask the ERP what it charges a customer for a product and a quantity.

    While the ERP is away, its last answer to the same question is told with its age.
    """
    here = session(context, json)
    many, day = _quantity(quantity), _day(date)
    with _orders(here) as orders:
        item = orders.prices.product("", product)
        party = orders.prices.party(customer)
        told = orders.prices.ask(
            party, item, many, unit=unit or None, currency=currency or None, date=day
        )
        found = orders.prices.breaks(item) if steps else None
    value: dict[str, Any] = msgspec.structs.asdict(told)
    if found is not None:
        value["steps"] = [msgspec.structs.asdict(one) for one in found.steps]
    here.print(value, _show)


def _show(value: dict[str, Any]) -> None:
    age = value["age_seconds"]
    old = f", as it was {age:.0f} s ago: the ERP is away" if age else ""
    by = f" by the price list {value['price_list']}" if value["price_list"] else ""
    out.print(
        f"{words(value['unit_price'])} {value['currency']} for one {value['unit']}{by}"
        f" (list price {words(value['list_price'])}){old}",
        highlight=False,
    )
    if value.get("steps"):
        names = ("price_list", "from_quantity", "unit_price", "currency", "unit")
        table("Price lists", names, [[one[name] for name in names] for one in value["steps"]])


def _quantity(text: str) -> Decimal:
    try:
        many = Decimal(text)
    except InvalidOperation as error:
        raise NeedsUser(f"'{text}' is no quantity") from error
    if not many.is_finite() or many <= 0:
        raise NeedsUser(f"'{text}' is no quantity", remedy="Give a number above 0")
    return many


def _day(text: str) -> datetime.date | None:
    if not text:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise NeedsUser(f"'{text}' is no date", remedy="Write it like 2026-11-30") from error


@app.command()
def values(
    context: typer.Context,
    keep: Annotated[bool, typer.Option(help="Add to the CRM's lists what they lack.")] = False,
    json: Json = False,
) -> None:
    """Payment terms, currencies and tax rates: the ERP's beside those to choose from in the CRM."""
    here = session(context, json)
    with _orders(here) as orders:
        added = orders.lists.keep(user=here.user) if keep else []
        found = orders.lists.look()
    value = {
        "values": [msgspec.structs.asdict(one) for one in found],
        "added": [msgspec.structs.asdict(one) for one in added],
    }
    names = ("list", "code", "label", "state")
    here.print(
        value,
        lambda told: table(
            "Value lists", names, [[one[name] for name in names] for one in told["values"]]
        ),
    )
