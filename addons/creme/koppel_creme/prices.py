"""A document's prices beside the ERP's own: asked through Koppel, shown, and taken over on request.

Nothing is asked while a page loads: only when a person presses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from creme.billing import get_product_line_model, get_service_line_model
from creme.persons import get_organisation_model
from django.db.transaction import atomic
from django.utils.translation import gettext as _

from . import conf, deeds, koppel, sales
from .errors import Refusal
from .parts.catalog import codes
from .resources import Resource
from .session import Session
from .values import rounded

TIMEOUT = 30.0
TOGETHER = 40
"""Lines in one question: a message to Koppel is small."""


@dataclass(frozen=True)
class Line:
    """A line of the document, and what the ERP says to it."""

    id: str
    name: str
    code: str
    quantity: Decimal
    unit: str
    price: Decimal
    record: str = ""
    erp_price: Decimal | None = None
    price_list: str = ""
    age_seconds: float | None = None
    message: str = ""


@dataclass(frozen=True)
class Told:
    """What came of a press, ready to be shown: `rows` as texts."""

    ok: bool
    message: str
    rows: tuple[Mapping[str, str], ...] = ()


def compare(kind: Resource, document: Any, user: Any) -> Told:
    """The document's prices beside the ERP's."""
    asked = _asked(kind, document, user)
    if isinstance(asked, str):
        return Told(False, asked)
    other = [one for one in asked if one.erp_price is not None and _differs(one)]
    without = sum(one.erp_price is None for one in asked)
    if other:
        message = _("{count} prices differ from those of the ERP.").format(count=len(other))
    else:
        message = _("All prices are those of the ERP.")
    if without:
        message += " " + _("For {count} lines the ERP told none.").format(count=without)
    return Told(True, message, _rows(asked, document))


def take(kind: Resource, document: Any, user: Any) -> Told:
    """Set the lines' prices to the ERP's, as the user, in one go; the lines without one stay."""
    if _in_erp(kind, document, user):
        return Told(False, _("This document is in the ERP already; its prices are fixed there."))
    asked = _asked(kind, document, user)
    if isinstance(asked, str):
        return Told(False, asked)
    priced = [one for one in asked if one.erp_price is not None and _differs(one)]
    known = {one.id: one for one in priced}
    if priced:
        lines = [
            {"id": id, "unit_price": str(known[id].erp_price)} if id in known else {"id": id}
            for id in _all_lines(document)
        ]
        try:
            _write(kind, document, user, lines)
        except Refusal as refused:
            return Told(False, refused.message)
    without = sum(one.erp_price is None for one in asked)
    message = _("{count} prices taken over from the ERP.").format(count=len(priced))
    if without:
        message += " " + _("For {count} lines the ERP told none.").format(count=without)
    fine = [one for one in priced if one.erp_price != rounded(one.erp_price, 2)]
    if fine:
        message += " " + _("Rounded to cents: {names}.").format(
            names=", ".join(one.name for one in fine)
        )
    return Told(True, message, _rows(asked, document))


def _write(kind: Resource, document: Any, user: Any, lines: Sequence[Mapping[str, str]]) -> None:
    wish = {"kind": "update", "resource": kind.name, "id": str(document.pk)}
    with atomic():
        entity = kind.model.objects.select_for_update().get(pk=document.pk)
        locked = deeds.Locked(entities={entity.pk: entity})
        deeds.do(Session(user), kind, {**wish, "fields": {"lines": list(lines)}}, locked)


def _in_erp(kind: Resource, document: Any, user: Any) -> bool:
    read = kind.read(Session(user), [document.pk])[document.pk]
    return bool(read["fields"].get("erp_number"))


def _all_lines(document: Any) -> list[str]:
    models = get_product_line_model(), get_service_line_model()
    return [str(line.pk) for model in models for line in document.get_lines(model)]


def _lines(document: Any, user: Any) -> list[Line]:
    """The lines for products and services; what is on the fly has no price in the ERP."""
    session, found = Session(user), []
    for kind, model in (
        ("product", get_product_line_model()),
        ("service", get_service_line_model()),
    ):
        lines = [line for line in document.get_lines(model) if line.related_item]
        known = codes(session, kind, [line.related_item.pk for line in lines])
        for line in lines:
            item = line.related_item
            found.append(
                Line(
                    id=str(line.pk),
                    name=str(item),
                    code=known.get(item.pk, ""),
                    quantity=line.quantity,
                    unit=line.unit or "",
                    price=line.unit_price,
                    record=str(item.pk) if kind == "product" else "",
                )
            )
    return found


def _asked(kind: Resource, document: Any, user: Any) -> list[Line] | str:
    """The lines with the ERP's answers; a sentence where there are none."""
    if not conf.koppel_url():
        return _("Koppel is not set up here.")
    lines = _lines(document, user)
    if not lines:
        return _("This document has no lines for products.")
    target = document.target.get_real_entity() if document.target else None
    if not isinstance(target, get_organisation_model()):
        return _("Prices depend on the customer: this document is for no organisation.")
    found: list[Line] = []
    for start in range(0, len(lines), TOGETHER):
        some = lines[start : start + TOGETHER]
        answer = koppel.call(
            "POST",
            f"/api/prices/{conf.connection()}/persons.organisation/{target.pk}",
            _question(document, some, user),
            timeout=TIMEOUT,
        )
        if not answer.reached:
            return _("Koppel cannot be reached at the moment; please try again later.")
        body = answer.body if isinstance(answer.body, Mapping) else {}
        told = body.get("lines")
        if answer.status != 200 or not isinstance(told, list) or len(told) != len(some):
            return sales.as_text(body.get("message")) or _(
                "Koppel answered with an error; its log tells more."
            )
        found += [_with(line, one) for line, one in zip(some, told, strict=True)]
    return found


