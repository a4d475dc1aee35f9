"""Creme's value lists as far as they follow the ERP's: values are added, never changed or removed.

Only for a user whose role holds *Koppel: keep value lists*; for others, a value that is missing is
a refusal that names it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from creme.creme_core.models import Currency, Vat
from django.apps import apps
from django.utils.translation import gettext as _

from . import extras, rights, values
from .errors import BadCall, Invalid, Refusal
from .session import Session


@dataclass(frozen=True)
class ValueList:
    """One list: the values it has, and how a value is made from its code and its label."""

    title: str
    known: Callable[[], Sequence[str]]
    make: Callable[[str, str], None]


def sub_category(session: Session, name: Any):
    """The product category of that name, made where it is missing."""
    from creme.products.models import SubCategory

    if not isinstance(name, str):
        raise Invalid("category_name must be a text.", "category_name")
    parent = extras.CATEGORIES["category"]
    found = SubCategory.objects.filter(name=name).select_related("category")
    same = sorted(found, key=lambda one: (str(one.category.uuid) != parent, one.pk))
    if same:
        return same[0]
    if not may_keep(session):
        raise Invalid(
            f"category_name: Creme has no product category {name!r}; add it there, "
            "or let Koppel keep Creme's value lists.",
            "category_name",
        )
    made = _make_category(name)
    session.forget()
    return made


def may_keep(session: Session) -> bool:
    """May this user add to Creme's value lists?"""
    return bool(session.user.has_special_perm(rights.keep_lists))


def tables() -> dict[str, ValueList]:
    """The lists that may follow the ERP's, by name, as far as their apps are installed."""
    found = {
        "currencies": ValueList(_("Currency"), _currencies, _make_currency),
        "tax_rates": ValueList(_("VAT"), _rates, _make_rate),
    }
    if apps.is_installed("creme.billing"):
        found["payment_terms"] = ValueList(_("Payment terms"), _terms, _make_term)
    if apps.is_installed("creme.products"):
        found["categories"] = ValueList(_("Category"), _categories, _make_category)
    return found


def keep(session: Session, given: Mapping[str, Any]) -> dict[str, Any]:
    """Make the values of a list that are missing; tells which there are and which are new."""
    table = tables().get(str(given.get("list")))
    if table is None:
        raise BadCall(404, "unknown_list", f"There is no value list {given.get('list')!r}.")
    wanted = [_told(one) for one in given.get("values") or ()]
    before = set(table.known())
    missing = [(code, label) for code, label in wanted if code not in before]
    if missing and not may_keep(session):
        raise Refusal("forbidden", f"{session.user} may not add to Creme's list {table.title!r}.")
    for code, label in missing:
        table.make(code, label)
    return {"values": sorted(table.known()), "made": [code for code, _label in missing]}


def known() -> dict[str, list[str]]:
    """All values of all lists."""
    return {name: sorted(table.known()) for name, table in tables().items()}


def _told(one: Any) -> tuple[str, str]:
    if not isinstance(one, Mapping) or not isinstance(one.get("code"), str) or not one["code"]:
        raise BadCall(400, "bad_list", "A value needs a code.")
    return one["code"], str(one.get("label") or one["code"])


def _currencies() -> Sequence[str]:
    return list(Currency.objects.values_list("international_symbol", flat=True))


def _make_currency(code: str, label: str) -> None:
    Currency.objects.create(name=label, local_symbol=code, international_symbol=code)


def _rates() -> Sequence[str]:
    return [_plain(value) for value in Vat.objects.values_list("value", flat=True)]


def _plain(value: Decimal) -> str:
    return f"{values.rounded(value, 2).normalize():f}"


def _make_rate(code: str, label: str) -> None:
    column = Vat._meta.get_field("value")
    Vat.objects.create(value=values.inward(None, column, code, "tax_rates"))


def _terms() -> Sequence[str]:
    from creme.billing.models import PaymentTerms

    return list(PaymentTerms.objects.values_list("name", flat=True))


def _make_term(code: str, label: str) -> None:
    from creme.billing.models import PaymentTerms

    PaymentTerms.objects.create(name=code, description="" if label == code else label)


def _categories() -> Sequence[str]:
    from creme.products.models import SubCategory

    return list(SubCategory.objects.values_list("name", flat=True))


def _make_category(name: str, label: str = ""):
    from creme.products.models import Category, SubCategory

    category, _new = Category.objects.get_or_create(
        uuid=uuid.UUID(extras.CATEGORIES["category"]), defaults={"name": _("From the ERP")}
    )
    return SubCategory.objects.create(name=name, category=category)
