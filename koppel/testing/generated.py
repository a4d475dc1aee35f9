"""Two memory systems with native shapes of their own, and any number of partners to fill them.

The CRM is flat (`organisation` with `billing_*` and `shipping_*` fields, `contact`); the ERP is
nested (`party` with lists of addresses, contact mechanisms and identifiers, `contact`). The same
count and seed give the same partners for ever.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from koppel.connectors.base import Choice, FieldInfo, FieldType, Resource
from koppel.connectors.memory_system import Behaviour, MemorySystem


def _choices(*values: str) -> tuple[Choice, ...]:
    return tuple(Choice(value, value.capitalize()) for value in values)


def _text(name: str, length: int | None = None, *, required: bool = False) -> FieldInfo:
    return FieldInfo(name=name, type="text", max_length=length, required=required)


def _plain(name: str, kind: FieldType) -> FieldInfo:
    return FieldInfo(name=name, type=kind)


def _address(prefix: str) -> tuple[FieldInfo, ...]:
    return (
        _text(f"{prefix}street", 200),
        _text(f"{prefix}postal_code", 20),
        _text(f"{prefix}city", 100),
        _text(f"{prefix}country", 2),
    )


def _person(parent: str) -> tuple[FieldInfo, ...]:
    return (
        FieldInfo(name=parent, type="reference", reference=parent),
        _text("first_name", 80),
        _text("last_name", 80, required=True),
        FieldInfo(name="salutation", type="choice", choices=_choices("mr", "mrs")),
        _text("position", 100),
        _text("email", 100),
        _text("phone", 50),
        _text("mobile", 50),
    )


CRM_RESOURCES = (
    Resource(
        name="organisation",
        label="Organisation",
        fields=(
            _text("name", 100, required=True),
            FieldInfo(
                name="role",
                type="choice",
                choices=_choices("customer", "prospect", "supplier", "competitor"),
            ),
            _text("customer_number", 30),
            _text("phone", 50),
            _text("fax", 50),
            _text("email", 100),
            _text("website", 200),
            _text("vat_id", 30),
            _text("sector", 100),
            _text("description"),
            _text("payment_term", 50),
            FieldInfo(name="credit_limit", type="decimal", scale=2),
            *_address("billing_"),
            *_address("shipping_"),
        ),
    ),
    Resource(name="contact", label="Contact", fields=_person("organisation")),
)

ERP_RESOURCES = (
    Resource(
        name="party",
        label="Party",
        fields=(
            _text("name", 120, required=True),
            _text("code", 30),
            _plain("person", "boolean"),
            _text("language", 5),
            FieldInfo(
                name="addresses",
                type="list",
                fields=(
                    _text("name", 100),
                    *_address(""),
                    _plain("invoice", "boolean"),
                    _plain("delivery", "boolean"),
                ),
            ),
            FieldInfo(
                name="contact_mechanisms",
                type="list",
                fields=(
                    FieldInfo(
                        name="type",
                        type="choice",
                        required=True,
                        choices=_choices("phone", "mobile", "fax", "email", "website"),
                    ),
                    _text("value", 200, required=True),
                ),
            ),
            FieldInfo(
                name="identifiers",
                type="list",
                fields=(
                    FieldInfo(
                        name="type",
                        type="choice",
                        required=True,
                        choices=_choices("eu_vat", "iban"),
                    ),
                    _text("code", 40, required=True),
                ),
            ),
            _text("payment_term", 50),
            FieldInfo(name="credit_limit", type="decimal", scale=2),
            _text("dunning_procedure", 50),
        ),
    ),
    Resource(name="contact", label="Contact", fields=_person("party")),
)


def memory_crm(
    behaviour: Behaviour | None = None,
    *,
    name: str = "crm",
    clock: Callable[[], float] | None = None,
) -> MemorySystem:
    """An empty CRM in memory."""
    return MemorySystem(name, CRM_RESOURCES, behaviour, clock=clock)


def memory_erp(
    behaviour: Behaviour | None = None,
    *,
    name: str = "erp",
    clock: Callable[[], float] | None = None,
) -> MemorySystem:
    """An empty ERP in memory."""
    return MemorySystem(name, ERP_RESOURCES, behaviour, clock=clock)


@dataclass(frozen=True)
class Person:
    first_name: str
    last_name: str
    salutation: str
    position: str
    email: str
    phone: str


@dataclass(frozen=True)
class Partner:
    """One company, as both systems would know it; `number` counts from 1."""

    number: int
    name: str
    vat_id: str
    street: str
    postal_code: str
    city: str
    country: str
    phone: str
    email: str
    website: str
    payment_term: str
    credit_limit: Decimal
    contacts: tuple[Person, ...]


_STEMS = (
    "Müller", "Schröder", "Weiß", "Krüger", "Łukasiewicz", "Bélanger", "Ångström", "Sørensen",
    "Hofer", "Zürcher", "Nowak", "Lefèvre", "Virtanen", "Böhm", "Jäger", "Köhler",
)  # fmt: skip
_TRADES = (
    "Maschinenbau", "Antriebstechnik", "Kunststoffe", "Werkzeuge", "Elektronik", "Stahlhandel",
    "Fördertechnik", "Messgeräte", "Verpackungen", "Pumpen", "Optik", "Hydraulik",
)  # fmt: skip
_FORMS = (("GmbH", "DE"), ("AG", "CH"), ("GmbH & Co. KG", "DE"), ("SARL", "FR"), ("AB", "SE"))
_STREETS = ("Hauptstraße", "Industriestraße", "Am Mühlbach", "Bahnhofstraße", "Rue du Port")
_CITIES = ("Köln", "Zürich", "Düsseldorf", "Orléans", "Malmö", "Nürnberg", "Fürth", "Łódź")
_FIRST = ("Jürgen", "Zoë", "François", "Małgorzata", "Björn", "Anaïs", "Søren", "Käthe")
_TERMS = ("prepaid", "net 14", "net 30", "net 60")


def partners(count: int, *, seed: int = 1, contacts: int = 1) -> Iterator[Partner]:
    """That many partners, each with that many contacts, one after the other."""
    # Not for secrets: the point is that the same seed gives the same world.
    chance = random.Random(seed)
    for number in range(1, count + 1):
        yield _partner(number, chance, contacts)


def partner_at(number: int, *, seed: int = 1, contacts: int = 0) -> Partner:
    """The partner of that number, from 1, made by itself: not the one that `partners` gives."""
    return _partner(number, random.Random(seed * 1_000_000_007 + number), contacts)


def _partner(number: int, chance: random.Random, contacts: int) -> Partner:
    form, country = chance.choice(_FORMS)
    stem = chance.choice(_STEMS)
    domain = f"partner{number}.example"
    return Partner(
        number=number,
        name=f"{stem} {chance.choice(_TRADES)} {number} {form}",
        vat_id=f"{country}{chance.randrange(10**8, 10**9)}",
        street=f"{chance.choice(_STREETS)} {chance.randrange(1, 200)}",
        postal_code=f"{chance.randrange(10_000, 99_999)}",
        city=chance.choice(_CITIES),
        country=country,
        phone=f"+49221{chance.randrange(10**6, 10**7)}",
        email=f"info@{domain}",
        website=f"https://{domain}",
        payment_term=chance.choice(_TERMS),
        credit_limit=Decimal(chance.randrange(0, 500)) * 100,
        contacts=tuple(_contact(chance, domain, place) for place in range(contacts)),
    )


def _contact(chance: random.Random, domain: str, place: int) -> Person:
    return Person(
        first_name=chance.choice(_FIRST),
        last_name=f"{chance.choice(_STEMS)}-{place + 1}",
        salutation=chance.choice(("mr", "mrs")),
        position=chance.choice(("Einkauf", "Leitung", "Technik")),
        email=f"person{place + 1}@{domain}",
        phone=f"+49221{chance.randrange(10**6, 10**7)}",
    )


def crm_fields(partner: Partner, *, role: str = "customer") -> dict[str, Any]:
    """The partner as an `organisation` of the memory CRM."""
    return {
        "name": partner.name,
        "role": role,
        "phone": partner.phone,
        "email": partner.email,
        "website": partner.website,
        "vat_id": partner.vat_id,
        "payment_term": partner.payment_term,
        "credit_limit": partner.credit_limit,
        "billing_street": partner.street,
        "billing_postal_code": partner.postal_code,
        "billing_city": partner.city,
        "billing_country": partner.country,
    }


def erp_fields(partner: Partner) -> dict[str, Any]:
    """The partner as a `party` of the memory ERP."""
    return {
        "name": partner.name,
        "code": f"{partner.number:06}",
        "person": False,
        "language": "de",
        "payment_term": partner.payment_term,
        "credit_limit": partner.credit_limit,
        "addresses": [
            {
                "street": partner.street,
                "postal_code": partner.postal_code,
                "city": partner.city,
                "country": partner.country,
                "invoice": True,
                "delivery": True,
            }
        ],
        "contact_mechanisms": [
            {"type": "phone", "value": partner.phone},
            {"type": "email", "value": partner.email},
            {"type": "website", "value": partner.website},
        ],
        "identifiers": [{"type": "eu_vat", "code": partner.vat_id}],
    }


def contact_fields(person: Person, parent: str, parent_id: str) -> dict[str, Any]:
    """The person as a `contact` of either system; `parent` is organisation or party."""
    return {
        parent: parent_id,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "salutation": person.salutation,
        "position": person.position,
        "email": person.email,
        "phone": person.phone,
    }


def fill_crm(system: MemorySystem, count: int, *, seed: int = 1, contacts: int = 1) -> None:
    """Put the partners into a memory CRM, as its own user would."""
    for partner in partners(count, seed=seed, contacts=contacts):
        row = system.create("organisation", crm_fields(partner), "human")
        for person in partner.contacts:
            fields = contact_fields(person, "organisation", row.id)
            system.create("contact", fields, "human")


def fill_erp(system: MemorySystem, count: int, *, seed: int = 1, contacts: int = 1) -> None:
    """Put the partners into a memory ERP, as its own user would."""
    for partner in partners(count, seed=seed, contacts=contacts):
        row = system.create("party", erp_fields(partner), "human")
        for person in partner.contacts:
            system.create("contact", contact_fields(person, "party", row.id), "human")
