"""Fills a bare Tryton with the demo world: customers, contact persons, products and sales.

Run inside Tryton's environment: `python -m lab.tryton_inside.demo DATABASE SEEDED.json`. Writes
which record each key of the world became. One transaction, in chunks: SQLite's parser gives up on
the uniqueness check of larger ones.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from trytond.pool import Pool
from trytond.transaction import Transaction

from lab.tryton_inside.products import add_price_lists, add_products, add_stock
from lab.tryton_inside.sales import add_sales
from lab.tryton_inside.telling import tell
from lab.tryton_inside.within import in_transaction
from lab.world import ErpPartner, Person, World, build

T = TypeVar("T")
Values = dict[str, Any]

CHUNK = 80
VAT_TYPES = {"CH": "ch_vat", "NO": "no_vat"}
"""Tryton's identifier type by prefix; all others are of the European Union."""


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items, CHUNK at a time."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


class Places:
    """Tryton's ids of what the world names by code."""

    def __init__(self) -> None:
        pool = Pool()
        self.countries = {c.code: c.id for c in pool.get("country.country").search([])}
        self.languages = {c.code: c.id for c in pool.get("ir.lang").search([])}
        terms = pool.get("account.invoice.payment_term").search([])
        self.terms = {term.name: term.id for term in terms}


def channels(**values: str) -> list[Any]:
    """The contact mechanisms that have a value, in the order given."""
    found = [{"type": kind, "value": value} for kind, value in values.items() if value]
    return [("create", found)] if found else []


def customer(partner: ErpPartner, places: Places) -> Values:
    """A customer with all its addresses, numbers and terms."""
    return {
        "name": partner.name,
        "lang": places.languages[partner.language],
        "customer_payment_term": places.terms.get(partner.payment_term),
        "addresses": [("create", [
            {
                "attn": address.name or None,
                "street_unstructured": address.street,
                "postal_code": address.postal_code,
                "city": address.city,
                "country": places.countries[address.country],
                "invoice": address.invoice,
                "delivery": address.delivery,
            }
            for address in partner.addresses
        ])],
        "contact_mechanisms": channels(
            phone=partner.phone, fax=partner.fax, email=partner.email, website=partner.website
        ),
        "identifiers": [("create", [
            {"type": VAT_TYPES.get(partner.vat[:2], "eu_vat"), "code": partner.vat}
        ])] if partner.vat else [],
    }  # fmt: skip


def contact(person: Person, language: int) -> Values:
    """A contact person: a party of its own."""
    return {
        "name": f"{person.first_name} {person.last_name}",
        "lang": language,
        "contact_mechanisms": channels(
            email=person.email, phone=person.phone, mobile=person.mobile
        ),
    }


def fill(world: World) -> dict[str, dict[str, int]]:
    """Create everything; give the party of each key."""
    pool = Pool()
    party = pool.get("party.party")
    places = Places()
    partners: dict[str, int] = {}
    contacts: dict[str, int] = {}
    for chunk in chunks(world.erp):
        made = party.create([customer(partner, places) for partner in chunk])
        partners.update(
            {partner.key: record.id for partner, record in zip(chunk, made, strict=True)}
        )
        tell(0.05 + 0.5 * len(partners) / len(world.erp), f"tryton: {len(partners)} customers")
    people = [(partner, person) for partner in world.erp for person in partner.contacts]
    for pairs in chunks(people):
        made = party.create([
            contact(person, places.languages[partner.language]) for partner, person in pairs
        ])  # fmt: skip
        contacts.update(
            {person.key: record.id for (_, person), record in zip(pairs, made, strict=True)}
        )
        tell(0.55 + 0.25 * len(contacts) / len(people), f"tryton: {len(contacts)} contacts")
    (kind,) = pool.get("party.relation.type").search([("name", "=", "employee of")])
    for pairs in chunks(people):
        pool.get("party.relation").create([
            {"from_": contacts[person.key], "to": partners[partner.key], "type": kind.id}
            for partner, person in pairs
        ])  # fmt: skip
    for banked in chunks([partner for partner in world.erp if partner.iban]):
        pool.get("bank.account").create([
            {"owners": [("add", [partners[partner.key]])],
             "numbers": [("create", [{"type": "iban", "number": partner.iban}])]}
            for partner in banked
        ])  # fmt: skip
    tell(0.945, "tryton: bank accounts")
    return {"partners": partners, "contacts": contacts}


def fill_trade(partners: dict[str, int], company: int) -> dict[str, dict[str, int]]:
    """Products, price lists, stock and sales; every fourth customer is a dealer."""
    pool = Pool()
    today = dt.date.today()
    products = add_products()
    lists = add_price_lists(company, products)
    add_stock(company, products, today - dt.timedelta(days=200))
    tell(0.96, "tryton: products and prices")
    party = pool.get("party.party")
    numbers = [partners[key] for key in sorted(partners)]
    party.write(
        party.browse(numbers[::4]), {"sale_price_list": lists["Dealers"]},
        party.browse(numbers[1::4]), {"sale_price_list": lists["Customers"]},
        party.browse(numbers[::7]), {"credit_limit_amount": Decimal(50_000)},
    )  # fmt: skip
    sales = add_sales(partners, products, today)
    return {"products": products, "price_lists": lists, "sales": sales}


def main(database: str, seeded_file: str) -> None:
    """Fill, then tell which party is which."""
    tell(0.01, "tryton: reading the demo world")
    world = build()
    Pool.start()
    Pool(database).init()

    def work() -> dict[str, dict[str, int]]:
        (company,) = Pool().get("company.company").search([])
        with Transaction().set_context(company=company.id, companies=[company.id]):
            seeded = fill(world)
            return {**seeded, **fill_trade(seeded["partners"], company.id)}

    seeded = in_transaction(database, work, alone=True)
    Path(seeded_file).write_text(json.dumps(seeded, indent=1), encoding="utf-8")
    tell(1.0, "tryton: filled")


if __name__ == "__main__":
    main(*sys.argv[1:])
