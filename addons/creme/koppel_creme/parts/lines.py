"""The lines of a quote, an order, an invoice or a credit note.

`lines` is a list that is written as a whole: an entry with an `id` changes that line, one without
makes one, and what is not in the list any more is removed. A line is for a product, a service, or
something on the fly; Creme cannot change what a line is for, so that makes another line with
another id. The document's totals are reckoned by Creme itself, once, after the last line.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any

from creme.billing import constants, get_product_line_model, get_service_line_model
from creme.creme_core.models import Relation, Vat
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from .. import values
from ..errors import Invalid, Refusal
from ..session import Session
from . import Part
from .catalog import code_column, codes, described_item, find_item, items
from .columns import refused

PLACE = "lines"
_COLUMNS = ("on_the_fly_item", "quantity", "unit", "unit_price", "discount", "comment")
_UNITS = {1: "percent", 2: "line_amount", 3: "item_amount"}
_UNIT_OF = {name: number for number, name in _UNITS.items()}
_WRITABLE = frozenset(
    (*_COLUMNS, "id", "kind", "product", "service", "product_code", "discount_unit", "vat", "order")
)
Last = dict[str, int]
"""For each kind of line: the number of the last one so far."""

_READ_ONLY = frozenset(("name", "total_no_vat", "total_vat"))


class Lines(Part):
    """All lines of a document, in their order; those for products before those for services."""

    names = frozenset((PLACE,))

    def __init__(self, model) -> None:
        self.model = model
        self.classes = {"product": get_product_line_model(), "service": get_service_line_model()}
        line = self.classes["product"]
        self.columns = {name: line._meta.get_field(name) for name in _COLUMNS}

    # Describe.

    def describe(self, session: Session) -> list[dict[str, Any]]:
        columns = {name: self._told(column) for name, column in self.columns.items()}
        kinds = {"product": _("Product"), "service": _("Service")}
        units = {1: _("Percent"), 2: _("Amount per line"), 3: _("Amount per unit")}
        children: list[dict[str, Any]] = [
            {"name": "id", "type": "text", "label": "Id", "writable": False},
            {"name": "kind", "type": "choice", "label": _("Kind"), "choices": _choices(kinds)},
            *(described_item(kind, label) for kind, label in kinds.items()),
            code_column(),
            columns["on_the_fly_item"],
            {"name": "name", "type": "text", "label": _("Name"), "writable": False},
            *(columns[name] for name in ("quantity", "unit", "unit_price", "discount")),
            {
                "name": "discount_unit",
                "type": "choice",
                "label": _("Discount Unit"),
                "choices": _choices({_UNITS[number]: text for number, text in units.items()}),
            },
            {"name": "vat", "type": "decimal", "label": _("VAT"), "scale": 2},
            columns["comment"],
            {"name": "order", "type": "integer", "label": _("Order")},
            _total("total_no_vat", _("Total without VAT")),
            _total("total_vat", _("Total with VAT")),
        ]
        return [{"name": PLACE, "type": "list", "label": _("Lines"), "fields": children}]

    def _told(self, column) -> dict[str, Any]:
        told = {
            "name": column.name,
            "type": values.type_of(column),
            "label": str(column.verbose_name),
        }
        if told["type"] == "text":
            told["max_length"] = column.max_length
        else:
            told["scale"] = column.decimal_places
        return told

    def writable(self, session: Session) -> dict[str, bool]:
        return {PLACE: True}

    # Read.

    def read(self, session: Session, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        discounts = dict(self.model.objects.filter(pk__in=ids).values_list("pk", "discount"))
        found: dict[int, list[tuple[Any, dict[str, Any]]]] = {pk: [] for pk in discounts}
        owner = dict(self._owners(ids))
        tell = {name: values.outward(session, column) for name, column in self.columns.items()}
        vats = _vats(session)
        for rank, (kind, model) in enumerate(self.classes.items()):
            lines = list(model.objects.filter(pk__in=owner))
            related = items(kind, [line.pk for line in lines])
            known = codes(session, kind, [pk for pk, _name in related.values()])
            for line in lines:
                if owner[line.pk] not in found:
                    continue
                line.vat_value = vats[line.vat_value_id]
                item, name = related.get(line.pk, (None, None))
                told = {
                    "id": str(line.pk), "kind": kind, "product": None, "service": None,
                    "product_code": known.get(item), "name": name or line.on_the_fly_item or None,
                    "discount_unit": _UNITS.get(line.discount_unit), "order": line.order,
                    "vat": _money(line.vat_value.value),
                    **_totals(line, discounts[owner[line.pk]]),
                    **{name: write(getattr(line, name)) for name, write in tell.items()},
                }  # fmt: skip
                told[kind] = None if item is None else str(item)
                found[owner[line.pk]].append(((rank, line.order, line.pk), told))
        return {
            pk: {PLACE: [told for _rank, told in sorted(lines, key=lambda pair: pair[0])]}
            for pk, lines in found.items()
        }

    def _owners(self, ids: Collection[int]) -> Iterator[tuple[int, int]]:
        """Pairs of a line and its document."""
        return Relation.objects.filter(
            object_entity__in=ids, type=constants.REL_OBJ_HAS_LINE
        ).values_list("subject_entity_id", "object_entity_id")

    def hanging(self, ids: Collection[int]) -> Collection[int]:
        return [line for line, _document in self._owners(ids)]

    # Write.

    def follow(self, session: Session, entity, fields: Mapping[str, Any], *, new: bool) -> bool:
        if PLACE not in fields:
            return False
        given = fields[PLACE] or []
        if not isinstance(given, list):
            raise Invalid(f"{PLACE} must be a list of lines.", PLACE)
        entries = [_checked(entry) for entry in given]
        here = {} if new else self._lines(entity)
        changed = False
        last: dict[str, int] = defaultdict(int)
        with _totals_once(entity):
            for entry in entries:
                key = entry.get("id")
                if key is not None and str(key) not in here:
                    raise Invalid(f"{PLACE}: this record has no line {key}.", PLACE)
                kind, line = here.pop(str(key)) if key is not None else ("", None)
                changed |= self._write(session, entity, kind, line, entry, last)
            for _kind, line in here.values():
                line.delete()
                changed = True
        return changed

    def _lines(self, entity) -> dict[str, tuple[str, Any]]:
        """The document's lines by their ids on the wire, each with its kind."""
        found = {}
        for kind, model in self.classes.items():
            for line in entity.get_lines(model):
                # Else Creme would load and save another copy of the document.
                line._related_document = entity
                found[str(line.pk)] = (kind, line)
        return found

    def _write(
        self, session: Session, document, kind: str, line, entry: Mapping[str, Any], last: Last
    ) -> bool:
        """Make or change one line; whether anything was saved."""
        wanted, item = self._item(session, kind, line, entry)
        old = line
        if line is None or wanted != kind or not _same_item(line, item):
            line = self._new(session, document, wanted, item, old)
        changed = self._fill(session, line, entry, item) or line.pk is None
        if entry.get("order") is None and line.order <= last[wanted]:
            # What stands right already keeps its number.
            line.order = last[wanted] + 1
            changed = True
        last[wanted] = line.order
        if changed:
            self._validate(line)
            line.save()
        if old is not None and old is not line:
            old.delete()
        return changed

    def _item(self, session: Session, kind: str, line, entry: Mapping[str, Any]) -> tuple[str, Any]:
        """What the line is for: its kind, and the product or service; None: something on the fly.

        What the entry does not tell stays as it is.
        """
        found = find_item(session, entry, PLACE)
        if found is not None:
            if entry.get("on_the_fly_item"):
                raise Invalid(
                    f"{PLACE}.on_the_fly_item: a line is for a product or on the fly, not both.",
                    f"{PLACE}.on_the_fly_item",
                )
            return found
        told = entry.get("kind") or kind or "product"
        if told not in self.classes:
            raise Invalid(f"{PLACE}.kind: {told!r} is neither product nor service.", PLACE)
        if entry.get("on_the_fly_item"):
            return told, None
        if line is None:
            raise Invalid(
                f"{PLACE}: a line needs a product, a service, or a name on the fly.",
                f"{PLACE}.product",
            )
        return kind, line.related_item

    def _new(self, session: Session, document, kind: str, item, old):
        """An unsaved line; a replacement takes over what the old one says."""
        if not session.user.has_perm_to_link(document):
            raise Refusal(
                "forbidden", f"{session.user} may not add lines to “{document}” in Creme.", (PLACE,)
            )
        line = self.classes[kind]()
        line.related_document = document
        if item is not None:
            line.related_item = item
            line.unit_price, line.unit = item.unit_price, item.unit
        if old is not None:
            same = ("comment", "quantity", "unit_price", "unit", "discount", "discount_unit")
            for name in (*same, "vat_value_id", "order"):
                setattr(line, name, getattr(old, name))
        return line

    def _fill(self, session: Session, line, entry: Mapping[str, Any], item) -> bool:
        wanted: dict[str, Any] = {}
        for name in self.columns.keys() & entry.keys():
            place = f"{PLACE}.{name}"
            wanted[name] = values.inward(session, self.columns[name], entry[name], place)
        if item is not None:
            wanted.pop("on_the_fly_item", None)
        if entry.get("discount_unit") is not None:
            if entry["discount_unit"] not in _UNIT_OF:
                raise Invalid(
                    f"{PLACE}.discount_unit: there are {', '.join(_UNIT_OF)}.",
                    f"{PLACE}.discount_unit",
                )
            wanted["discount_unit"] = _UNIT_OF[entry["discount_unit"]]
        if entry.get("vat") is not None:
            wanted["vat_value"] = _vat(session, entry["vat"])
        if entry.get("order") is not None:
            wanted["order"] = _order(entry["order"])
        changed = False
        for name, value in wanted.items():
            here = line.vat_value_id if name == "vat_value" else getattr(line, name)
            if here != (value.pk if name == "vat_value" else value):
                setattr(line, name, value)
                changed = True
        return changed

    def _validate(self, line) -> None:
        try:
            line.full_clean(exclude=("cremeentity_ptr", "entity_type", "uuid", "user", "vat_value"))
        except ValidationError as error:
            raise refused(error.message_dict, f"{PLACE}.") from None


