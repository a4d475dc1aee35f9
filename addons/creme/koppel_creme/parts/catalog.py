"""Products and services, seen from a line: which one it is for, and by which code the ERP knows it.

Creme's own code is a number. The ERP's code, which may be any text, is kept in the custom field
`erp_code` that the add-on brings along.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from creme.billing import constants
from creme.creme_core.models import CustomField, Relation
from creme.products import get_product_model, get_service_model
from django.utils.translation import gettext as _

from .. import extras, values
from ..errors import Invalid
from ..session import Session

MODELS = {"product": get_product_model, "service": get_service_model}
RESOURCES = {"product": "products.product", "service": "products.service"}


def described_item(kind: str, label: str) -> dict[str, Any]:
    """How a line's reference to a product or a service is described."""
    return {"name": kind, "type": "reference", "label": label, "reference": RESOURCES[kind]}


def code_column() -> dict[str, Any]:
    """How the code of a line's item is described."""
    return {"name": "product_code", "type": "text", "label": _("ERP code"), "max_length": 100}


def items(kind: str, lines: Collection[int]) -> dict[int, tuple[int, str]]:
    """For each line that is for a product or a service: that one's id and name."""
    relations = dict(
        Relation.objects.filter(
            subject_entity__in=lines, type=constants.REL_SUB_LINE_RELATED_ITEM
        ).values_list("subject_entity_id", "object_entity_id")
    )
    names = dict(
        MODELS[kind]().objects.filter(pk__in=set(relations.values())).values_list("pk", "name")
    )
    return {line: (item, names[item]) for line, item in relations.items() if item in names}


def codes(session: Session, kind: str, ids: Collection[int]) -> dict[int, str]:
    """The ERP's codes of these products or services."""
    field = _code_field(session, kind)
    if field is None:
        return {}
    rows = field.value_class.objects.filter(custom_field=field, entity__in=ids)
    return dict(rows.values_list("entity_id", "value"))


def _code_field(session: Session, kind: str) -> CustomField | None:
    uuid = extras.uuid_of(RESOURCES[kind], extras.ERP_CODE)
    return session.keep(
        ("code field", kind),
        lambda: CustomField.objects.filter(uuid=uuid, is_deleted=False).first(),
    )


def find_item(session: Session, entry: Mapping[str, Any], place: str) -> tuple[str, Any] | None:
    """What an entry says that its line is for; None where it says nothing about it."""
    told = [kind for kind in MODELS if entry.get(kind) is not None]
    if len(told) > 1:
        raise Invalid(f"{place}: a line is for a product or for a service.", f"{place}.service")
    code = entry.get("product_code")
    if told:
        found = told[0], _by_id(session, told[0], entry[told[0]], f"{place}.{told[0]}")
        if code is not None and codes(session, told[0], [found[1].pk]).get(found[1].pk) != code:
            raise Invalid(
                f"{place}.product_code: {code!r} is not the code of {told[0]} {found[1].pk}.",
                f"{place}.product_code",
            )
        return found
    if code is None:
        return None
    place = f"{place}.product_code"
    return session.keep(("code", code), lambda: _by_code(session, str(code), place))


def _by_id(session: Session, kind: str, given: Any, place: str):
    pk = values.whole_id(given, place)
    model = MODELS[kind]()
    found = session.keep(
        ("item", kind, pk), lambda: model.objects.filter(pk=pk, is_deleted=False).first()
    )
    if found is None or not session.user.has_perm_to_view(found):
        raise Invalid(f"{place}: there is no {model._meta.verbose_name} {pk}.", place)
    return found


def _by_code(session: Session, code: str, place: str) -> tuple[str, Any]:
    found: list[tuple[str, Any]] = []
    for kind, model in MODELS.items():
        field = _code_field(session, kind)
        if field is not None:
            rows = field.value_class.objects.filter(custom_field=field, value=code)
            living = model().objects.filter(pk__in=rows.values("entity"), is_deleted=False)
            found += [(kind, item) for item in living[:2]]
    visible = [(kind, item) for kind, item in found if session.user.has_perm_to_view(item)]
    if len(visible) != 1:
        how = "no product" if not visible else "more than one product"
        raise Invalid(f"{place}: Creme has {how} with the ERP code {code!r}.", place)
    return visible[0]
