"""Puts the demo world's partners, products, quotes and orders into Creme, as its users would.

Everything goes through Creme's own models, so that its history, its search and its relations are
what they are after real work. One transaction: all or nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta

from creme.billing.models import PaymentTerms
from creme.creme_core.global_info import set_global_info
from creme.creme_core.models import CremeUser, Relation
from creme.persons import constants as persons
from creme.persons import get_address_model, get_contact_model, get_organisation_model
from creme.persons.models import Civility, Sector
from creme.persons.populate import UUID_CIVILITY_MR, UUID_CIVILITY_MRS
from django.conf import settings
from django.db import transaction
from koppel_creme import deeds
from koppel_creme.resources import resource
from koppel_creme.session import Session

from lab.world import Address, CrmOrganisation, Person, World, build
from lab.world_products import TYPED
from lab.world_sales import Document, SaleLine, orders, quotes

ROLES = {
    "customer": (persons.REL_SUB_CUSTOMER_SUPPLIER, False),
    "prospect": (persons.REL_SUB_PROSPECT, False),
    "competitor": (persons.REL_SUB_COMPETITOR, False),
    "supplier": (persons.REL_SUB_CUSTOMER_SUPPLIER, True),
}
"""Role -> (relation, whether the own company is its subject): we are the supplier's customer."""

COUNTRIES = {
    "AT": "Austria",
    "BE": "Belgium",
    "CH": "Switzerland",
    "CZ": "Czech Republic",
    "DE": "Germany",
    "DK": "Denmark",
    "ES": "Spain",
    "FI": "Finland",
    "FR": "France",
    "GB": "United Kingdom",
    "IT": "Italy",
    "LI": "Liechtenstein",
    "LU": "Luxembourg",
    "NL": "Netherlands",
    "NO": "Norway",
    "PL": "Poland",
    "SE": "Sweden",
}
CIVILITIES = {"mr": UUID_CIVILITY_MR, "mrs": UUID_CIVILITY_MRS}


class Seeder:
    """Writes one world and keeps which key got which id."""

    def __init__(self) -> None:
        self.own = get_organisation_model().objects.get(uuid=persons.UUID_FIRST_ORGA)
        users = CremeUser.objects.in_bulk(["clara", "paul"], field_name="username")
        self.sales = [users["clara"], users["paul"]]
        self.civilities = {key: Civility.objects.get(uuid=uuid) for key, uuid in CIVILITIES.items()}
        self.sectors: dict[str, Sector] = {sector.title: sector for sector in Sector.objects.all()}
        self.organisations: dict[str, int] = {}
        self.contacts: dict[str, int] = {}

    def organisation(self, number: int, source: CrmOrganisation) -> None:
        """One organisation with its addresses, its role and its contacts."""
        user = self.sales[number % len(self.sales)]
        set_global_info(user=user)
        made = get_organisation_model()(
            user=user,
            name=source.name,
            phone=source.phone,
            fax=source.fax,
            email=source.email,
            url_site=source.website,
            tvaintra=source.vat,
            sector=self.sector(source.sector),
            description=source.description,
        )
        made.save()
        if source.billing is not None:
            made.billing_address = address(made, source.billing, "Billing address")
        if source.shipping is not None:
            made.shipping_address = address(made, source.shipping, "Shipping address")
        if made.billing_address or made.shipping_address:
            made.save()
        kind, own_is_subject = ROLES[source.role]
        subject, target = (self.own, made) if own_is_subject else (made, self.own)
        relate(user, subject, kind, target)
        self.organisations[source.key] = made.id
        for person in source.contacts:
            self.contact(user, made, person)

    def contact(self, user, employer, source: Person) -> None:
        """One contact person, employed by the organisation."""
        made = get_contact_model()(
            user=user,
            civility=self.civilities.get(source.salutation),
            first_name=source.first_name,
            last_name=source.last_name,
            full_position=source.position,
            email=source.email,
            phone=source.phone,
            mobile=source.mobile,
        )
        made.save()
        relate(user, made, persons.REL_SUB_EMPLOYED_BY, employer)
        self.contacts[source.key] = made.id

    def sector(self, title: str) -> Sector | None:
        """The sector of that name, made where it is new; None for an empty name."""
        if title and title not in self.sectors:
            self.sectors[title] = Sector.objects.create(title=title)
        return self.sectors.get(title)


