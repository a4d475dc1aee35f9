"""A salesperson at Creme's pages for products, quotes, orders, invoices and credit notes.

As `CremeHuman`, and for documents: their lines, their status, and the button *Transfer to ERP*.
Fields are native, as the connector's; what has no place in a form is `NotPossible`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from html import unescape
from typing import Any

import httpx

from koppel.testing.human import NotPossible
from lab.creme_human import KINDS, MAIN_ADDRESSES, CremeHuman, PageRefused
from lab.html_form import Form, read_form

PAGES = {
    "products.product": "/products/product",
    "products.service": "/products/service",
    "billing.quote": "/billing/quote",
    "billing.salesorder": "/billing/sales_order",
    "billing.invoice": "/billing/invoice",
    "billing.creditnote": "/billing/credit_note",
}
DOCUMENTS = tuple(name for name in PAGES if name.startswith("billing."))
_CATEGORY = "cform_extra-products_subcategory"
_TARGET = "cform_extra-billing_target"
_UNITS = {"percent": "1", "line_amount": "2", "item_amount": "3"}
_NEVER = frozenset(("lines", "source", "target", *MAIN_ADDRESSES))
_KIND = re.compile(r'\{"id":(\d+),"create":"/creme_core/quickforms/\d+/add","create_label":"(.*?)"')
_LABEL = re.compile(r'<label for="id_(custom_field-\d+)"[^>]*>\s*([^<]*?)\s*<')
_CUSTOM = re.compile(r'name="(custom_field-\d+)"')
_NEW = "__prefix__"

Change = Callable[["Lines"], None]


class Lines:
    """The form of all lines of one kind on a document's page."""

    def __init__(self, page: str, kind: str) -> None:
        self.prefix = f"{kind}_line_formset"
        found = re.search(
            rf'<div class="bline-form" ct_id="(\d+)"(?:(?!<div class="bline-form").)*?'
            rf'name="{self.prefix}-TOTAL_FORMS".*?(?=<div class="bline-form"|$)',
            page,
            re.DOTALL,
        )
        form = read_form(f"<form>{found[0]}</form>") if found else None
        if found is None or form is None:
            raise PageRefused(f"the document's page has no form for its {kind} lines")
        self.content_type = found[1]
        self.form: Form = form

    @property
    def ids(self) -> list[str]:
        """The ids of the lines, as they stand on the page."""
        count = int(self.form.values[f"{self.prefix}-INITIAL_FORMS"])
        return [self.form.values[f"{self.prefix}-{i}-cremeentity_ptr"] for i in range(count)]

    def told(self, index: int) -> dict[str, str]:
        """What she reads of a line: the values in its fields."""
        start = f"{self.prefix}-{index}-"
        values = self.form.values
        return {n.removeprefix(start): v for n, v in values.items() if n.startswith(start)}

    def change(self, line: str, fields: Mapping[str, Any]) -> None:
        """Write into the fields of a line."""
        self._fill(self.ids.index(line), fields)

    def remove(self, line: str) -> None:
        """Flag a line for deletion."""
        name = f"{self.prefix}-{self.ids.index(line)}-DELETE"
        self.form.unchecked.discard(name)
        self.form.values[name] = "on"

    def add(self, fields: Mapping[str, Any]) -> None:
        """Add a line on the fly."""
        total = f"{self.prefix}-TOTAL_FORMS"
        index = int(self.form.values[total])
        start = f"{self.prefix}-{_NEW}-"
        for name in [n for n in self.form.values if n.startswith(start)]:
            self.form.values[f"{self.prefix}-{index}-{name.removeprefix(start)}"] = (
                self.form.values[name]
            )
        self.form.values[total] = str(index + 1)
        self._fill(index, fields)

    def _fill(self, index: int, fields: Mapping[str, Any]) -> None:
        for name, value in fields.items():
            if name == "vat":
                options = self.form.options[f"{self.prefix}-{_NEW}-vat_value"]
                name, value = "vat_value", _rate(options, value)
            elif name == "discount_unit":
                value = _UNITS[value]
            self.form.values[f"{self.prefix}-{index}-{name}"] = "" if value is None else str(value)

    def posted(self) -> dict[str, str]:
        """What the button *Save all lines* posts."""
        values = {n: v for n, v in self.form.values.items() if f"-{_NEW}-" not in n}
        return {self.content_type: json.dumps(values)}


