"""Partners and their contacts: the master data that both systems keep.

Names follow UBL 2.1. A field that is `UNSET` is unknown, a field that is None is empty.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from koppel.model.values import Address, Ref, Text

Kind = Literal["company", "person"]
ROLES: tuple[str, ...] = ("competitor", "customer", "prospect", "supplier")


class Partner(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A company or person one does business with.

    `number` is the ERP's customer number, `tax_id` the VAT id with its country prefix (BT-48),
    `roles` a sorted tuple of `ROLES`. Phones are E.164 where they can be read, `language` BCP 47,
    `iban` compact.
    """

    kind: Kind | UnsetType | None = UNSET
    name: Text = UNSET
    number: Text = UNSET
    roles: tuple[str, ...] | UnsetType | None = UNSET
    language: Text = UNSET
    email: Text = UNSET
    phone: Text = UNSET
    mobile: Text = UNSET
    fax: Text = UNSET
    website: Text = UNSET
    tax_id: Text = UNSET
    tax_number: Text = UNSET
    registration_id: Text = UNSET
    iban: Text = UNSET
    payment_terms: Text = UNSET
    sector: Text = UNSET
    description: Text = UNSET
    active: bool | UnsetType | None = UNSET
    billing_address: Address | UnsetType | None = UNSET
    shipping_address: Address | UnsetType | None = UNSET
    """Only where goods go elsewhere than the billing address."""


class Contact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person who works for a partner."""

    partner: Ref | UnsetType | None = UNSET
    given_name: Text = UNSET
    family_name: Text = UNSET
    salutation: Text = UNSET
    job_title: Text = UNSET
    email: Text = UNSET
    phone: Text = UNSET
    mobile: Text = UNSET
    language: Text = UNSET
    active: bool | UnsetType | None = UNSET
    description: Text = UNSET