def _question(document: Any, lines: Sequence[Line], user: Any) -> dict[str, Any]:
    day = document.issuing_date
    return {
        "user": user.username,
        "currency": document.currency.international_symbol,
        "date": day.isoformat() if day else None,
        "lines": [
            {
                "item": line.code,
                "record": line.record,
                "quantity": str(line.quantity),
                "unit": line.unit,
            }
            for line in lines
        ],
    }


def _with(line: Line, told: Any) -> Line:
    told = told if isinstance(told, Mapping) else {}
    age = told.get("age_seconds")
    return Line(
        id=line.id, name=line.name, code=line.code, quantity=line.quantity, unit=line.unit,
        price=line.price, record=line.record,
        erp_price=_decimal(told.get("unit_price")),
        price_list=sales.as_text(told.get("price_list")),
        age_seconds=age if isinstance(age, int | float) else None,
        message=sales.as_text(told.get("message")),
    )  # fmt: skip


def _decimal(value: Any) -> Decimal | None:
    try:
        number = None if value is None else Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def _differs(line: Line) -> bool:
    return line.erp_price is not None and line.price != rounded(line.erp_price, 2)


def _rows(lines: Sequence[Line], document: Any) -> tuple[Mapping[str, str], ...]:
    currency = document.currency.international_symbol
    return tuple(
        {
            "name": f"{line.name} ({line.code})" if line.code else line.name,
            "quantity": sales.as_number(line.quantity, "", 0),
            "price": sales.as_number(line.price, currency, 2),
            "erp_price": "" if line.erp_price is None else _exact(line.erp_price, currency),
            "differs": "yes" if _differs(line) else "",
            "price_list": line.price_list,
            "age": sales.as_age(line.age_seconds),
            "message": line.message,
        }
        for line in lines
    )


def _exact(price: Decimal, currency: str) -> str:
    """With cents, or with as many places as the ERP told."""
    places = max(2, -int(price.normalize().as_tuple().exponent))
    return sales.as_number(price, currency, places)
