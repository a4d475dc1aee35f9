"""Puts the demo world's organisations and contacts into Creme, as its own users would.

Everything goes through Creme's own models, so that its history, its search and its relations are
what they are after real work. One transaction: all or nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from creme.creme_core.global_info import set_global_info
from creme.creme_core.models import CremeUser, Relation
from creme.persons import constants as persons
from creme.persons import get_address_model, get_contact_model, get_organisation_model
from creme.persons.models import Civility, Sector
from creme.persons.populate import UUID_CIVILITY_MR, UUID_CIVILITY_MRS
from django.conf import settings
from django.db import transaction

from lab.world import Address, CrmOrganisation, Person, World, build

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
                report(number / total, f"Creme: entering organisations ({number} of {total})")
            seeder.organisation(number, source)
    keys = {"organisations": seeder.organisations, "contacts": seeder.contacts}
    (settings.BASE_DIR / "seeded.json").write_text(json.dumps(keys, indent=1))
