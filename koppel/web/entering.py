"""Values that a person types: how a field is asked for, and what was entered, in its own type."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, get_args

from django.utils.translation import gettext as _

from koppel.model import PARTS, ROLES, Address, field_types
from koppel.web import words


class BadEntry(ValueError):
    """What was entered is no value of that field; the text says why, to the person."""


def kind_of(entity: str, field: str) -> str:
    """How a field is entered: text, address, list, yes-no, or `none` where it cannot be."""
    try:
        hint = field_types(entity)[field]
    except KeyError:
        return "text" if field.startswith("x_") else "none"
    kinds = get_args(hint) if isinstance(hint, UnionType) or get_args(hint) else (hint,)
    if Address in kinds or hint is Address:
        return "address"
    if bool in kinds:
        return "yes-no"
    if any(getattr(kind, "__origin__", kind) is tuple for kind in kinds) or field == "roles":
        return "list"
    return "text" if str in kinds or field == "kind" else "none"


def entry_of(entity: str, field: str, value: Any) -> dict[str, Any]:
    """What a form needs to ask for a value, with the present one filled in."""
    kind = kind_of(entity, field)
    told: dict[str, Any] = {"kind": kind, "value": value}
    if kind == "address":
        address = value if isinstance(value, Address) else Address()
        told["parts"] = [(part, words.PARTS[part], address.part(part) or "") for part in PARTS]
    elif kind == "list":
        told["value"] = ", ".join(value or ())
    return told


def entered(entity: str, field: str, form: Mapping[str, Any]) -> Any:
    """What was entered, in the field's type; empty means that the field is cleared."""
    kind = kind_of(entity, field)
    if kind == "address":
        parts = {part: str(form.get(f"part-{part}", "")).strip() or None for part in PARTS}
        country = parts["country"]
        if country and len(country) != 2:
            raise BadEntry(_("The country has two letters, such as DE, AT or CH."))
        return Address(**parts) if any(parts.values()) else None
    text = str(form.get("value", "")).strip()
    if kind == "yes-no":
        return text == "yes"
    if kind == "list":
        values = tuple(sorted({one.strip() for one in text.split(",") if one.strip()}))
        unknown = [one for one in values if field == "roles" and one not in ROLES]
        if unknown:
            raise BadEntry(
                _("There is no role %(role)s; there are: %(known)s.")
                % {"role": unknown[0], "known": ", ".join(ROLES)}
            )
        return values
    if kind == "none":
        raise BadEntry(_("This field cannot be typed; take the value of one of the systems."))
    return text or None
