"""The demo world: a manufacturer's customers as two systems see them, from a fixed seed.

`build()` is pure: the same seed gives the same world. Keys (ERP partners "E0001" with persons
"EP0001", CRM organisations "C0001" with persons "CP0001") are the world's own; each seeder returns
a map from key to native id, and the truth is written from both.

* 300 ERP customers: 270 companies in nine countries with 250 contact persons, 30 private persons.
* 400 CRM organisations with 900 contacts: 220 are ERP customers written differently (`pairs`),
  6 are a second copy of one of these (`crm_duplicates` names both copies, `pairs` the first one),
  174 are prospects, suppliers and competitors that the ERP does not know.
* 217 pairs keep the VAT id, or the name and two of phone, domain and address; 3 hardly anything.
* Traps: customers of the same name in another town, subsidiaries at one address with one domain
  (within the ERP, and between CRM prospects and ERP customers): they are different companies.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Address:
    street: str
    postal_code: str
    city: str
    country: str
    """ISO 3166-1 alpha-2."""
    invoice: bool = False
    delivery: bool = False
    name: str = ""
    """A label such as "Werk 2"; empty for the main address."""


@dataclass(frozen=True)
class Person:
    """A contact person."""

    key: str
    first_name: str
    last_name: str
    salutation: str
    """"mr", "mrs" or ""."""
    position: str = ""
    email: str = ""
    phone: str = ""
    mobile: str = ""


@dataclass(frozen=True)
class ErpPartner:
    """One customer of the ERP: a company, or a private person."""

    key: str
    name: str
    person: bool
    language: str
    """ISO 639-1: de, fr, en, pl, sv, da, nb, fi."""
    addresses: tuple[Address, ...]
    vat: str = ""
    """With country prefix and valid check digits."""
    iban: str = ""
    payment_term: str = ""
    """One of PAYMENT_TERMS."""
    phone: str = ""
    fax: str = ""
    email: str = ""
    website: str = ""
    contacts: tuple[Person, ...] = ()


@dataclass(frozen=True)
class CrmOrganisation:
    """One organisation of the CRM, as a salesperson typed it."""

    key: str
    name: str
    role: str
    """customer, prospect, supplier or competitor."""
    phone: str = ""
    fax: str = ""
    email: str = ""
    website: str = ""
    vat: str = ""
    sector: str = ""
    description: str = ""
    billing: Address | None = None
    shipping: Address | None = None
    contacts: tuple[Person, ...] = ()


@dataclass(frozen=True)
class World:
    seed: int
    erp: tuple[ErpPartner, ...]
    crm: tuple[CrmOrganisation, ...]
    pairs: tuple[tuple[str, str], ...]
    """The truth: (CRM organisation key, ERP partner key), the same company."""
    crm_duplicates: tuple[tuple[str, str], ...]
    """The truth: two CRM organisations that are one company."""
    contact_pairs: tuple[tuple[str, str], ...]
    """The truth: (CRM person key, ERP person key), the same person."""


PAYMENT_TERMS = ("prepaid", "net 14", "net 30", "net 60")


def build(seed: int = 20260101) -> World:
    """The whole world. Standard library only, so that it can be called inside any environment."""
    from random import Random

    from lab.world_crm import organisations
    from lab.world_erp import Naming, customers

    naming = Naming(Random(f"{seed}:names"))
    entered = customers(Random(f"{seed}:erp"), naming)
    companies = [(partner, firm) for partner, firm in entered if firm is not None]
    half = organisations(Random(f"{seed}:crm"), naming, companies)
    return World(
        seed=seed,
        erp=tuple(partner for partner, _firm in entered),
        crm=half.organisations,
        pairs=half.pairs,
        crm_duplicates=half.duplicates,
        contact_pairs=half.contact_pairs,
    )