@contextlib.contextmanager
def _totals_once(document) -> Iterator[None]:
    """Creme reckons a document's totals anew with each line: let it do so after the last one."""
    document.save = lambda *args, **kwargs: None
    try:
        yield
    finally:
        del document.save


class _Discounted:
    """As much of a document as Creme's own arithmetic of a line asks for."""

    def __init__(self, discount: Decimal) -> None:
        self.discount = discount


def _totals(line, discount: Decimal) -> dict[str, str]:
    document = _Discounted(discount)
    return {
        "total_no_vat": _money(line.get_price_exclusive_of_tax(document)),
        "total_vat": _money(line.get_price_inclusive_of_tax(document)),
    }


def _money(value: Decimal) -> str:
    return str(values.rounded(value, 2))


def _vats(session: Session) -> dict[int, Any]:
    return session.keep("vats", lambda: Vat.objects.in_bulk())


def _vat(session: Session, given: Any) -> Vat:
    place = f"{PLACE}.vat"
    column = Vat._meta.get_field("value")
    wanted = values.inward(session, column, given, place)
    for _pk, vat in sorted(_vats(session).items()):
        if vat.value == wanted:
            return vat
    raise Invalid(f"{place}: Creme knows no VAT rate of {wanted} %; add it there.", place)


def _order(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given < 2**31:
        raise Invalid(f"{PLACE}.order must be a whole number from 0 on.", f"{PLACE}.order")
    return given


def _same_item(line, item) -> bool:
    here = line.related_item
    return (here and here.pk) == (item and item.pk)


def _checked(entry: Any) -> Mapping[str, Any]:
    if not isinstance(entry, Mapping):
        raise Invalid(f"{PLACE} must be a list of lines with named fields.", PLACE)
    for name in entry:
        if name in _READ_ONLY:
            raise Invalid(f"{PLACE}.{name} is reckoned by Creme itself.", f"{PLACE}.{name}")
        if name not in _WRITABLE:
            raise Invalid(f"{PLACE} has no field {name}.", f"{PLACE}.{name}")
    return entry


def _choices(labels: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"value": value, "label": str(label)} for value, label in labels.items()]


def _total(name: str, label: str) -> dict[str, Any]:
    return {"name": name, "type": "decimal", "label": label, "scale": 2, "writable": False}