class Sales:
    """Products, quotes and sales orders, written by the salespeople in turn."""

    def __init__(self, seeder: Seeder) -> None:
        self.seeder = seeder
        self.sessions = [Session(user) for user in seeder.sales]
        self.terms = {row.name: str(row.uuid) for row in PaymentTerms.objects.all()}
        self.products: dict[str, int] = {}
        self.quotes: dict[str, int] = {}
        self.orders: dict[str, int] = {}

    def enter(self, world: World) -> None:
        """All of them; products as salespeople type them: no stock, no status, no category."""
        for number, product in enumerate(TYPED):
            fields = {
                "name": product.name,
                "erp_code": product.code,
                "unit_price": str(product.price),
                "unit": product.unit,
            }
            self.products[product.code] = self.make(number, "products.product", fields)
        for number, document in enumerate(quotes(world)):
            self.quotes[document.key] = self.document(number, "billing.quote", document)
        for number, document in enumerate(orders(world)):
            self.orders[document.key] = self.document(number, "billing.salesorder", document)

    def document(self, number: int, kind: str, source: Document) -> int:
        """One quote or order with its lines."""
        today = date.today()
        issued = today - timedelta(days=source.days_ago)
        wanted = source.requested_in
        fields = {
            "name": source.name,
            "target": str(self.seeder.organisations[source.customer]),
            "status": self.status(kind, source.status),
            "issuing_date": issued.isoformat(),
            "expiration_date": (issued + timedelta(days=90)).isoformat(),
            "currency": "EUR",
            "discount": str(source.discount),
            "comment": source.comment,
            "customer_reference": source.reference,
            "incoterm": source.incoterm or None,
            "payment_terms": self.terms.get(source.payment_term),
            "requested_date": wanted and (today + timedelta(days=wanted)).isoformat(),
            "lines": [self.line(line) for line in source.lines],
        }
        return self.make(number, kind, fields)

    def line(self, source: SaleLine) -> dict[str, str]:
        """One line as Koppel's add-on takes it."""
        item = {"product_code": source.code} if source.code else {"on_the_fly_item": source.text}
        return {
            **item,
            "quantity": str(source.quantity),
            "unit_price": str(source.price),
            "discount": str(source.discount),
            "vat": str(source.vat),
            "comment": source.comment,
        }

    def status(self, kind: str, name: str) -> str:
        """The key of a status by its name in this Creme."""
        model = resource(kind).model._meta.get_field("status").related_model
        return str(model.objects.get(name=name).uuid)

    def make(self, number: int, kind: str, fields: dict[str, object]) -> int:
        """One record, by one of the salespeople."""
        session = self.sessions[number % len(self.sessions)]
        set_global_info(user=session.user)
        wish = {"kind": "create", "resource": kind, "fields": fields}
        return deeds.do(session, resource(kind), wish, deeds.Locked()).pk


def address(owner, source: Address, label: str):
    """One address of an organisation, with the country's English name as this Creme has it."""
    return get_address_model().objects.create(
        owner=owner,
        name=source.name or label,
        address=source.street,
        zipcode=source.postal_code,
        city=source.city,
        country=COUNTRIES.get(source.country, source.country),
    )


def relate(user, subject, kind: str, target) -> None:
    """One relation; Creme makes its mirror image itself."""
    Relation.objects.create(user=user, subject_entity=subject, type_id=kind, object_entity=target)


def seed(report: Callable[[float, str], None], world: World | None = None) -> None:
    """Put the world in and write `seeded.json` beside the database."""
    world = world or build()
    with transaction.atomic():
        seeder = Seeder()
        total = len(world.crm)
        for number, source in enumerate(world.crm):
            if number % 10 == 0:
                report(
                    0.85 * number / total, f"Creme: entering organisations ({number} of {total})"
                )
            seeder.organisation(number, source)
        report(0.85, "Creme: entering products, quotes and orders")
        sales = Sales(seeder)
        sales.enter(world)
    keys = {
        "organisations": seeder.organisations,
        "contacts": seeder.contacts,
        "products": sales.products,
        "quotes": sales.quotes,
        "orders": sales.orders,
    }
    (settings.BASE_DIR / "seeded.json").write_text(json.dumps(keys, indent=1))