class CremeSeller(CremeHuman):
    """A person at the pages of sales. Partners are done as a `CremeHuman` does them."""

    def create(self, resource: str, fields: Mapping[str, Any]) -> str:
        if resource in KINDS:
            return super().create(resource, fields)
        page = f"{_page(resource)}/add"
        form = self._form(page)
        if _TARGET in form:
            form.values[_TARGET] = self._target(page, str(fields["target"]))
        if _CATEGORY in form and not form.values[_CATEGORY]:
            form.values[_CATEGORY] = next(v for v in form.options[_CATEGORY].values() if v)
        self._enter(form, page, resource, fields)
        place = self._post(page, form.data()).headers.get("Location", "")
        found = re.search(rf"{_page(resource)}/(\d+)$", place)
        if found is None:
            raise PageRefused(f"Creme's page {page} did not lead to a new record")
        for line in fields.get("lines") or ():
            self.add_line(resource, found[1], line)
        return found[1]

    def edit(self, resource: str, id: str, fields: Mapping[str, Any]) -> None:
        if resource in KINDS:
            super().edit(resource, id, fields)
            return
        if fields.keys() & (_NEVER - {"lines"}):
            raise NotPossible(f"this person does not change {', '.join(fields.keys() & _NEVER)}")
        if fields.keys() - _NEVER:
            page = f"{_page(resource)}/edit/{id}"
            form = self._form(page)
            self._enter(form, page, resource, fields)
            self._post(page, form.data())
        if "lines" in fields:
            self._set_lines(resource, id, fields["lines"] or ())

    def edit_child(self, resource: str, id: str) -> None:
        if resource in KINDS:
            super().edit_child(resource, id)
            return
        lines = self.lines(resource, id) if resource in DOCUMENTS else []
        if not lines:
            raise NotPossible("this record has no lines")
        self._edits += 1
        self.edit_line(resource, id, lines[0], {"comment": f"edit {self._edits}"})

    def merge(self, resource: str, id: str, into: str) -> None:
        if resource in KINDS:
            super().merge(resource, id, into)
            return
        raise NotPossible("Creme merges no products and no documents")

    def read(self, resource: str, id: str) -> Mapping[str, Any] | None:
        if resource in KINDS:
            return super().read(resource, id)
        answer = self._web.get(f"{_page(resource)}/{id}")
        if answer.status_code == 404 or "/creme_core/entity/restore/" in answer.text:
            return None
        page = f"{_page(resource)}/edit/{id}"
        form = self._form(page)
        own = {place: name for name, place in self._places(page, resource).items()}
        seen: dict[str, Any] = {
            own.get(name, name): self._told(form, resource, own.get(name, name), name)
            for name in form.values
            if "-" not in name or name in own
        }
        if resource in DOCUMENTS:
            seen["lines"] = [
                lines.told(index)
                for lines in (Lines(answer.text, "product"), Lines(answer.text, "service"))
                for index in range(len(lines.ids))
            ]
        return seen

    # Lines.

    def lines(self, resource: str, id: str, kind: str = "product") -> list[str]:
        """The ids of a document's lines of one kind, in their order."""
        return Lines(self._get(f"{_page(resource)}/{id}"), kind).ids

    def add_line(self, resource: str, id: str, line: Mapping[str, Any]) -> str:
        """Add a line for a product (then its price may be changed) or one on the fly; its id."""
        before = set(self.lines(resource, id))
        rest = {n: v for n, v in line.items() if n not in ("id", "kind", "product")}
        if line.get("product"):
            page = f"/billing/{id}/product_line/add_multiple"
            form = self._form(page)
            form.values["items"] = json.dumps([int(line["product"])])
            form.values["quantity"] = str(rest.pop("quantity", 1))
            if rest.get("vat") is not None:
                form.values["vat"] = _rate(form.options["vat"], rest.pop("vat"))
            self._post(page, form.data())
        else:
            self._save_lines(resource, id, lambda lines: lines.add(rest))
            rest = {}
        (new,) = set(self.lines(resource, id)) - before
        if rest:
            self.edit_line(resource, id, new, rest)
        return new

    def edit_line(self, resource: str, id: str, line: str, fields: Mapping[str, Any]) -> None:
        """Write into a line on the document's page and save all lines."""
        self._save_lines(resource, id, lambda lines: lines.change(line, fields))

    def delete_line(self, resource: str, id: str, line: str) -> None:
        """Flag a line for deletion and save all lines."""
        self._save_lines(resource, id, lambda lines: lines.remove(line))

    def _set_lines(self, resource: str, id: str, wanted: Sequence[Mapping[str, Any]]) -> None:
        kept = [str(entry["id"]) for entry in wanted if entry.get("id")]
        for line in self.lines(resource, id):
            if line not in kept:
                self.delete_line(resource, id, line)
        for entry in wanted:
            values = {n: v for n, v in entry.items() if n not in ("id", "kind", "product")}
            if entry.get("id"):
                self.edit_line(resource, id, str(entry["id"]), values)
            else:
                self.add_line(resource, id, entry)

    def _save_lines(self, resource: str, id: str, change: Change) -> None:
        lines = Lines(self._get(f"{_page(resource)}/{id}"), "product")
        change(lines)
        self._post(f"/billing/{id}/multi_save_lines", lines.posted())

    # Status and buttons.

    def set_status(self, resource: str, id: str, label: str) -> None:
        """Choose another status in the document's form, by what it is called there."""
        page = f"{_page(resource)}/edit/{id}"
        form = self._form(page)
        if label not in form.options["status"]:
            known = ", ".join(form.options["status"])
            raise NotPossible(f"there is no status {label!r}, only {known}")
        form.values["status"] = form.options["status"][label]
        self._post(page, form.data())

    def convert_to_order(self, id: str) -> str:
        """Press *Convert to salesorder* on a quote's page; the id of the new order."""
        answer = self._post(f"/billing/{id}/convert", {"type": "sales_order"})
        found = re.search(r"/billing/sales_order/(\d+)", answer.text + str(answer.headers))
        if found is None:
            raise PageRefused(f"Creme's conversion of quote {id} did not lead to an order")
        return found[1]

    def clone(self, resource: str, id: str) -> str:
        """Press *Clone* on a record's page; the id of the new record."""
        answer = self._post("/creme_core/entity/clone", {"id": id})
        found = re.search(rf"{_page(resource)}/(\d+)", answer.text + str(answer.headers))
        if found is None:
            raise PageRefused(f"Creme's clone of {resource} {id} did not lead to a new record")
        return found[1]

    def press_transfer(self, resource: str, id: str) -> httpx.Response:
        """Press *Transfer to ERP* as the page's script does; Koppel's answer or its refusal."""
        return self._press(f"/koppel/transfer/{resource}/{id}")

    def press_compare(self, resource: str, id: str) -> httpx.Response:
        """Press *Compare with the ERP's prices* on a document's page."""
        return self._press(f"/koppel/prices/{resource}/{id}")

    def press_take_prices(self, resource: str, id: str) -> httpx.Response:
        """Press *Take the ERP's prices over* on a document's page."""
        return self._press(f"/koppel/prices/{resource}/{id}/take")

    def press_refresh(self, resource: str, id: str) -> httpx.Response:
        """Press *Refresh* in the head of Koppel's block."""
        return self._press(f"/koppel/refresh/{resource}/{id}")

    def block(self, resource: str, id: str, name: str = "koppel-sales-brick") -> str:
        """The text of Koppel's block on the record's page; empty where there is none."""
        page = self._get(f"{_page(resource)}/{id}")
        start = page.find(name)
        if start < 0:
            return ""
        end = page.find('<div class="brick ', start)
        text = re.sub(r"<[^>]*>", " ", page[page.index(">", start) + 1 : end])
        return re.sub(r"\s+", " ", unescape(text))

    def page(self, resource: str, id: str) -> str:
        """The record's page."""
        return self._get(f"{_page(resource)}/{id}")

    def _press(self, path: str) -> httpx.Response:
        headers = {
            "X-CSRFToken": self._web.cookies["csrftoken"],
            "X-Requested-With": "XMLHttpRequest",
        }
        return self._web.post(path, headers=headers)

    # Inside.

    def _detail(self, resource: str, id: str) -> str:
        return self._get(f"{_page(resource)}/{id}")

    def _target(self, page: str, organisation: str) -> str:
        kinds = {label: number for number, label in _KIND.findall(unescape(self._get(page)))}
        number = int(kinds["Create an organisation"])
        return json.dumps({"ctype": {"id": number}, "entity": int(organisation)})

    def _places(self, page: str, resource: str) -> dict[str, str]:
        """Names of custom fields on the wire -> their names in the form, matched by label."""
        text = self._get(page)
        labels = {unescape(label): place for place, label in _LABEL.findall(text) if label}
        alone = set(_CUSTOM.findall(text))
        if resource not in DOCUMENTS and len(alone) == 1:
            # The only custom field of a form has a block of its own, and no label.
            return {"erp_code": alone.pop()}
        told = self._field_labels(resource)
        return {name: labels[label] for name, label in told.items() if label in labels}

    def _enter(self, form: Form, page: str, resource: str, fields: Mapping[str, Any]) -> None:
        plain = {n: v for n, v in fields.items() if n not in _NEVER and not n.startswith("cform")}
        places = self._places(page, resource) if any(n not in form for n in plain) else {}
        for name, value in plain.items():
            self._set(form, resource, name, value, places.get(name, name))


def _page(resource: str) -> str:
    if resource in KINDS:
        return f"/persons/{KINDS[resource]}"
    if resource not in PAGES:
        raise NotPossible(f"{resource} has no page that this person uses")
    return PAGES[resource]


def _rate(options: Mapping[str, str], rate: Any) -> str:
    label = f"{rate:.2f} %"
    if label not in options:
        raise NotPossible(f"Creme's form offers no VAT rate of {label}")
    return options[label]
