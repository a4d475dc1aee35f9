"""Fields that an order needs and Creme does not have: custom fields of our own, with fixed names.

They are ordinary custom fields, so that people see, fill, search and list them as any other. Each
has a uuid that the add-on knows; so its name on the wire is the same in every installation. An
administrator may rename or delete them: then the wire goes without.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid5

from creme.creme_core.models import CustomField, CustomFieldEnumValue
from django.contrib.contenttypes.models import ContentType
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

_SPACE = UUID("6c0a4d2e-3f0b-4a55-9d0f-5d1f6a7c1b10")

INCOTERMS = ("EXW", "FCA", "CPT", "CIP", "DAP", "DPU", "DDP", "FAS", "FOB", "CFR", "CIF")
"""The rules of Incoterms 2020, as the ERP knows them by code."""


@dataclass(frozen=True)
class Extra:
    """One such field: its name on the wire, its label, its type, and its values where it has."""

    name: str
    label: str
    field_type: int
    values: tuple[str, ...] = ()


STATUSES = ("For sale", "Not for sale", "Discontinued")
"""What the ERP says of a product; Creme itself has no such mark."""

ERP_CODE = Extra("erp_code", gettext_noop("ERP code"), CustomField.STR)
PRODUCT_FIELDS = (
    ERP_CODE,
    Extra("gtin", gettext_noop("GTIN"), CustomField.STR),
    Extra("erp_status", gettext_noop("Status in the ERP"), CustomField.ENUM, STATUSES),
    Extra("erp_currency", gettext_noop("Currency of the unit price"), CustomField.STR),
    Extra("tax_category", gettext_noop("Tax category"), CustomField.STR),
    Extra("tax_rate", gettext_noop("VAT in percent"), CustomField.FLOAT),
)
ORDER_FIELDS = (
    Extra("erp_number", gettext_noop("ERP order number"), CustomField.STR),
    Extra("customer_reference", gettext_noop("Customer's reference"), CustomField.STR),
    Extra("requested_date", gettext_noop("Requested delivery date"), CustomField.DATE),
    Extra("incoterm", gettext_noop("Delivery terms (Incoterms)"), CustomField.ENUM, INCOTERMS),
)
EXTRAS: dict[str, tuple[Extra, ...]] = {
    "products.product": PRODUCT_FIELDS,
    "products.service": (ERP_CODE,),
    "billing.quote": ORDER_FIELDS,
    "billing.salesorder": ORDER_FIELDS,
}
"""The fields for each kind of record."""


def uuid_of(resource: str, extra: Extra) -> UUID:
    """The uuid of such a field in every installation."""
    return uuid5(_SPACE, f"{resource}.{extra.name}")


CATEGORIES = {
    "category": str(uuid5(_SPACE, "category")),
    "sub_category": str(uuid5(_SPACE, "sub_category")),
}
"""Where a product of the ERP goes while nobody has said where; Creme wants a category."""

_NAMES = {
    uuid_of(resource, extra): extra.name for resource, some in EXTRAS.items() for extra in some
}


def wire_name(field: CustomField) -> str | None:
    """The fixed name of a custom field; None where it is none of ours."""
    return _NAMES.get(field.uuid)


def make(resource: str, model) -> None:
    """Make the fields of a kind of record, where they are not there yet."""
    content_type = ContentType.objects.get_for_model(model)
    for extra in EXTRAS.get(resource, ()):
        uuid = uuid_of(resource, extra)
        if CustomField.objects.filter(uuid=uuid).exists():
            continue
        label = _(extra.label)
        if CustomField.objects.filter(content_type=content_type, name=label).exists():
            label = f"{label} (Koppel)"
        field = CustomField.objects.create(
            uuid=uuid, name=label, content_type=content_type, field_type=extra.field_type
        )
        for value in extra.values:
            CustomFieldEnumValue.objects.create(custom_field=field, value=value)


def make_categories() -> None:
    """Make the category for products of the ERP, where it is not there."""
    from creme.products.models import Category, SubCategory

    category, _new = Category.objects.get_or_create(
        uuid=CATEGORIES["category"], defaults={"name": _("From the ERP")}
    )
    SubCategory.objects.get_or_create(
        uuid=CATEGORIES["sub_category"],
        defaults={"name": _("From the ERP"), "category": category},
    )
