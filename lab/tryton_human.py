"""Edits in Tryton behind Koppel's back, by another user than Koppel's own (`admin` in the lab).

It offers `koppel.testing.human.Human`, and beyond it edits of single children, each as Tryton's
own client would send it: straight to the child, so that the party's own time stamp stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from koppel.connectors.tryton.reading import Reader
from koppel.connectors.tryton.records import Snapshot
from koppel.connectors.tryton.rpc import TrytonSession, WarningRaised
from koppel.connectors.tryton.schema import PARTY, load_schema
from koppel.connectors.tryton.tables import ValueTables
from koppel.connectors.tryton.values import Builder, ibans
from koppel.testing.human import NotPossible
from lab.system import Running

RELATIONS = "party.relation.all"
MODELS = {
    "addresses": "party.address",
    "contact_mechanisms": "party.contact_mechanism",
    "identifiers": "party.identifier",
}
_TEXTS = {"addresses": "attn", "contact_mechanisms": "comment"}


class TrytonHuman:
    """A user of one Tryton. Fields and ids are native, as the connector's."""

    def __init__(self, url: str, database: str, username: str, password: str) -> None:
        self._session = TrytonSession(url, database, username, password, name="tryton human")
        self._tables = ValueTables(self._session)
        self._schema = load_schema(self._session, None, "", ())
        self._reader = Reader(self._session, self._schema, self._tables)
        self._edits = 0

    @classmethod
    def admin(cls, running: Running) -> TrytonHuman:
        """The administrator of an instance of the lab."""
        return cls(running.url, running.koppel["database"], *running.admin)

    def close(self) -> None:
        """Log out."""
        self._session.close()

    # What `Human` asks for.

    def create(self, resource: str, fields: Mapping[str, Any]) -> str:
        values = self._builder(fields).create(resource, "", fields)
        del values["koppel_key"]
        return str(self._change(PARTY, "create", [values])[0])

    def edit(self, resource: str, id: str, fields: Mapping[str, Any]) -> None:
        seen = self._snapshot(resource, id)
        values = self._builder(fields).update(fields, seen.record, seen.relations)
        self._change(PARTY, "write", [int(id)], values)

    def edit_child(self, resource: str, id: str) -> None:
        fields = self._snapshot(resource, id).record.fields
        for list_name, text in _TEXTS.items():
            for child in fields[list_name]:
                self._edits += 1
                self.write_child(list_name, child["id"], {text: f"edit {self._edits}"})
                return
        raise NotPossible("this party has neither an address nor a contact mechanism")

    def trash(self, resource: str, id: str) -> None:
        self._change(PARTY, "write", [int(id)], {"active": False})

    def restore(self, resource: str, id: str) -> None:
        self._change(PARTY, "write", [int(id)], {"active": True})

    def delete(self, resource: str, id: str) -> None:
        self._change(PARTY, "delete", [int(id)])

    def merge(self, resource: str, id: str, into: str) -> None:
        """With Tryton's own dialogue *Replace Party*."""
        context = {"active_model": PARTY, "active_id": int(id), "active_ids": [int(id)]}
        ask = {"ask": {"source": int(id), "destination": int(into)}}
        number = self._session.wizard("party.replace", "create", context=context)[0]
        self._confirmed(
            lambda: self._session.wizard(
                "party.replace", "execute", number, ask, "replace", context=context
            )
        )
        self._session.wizard("party.replace", "delete", number, context=context)

    def read(self, resource: str, id: str) -> Mapping[str, Any] | None:
        found = self._reader.living(resource, [id]).get(id)
        return None if found is None else found.record.fields

    # Single children.

    def add_child(self, id: str, list_name: str, values: Mapping[str, Any]) -> str:
        """A child made on its own, with plain values of Tryton; its id."""
        made = self._change(MODELS[list_name], "create", [{**values, "party": int(id)}])
        return str(made[0])

    def write_child(self, list_name: str, child: str, values: Mapping[str, Any]) -> None:
        """Change a child on its own, with plain values of Tryton."""
        self._change(MODELS[list_name], "write", [int(child)], dict(values))

    def delete_child(self, list_name: str, child: str) -> None:
        """Delete a child on its own."""
        self._change(MODELS[list_name], "delete", [int(child)])

    # More of what people do.

    def employ(self, person: str, employer: str) -> None:
        """Make a party a contact person of a company."""
        values = {
            "from_": int(person),
            "to": int(employer),
            "type": self._schema.relation_type,
        }
        self._change(RELATIONS, "create", [values])

    def end_employment(self, person: str, last_day: date) -> None:
        """Let all employments of a contact person end with that day."""
        domain = [["from_", "=", int(person)], ["type", "=", self._schema.relation_type]]
        found = self._session.call(RELATIONS, "search", domain, 0, None, None)
        self._change(RELATIONS, "write", found, {"end_date": last_day})

    def draft_sale(self, party: str) -> str:
        """An empty sale to a party at its first address; its id."""
        fields = self._snapshot(PARTY, party).record.fields
        address = int(fields["addresses"][0]["id"])
        values = {
            "party": int(party),
            "invoice_address": address,
            "shipment_address": address,
            "company": self._company(),
        }
        return str(self._change("sale.sale", "create", [values])[0])

    def add_user(self, login: str, password: str) -> None:
        """A user of Tryton without any group or company."""
        values = {"name": login, "login": login, "password": password}
        self._change("res.user", "create", [values])

    # Inside.

    def _company(self) -> int:
        return int(self._session.call("company.company", "search", [], 0, 1, None)[0])

    def _snapshot(self, resource: str, id: str) -> Snapshot:
        return self._reader.living(resource, [id])[id]

    def _builder(self, fields: Mapping[str, Any]) -> Builder:
        return Builder(self._schema, self._tables, self._reader.accounts(ibans(fields)))

    def _change(self, model: str, method: str, *args: Any) -> Any:
        return self._confirmed(lambda: self._session.call(model, method, *args, effect=True))

    def _confirmed(self, act: Callable[[], Any]) -> Any:
        """Do it, and say yes to each question that Tryton asks."""
        while True:
            try:
                return act()
            except WarningRaised as question:
                self._session.call("res.user.warning", "skip", question.name, False, effect=True)
