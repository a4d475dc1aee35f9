"""Edits in Creme behind Koppel's back: a salesperson in Creme's own pages.

It offers `koppel.testing.human.Human`, and beyond it edits of single addresses and of roles. All
is done as a browser does it: log in, open the page with the form, change fields, post.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any, Self

import httpx

from koppel.testing.human import NotPossible
from lab.html_form import TOKEN, Form, read_errors, read_form
from lab.system import LabError, Running

KINDS = {"persons.organisation": "organisation", "persons.contact": "contact"}
ADDRESS_FIELDS = ("address", "po_box", "zipcode", "city", "department", "state", "country")
MAIN_ADDRESSES = {"billing_address": "billing", "shipping_address": "shipping"}
ROLES = {
    "customer": "persons-subject_customer_supplier",
    "prospect": "persons-subject_prospect",
    "suspect": "persons-subject_suspect",
    "inactive_customer": "persons-subject_inactive_customer",
    "supplier": "persons-object_customer_supplier",
    "competitor": "persons-subject_competitor",
    "partner": "persons-subject_partner",
}
EMPLOYED = "persons-subject_employed_by"
_APART = frozenset((*MAIN_ADDRESSES, "other_addresses", "roles", "employer"))

_RELATION = re.compile(
    r'/creme_core/relation/type/([\w-]+)" class="relationship-predicate">[^<]*</a></td>'
    r'<td><a href="/persons/\w+/(\d+)"'
)
_OWN_COMPANY = re.compile(r'"organisations": (\[\{.*?\}\])')
_ADDRESS = re.compile(r"/persons/address/edit/(\d+)(\?type=(\w+))?")
_DELETE_CHILD = re.compile(r"/creme_core/entity/delete_related/(\d+)")


class PageRefused(LabError):
    """Creme did not take what was posted; the sentence names the page and Creme's reason."""


