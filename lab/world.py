"""The demo world: a manufacturer's customers as two systems see them, from a fixed seed.

`build()` is pure: the same seed gives the same world. Keys ("E0001", "C0001", "P0001") are the
world's own; each seeder returns a map from key to native id, and the truth is written from both.
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
