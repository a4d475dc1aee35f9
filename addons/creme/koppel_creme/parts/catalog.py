"""Products and services, seen from a line: which one it is for, and by which code the ERP knows it.

Creme's own code is a number. The ERP's code, which may be any text, is kept in the custom field
`erp_code` that the add-on brings along.

`category_name` is the name of the sub-category. Written, a name that Creme does not have yet is
made below the category *From the ERP*, where Koppel's user may keep value lists; else it is
refused, by its name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from creme.billing import constants
from creme.creme_core.models import CustomField, Relation
from creme.products import get_product_model, get_service_model
from creme.products.models import SubCategory
from django.utils.translation import gettext as _

from .. import extras, lists, values
from ..errors import Invalid
from ..session import Session
from .columns import Columns

MODELS = {"product": get_product_model, "service": get_service_model}
RESOURCES = {"product": "products.product", "service": "products.service"}


CATEGORY = "category_name"


class ItemColumns(Columns):
    """The columns of a product or a service, with the category by its name.

    A sub-category brings its category along.
    """

    def describe(self, session: Session) -> list[dict[str, Any]]:
        limit = SubCategory._meta.get_field("name").max_length
        named = {"name": CATEGORY, "type": "text", "label": _("Category"), "max_length": limit}
        return [*super().describe(session), named]

    def writable(self, session: Session) -> dict[str, bool]:
        return {**super().writable(session), CATEGORY: True}

    def read(self, session: Session, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        records = super().read(session, ids)
        names = self._names(session)
        for record in records.values():
            record[CATEGORY] = names.get(record["sub_category"])
        return records

    def _names(self, session: Session) -> dict[str, str]:
        """The names of sub-categories by their keys; none for the one that stands for none."""
        return session.keep(
            "sub-categories",
            lambda: {
                str(uuid): name
                for uuid, name in SubCategory.objects.values_list("uuid", "name")
                if str(uuid) != extras.CATEGORIES["sub_category"]
            },
        )

    def narrow(self, session: Session, queryset, match: Mapping[str, Any]):
        queryset = super().narrow(session, queryset, match)
        if match.get(CATEGORY):
            queryset = queryset.filter(sub_category__name=match[CATEGORY])
        return queryset

    def assign(self, session: Session, entity, fields: Mapping[str, Any], *, new: bool) -> bool:
        fields = dict(fields)
        if CATEGORY in fields:
            fields |= self._category(session, entity, fields.pop(CATEGORY))
        elif fields.get("sub_category") and "category" not in fields:
            fields |= self._parent(session, fields["sub_category"])
        return super().assign(session, entity, fields, new=new)

    def _category(self, session: Session, entity, name: Any) -> dict[str, str]:
        """Both columns for a category's name; the one it has already, where that is called so."""
        if not name:
            return dict(self._starting(session))
        here = entity.sub_category if entity.sub_category_id else None
        if here is None or here.name != name:
            here = lists.sub_category(session, name)
        return {"category": str(here.category.uuid), "sub_category": str(here.uuid)}

    def _parent(self, session: Session, key: Any) -> dict[str, str]:
        pk = session.inward(SubCategory).get(str(key), 0)
        found = SubCategory.objects.filter(pk=pk).select_related("category").first()
        return {"category": str(found.category.uuid)} if found else {}


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