class CremeHuman:
    """A person at Creme's pages. Fields and ids are native, as the connector's."""

    def __init__(self, url: str, username: str, password: str, token: str = "") -> None:
        """`token`: Koppel's, used only to learn which key stands for which choice's label."""
        self._web = httpx.Client(base_url=url, timeout=60.0, follow_redirects=True)
        self._token = token
        self._choices: dict[str, dict[str, dict[str, str]]] = {}
        self._names: dict[str, dict[str, str]] = {}
        self._edits = 0
        form = self._form("/creme_login")
        form.values.update(username=username, password=password)
        try:
            self._post("/creme_login", form.data())
        except PageRefused as refusal:
            raise PageRefused(f"Creme at {url} does not let {username} in: {refusal}") from None

    @classmethod
    def salesperson(cls, running: Running, username: str = "clara") -> Self:
        """A salesperson of an instance of the lab; her password is her name."""
        return cls(running.url, username, username, running.koppel["token"])

    def close(self) -> None:
        """Leave."""
        self._web.close()

    def status(self, page: str) -> int:
        """The HTTP status with which a page answers this person."""
        return self._web.get(page).status_code

    # What `Human` asks for.

    def create(self, resource: str, fields: Mapping[str, Any]) -> str:
        page = f"/persons/{_kind(resource)}/add"
        employer = fields.get("employer")
        if employer:
            page = f"/persons/contact/add_related/{employer}"
        form = self._form(page)
        if employer:
            form.values["rtype_for_organisation"] = EMPLOYED
        self._fill(form, resource, fields)
        answer = self._post(page, form.data())
        place = answer.headers.get("Location", "")
        found = re.search(rf"/persons/{_kind(resource)}/(\d+)$", place)
        if found is None:
            raise PageRefused(f"Creme's page {page} did not lead to a new record")
        id = found[1]
        self._fill_apart(resource, id, {k: v for k, v in fields.items() if k != "employer"})
        return id

    def edit(self, resource: str, id: str, fields: Mapping[str, Any]) -> None:
        if fields.keys() - _APART or fields.keys() & MAIN_ADDRESSES.keys():
            page = f"/persons/{_kind(resource)}/edit/{id}"
            form = self._form(page)
            self._fill(form, resource, fields)
            self._post(page, form.data())
        self._fill_apart(resource, id, fields)

    def edit_child(self, resource: str, id: str) -> None:
        addresses = self.addresses(resource, id)
        if not addresses:
            raise NotPossible("this record has no address")
        self._edits += 1
        self.write_address(addresses[0], {"department": f"edit {self._edits}"})

    def trash(self, resource: str, id: str) -> None:
        self._post(f"/creme_core/entity/delete/{id}")

    def restore(self, resource: str, id: str) -> None:
        self._post(f"/creme_core/entity/restore/{id}")

    def delete(self, resource: str, id: str) -> None:
        """Creme's two steps: into the trash, then out of it for good."""
        if "/creme_core/entity/restore/" not in self._detail(resource, id):
            self.trash(resource, id)
        self._post(f"/creme_core/entity/delete/{id}")

    def merge(self, resource: str, id: str, into: str) -> None:
        """With Creme's own page: what `into` has stays, what only `id` has is taken over."""
        page = f"/creme_core/entity/merge?id1={into}&id2={id}"
        form = self._form(page)
        for name in [*form.values, *form.unchecked]:
            stem, merged, rest = name.partition("_merged")
            if not merged or rest:
                continue
            if f"{stem}_1" in form.unchecked:
                form.values.pop(name, None)
            else:
                form.values[name] = form.values[f"{stem}_1"] or form.values[f"{stem}_2"]
        self._post(page, form.data())

    def read(self, resource: str, id: str) -> Mapping[str, Any] | None:
        """What her edit form and the record's page show; None where it is gone or in the trash."""
        answer = self._web.get(f"/persons/{_kind(resource)}/{id}")
        if answer.status_code == 404 or "/creme_core/entity/restore/" in answer.text:
            return None
        form = self._form(f"/persons/{_kind(resource)}/edit/{id}")
        seen: dict[str, Any] = {}
        for name in [*form.values, *form.many, *form.unchecked]:
            if "-" not in name and name != TOKEN:
                seen[name] = self._told(form, resource, name)
        for main in MAIN_ADDRESSES:
            address = {n: form.values[f"{main}-{n}"] or None for n in ADDRESS_FIELDS}
            seen[main] = address if any(address.values()) else None
        relations = _RELATION.findall(answer.text)
        seen["roles"] = sorted({role for role, kind in ROLES.items() if kind in dict(relations)})
        if resource == "persons.contact":
            seen["employer"] = next((other for kind, other in relations if kind == EMPLOYED), None)
        return seen

    # Single addresses and relations.

    def addresses(self, resource: str, id: str) -> list[str]:
        """Ids of its addresses: billing, shipping, then further ones."""
        ranks = {"billing": 0, "shipping": 1, "": 2}
        found = {key: kind for key, _, kind in _ADDRESS.findall(self._detail(resource, id))}
        return sorted(found, key=lambda key: (ranks[found[key]], int(key)))

    def add_address(self, id: str, values: Mapping[str, Any], kind: str = "") -> None:
        """A new address; `kind` is billing, shipping, or empty for a further one."""
        page = f"/persons/address/add/{kind + '/' if kind else ''}{id}"
        self._change_form(page, values)

    def write_address(self, address: str, values: Mapping[str, Any]) -> None:
        """Change an address in its own small form, so that its owner is not saved."""
        self._change_form(f"/persons/address/edit/{address}", values)

    def delete_address(self, resource: str, id: str, address: str) -> None:
        """Delete an address with the button beside it."""
        kind = _DELETE_CHILD.search(self._detail(resource, id))
        if kind is None:
            raise NotPossible("this record's page offers no button that deletes an address")
        self._post(f"/creme_core/entity/delete_related/{kind[1]}", {"id": address})

    def relate(self, id: str, kind: str, other: str) -> None:
        """Relate two records: `kind` is a relation type such as `persons-subject_prospect`."""
        fields = {"subject_id": id, "predicate_id": kind, "entities": other}
        self._post("/creme_core/relation/add_from_predicate/save", fields)

    def unrelate(self, id: str, kind: str, other: str) -> None:
        """Take such a relation away."""
        fields = {"subject_id": id, "type": kind, "object_id": other}
        self._post("/creme_core/relation/delete/similar", fields)

    # Inside.

    def _fill(self, form: Form, resource: str, fields: Mapping[str, Any]) -> None:
        for name, value in fields.items():
            if name in MAIN_ADDRESSES:
                self._fill_address(form, name, value)
            elif name not in _APART:
                self._set(form, resource, name, value)

    def _fill_address(self, form: Form, main: str, value: Mapping[str, Any] | None) -> None:
        given = dict.fromkeys(ADDRESS_FIELDS) if value is None else value
        for name in given.keys() & set(ADDRESS_FIELDS):
            form.values[f"{main}-{name}"] = given[name] or ""

    def _set(self, form: Form, resource: str, name: str, value: Any, place: str = "") -> None:
        """`place`: the field's name in the form, where it is another one."""
        place = place or name
        if place not in form:
            raise NotPossible(f"Creme's form for {resource} has no field {name}")
        if place in form.many:
            form.many[place] = [self._option(form, resource, name, k, place) for k in value or ()]
        elif place in form.options:
            form.values[place] = self._option(form, resource, name, value, place)
        elif isinstance(value, bool):
            form.values.pop(place, None)
            if value:
                form.values[place] = "on"
        else:
            form.values[place] = "" if value is None else str(value)

    def _option(self, form: Form, resource: str, name: str, key: str | None, place: str) -> str:
        label = "" if key is None else self._labels(resource)[name].get(str(key), str(key))
        if not label:
            return ""
        if label not in form.options[place]:
            raise NotPossible(f"Creme's form for {resource} does not offer {label!r} as {name}")
        return form.options[place][label]

    def _told(self, form: Form, resource: str, name: str, place: str = "") -> Any:
        place = place or name
        if place in form.many:
            labels = {value: label for label, value in form.options[place].items()}
            return [self._key(resource, name, labels[value]) for value in form.many[place]]
        if place in form.options:
            return self._key(resource, name, form.label(place)) if form.values[place] else None
        if place in form.unchecked or form.values[place] == "on":
            return place not in form.unchecked
        return form.values[place] or None

    def _key(self, resource: str, name: str, label: str) -> str:
        labels = self._labels(resource).get(name, {})
        return next((key for key, text in labels.items() if text == label), label)

    def _field_labels(self, resource: str) -> dict[str, str]:
        """For each field: its label."""
        self._labels(resource)
        return self._names[resource]

    def _labels(self, resource: str) -> dict[str, dict[str, str]]:
        """For each field with choices: key -> label. Asked once for each kind of record."""
        if not self._choices:
            headers = {"Authorization": f"Bearer {self._token}"}
            answer = self._web.get("/koppel/api/v1/describe", headers=headers)
            answer.raise_for_status()
            for told in answer.json()["resources"]:
                self._choices[told["name"]] = {
                    field["name"]: {c["value"]: c["label"] for c in field.get("choices") or ()}
                    for field in told["fields"]
                }
                self._names[told["name"]] = {
                    field["name"]: field["label"] for field in told["fields"]
                }
        return self._choices[resource]

    def _fill_apart(self, resource: str, id: str, fields: Mapping[str, Any]) -> None:
        """What has no place in the edit form: relations and further addresses."""
        if "roles" in fields:
            self._set_roles(resource, id, fields["roles"] or ())
        if "employer" in fields:
            self._set_employer(id, fields["employer"])
        if "other_addresses" in fields:
            self._set_others(resource, id, fields["other_addresses"] or ())

    def _set_roles(self, resource: str, id: str, wanted: Sequence[str]) -> None:
        page = self._detail(resource, id)
        here: dict[str, str] = dict(_RELATION.findall(page))
        for role, kind in ROLES.items():
            if role in wanted and kind not in here:
                self.relate(id, kind, self._own_company(page))
            elif role not in wanted and kind in here:
                self.unrelate(id, kind, here[kind])

    def _own_company(self, page: str) -> str:
        found = _OWN_COMPANY.search(unescape(page))
        if found is None:
            raise NotPossible("this record's page has no button that relates it to our company")
        return str(json.loads(found[1])[0]["value"])

    def _set_employer(self, id: str, wanted: str | None) -> None:
        page = self._detail("persons.contact", id)
        here = [other for kind, other in _RELATION.findall(page) if kind == EMPLOYED]
        for other in here:
            if other != str(wanted):
                self.unrelate(id, EMPLOYED, other)
        if wanted is not None and str(wanted) not in here:
            self.relate(id, EMPLOYED, str(wanted))

    def _set_others(self, resource: str, id: str, wanted: Sequence[Mapping[str, Any]]) -> None:
        page = self._detail(resource, id)
        here = {key for key, _, kind in _ADDRESS.findall(page) if not kind}
        here -= {key for key, _, kind in _ADDRESS.findall(page) if kind}
        for entry in wanted:
            values = {name: value for name, value in entry.items() if name != "id"}
            if entry.get("id") in here:
                self.write_address(str(entry["id"]), values)
                here.discard(str(entry["id"]))
            else:
                self.add_address(id, values)
        for key in here:
            self.delete_address(resource, id, key)

    def _change_form(self, page: str, values: Mapping[str, Any]) -> None:
        form = self._form(page)
        for name, value in values.items():
            if name not in form:
                raise NotPossible(f"Creme's form at {page} has no field {name}")
            form.values[name] = "" if value is None else str(value)
        self._post(page, form.data())

    def _detail(self, resource: str, id: str) -> str:
        return self._get(f"/persons/{_kind(resource)}/{id}")

    def _get(self, page: str) -> str:
        answer = self._web.get(page)
        if answer.is_error:
            raise PageRefused(f"Creme's page {page} answers with {answer.status_code}")
        return answer.text

    def _form(self, page: str) -> Form:
        form = read_form(self._get(page))
        if form is None:
            raise PageRefused(f"Creme's page {page} has no form")
        return form

    def _post(
        self, page: str, fields: Mapping[str, str | list[str]] | None = None
    ) -> httpx.Response:
        """Post, without opening the page to which Creme then leads: it takes the longest."""
        origin = str(self._web.base_url).rstrip("/")
        headers = {"Referer": origin + page, "X-CSRFToken": self._web.cookies["csrftoken"]}
        answer = self._web.post(page, data=fields or {}, headers=headers, follow_redirects=False)
        wrong = read_errors(answer.text)
        if answer.is_error or wrong:
            reason = "; ".join(wrong) or f"status {answer.status_code}"
            raise PageRefused(f"Creme's page {page} refuses: {reason}")
        return answer


def _kind(resource: str) -> str:
    if resource not in KINDS:
        raise NotPossible(f"{resource} has no page that this person uses")
    return KINDS[resource]
