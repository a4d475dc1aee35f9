"""Reading parties: by id, by match, and all of them.

A contact person is a party that has, or had, the relation of contact persons to an employer; all
other parties are `party.party`, except our own companies, our staff and the banks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from koppel.connectors.base import Fields, Gone, IdPage, PartyStanding, Record
from koppel.connectors.tryton.records import (
    Heirs,
    Snapshot,
    read_names,
    snapshots,
    version_names,
    version_of,
)
from koppel.connectors.tryton.rpc import TrytonSession
from koppel.connectors.tryton.schema import (
    BANK_ACCOUNTS,
    CONTACT,
    EMPLOYER,
    PARTY,
    Leaf,
    Schema,
)
from koppel.connectors.tryton.tables import ValueTables
from koppel.connectors.tryton.values import compact_iban, holds
from koppel.errors import Defect, NeedsUser

Domain = list[Any]
SWEEP_PAGE = 500
ANY_STATE = ["active", "in", [True, False]]
OWN_MODELS = ("company.company", "company.employee", "bank")
"""Whose parties are not customers: our own companies, our staff, the banks."""

_OWN_SECONDS = 60.0


class Reader:
    """Reads the parties of one session."""

    def __init__(
        self,
        session: TrytonSession,
        schema: Schema,
        tables: ValueTables,
        *,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._schema = schema
        self._tables = tables
        self._ticks = ticks
        self._models: tuple[str, ...] | None = None
        self._own: list[int] | None = None
        self._own_until = 0.0

    # By id and by match.

    def living(
        self, resource: str, ids: Iterable[str], only: Iterable[str] | None = None
    ) -> dict[str, Snapshot]:
        """The living records of that resource among these ids; `only`: with these fields alone."""
        numbers = _numbers(ids)
        if not numbers:
            return {}
        domain = [["id", "in", numbers], *self.living_domain(resource)]
        schema = self._schema if only is None else self._schema.narrowed(only)
        return self._read(resource, domain, None, schema)

    def gone(self, resource: str, ids: Iterable[str]) -> dict[str, Gone]:
        """What became of records that are not living: one entry for each id."""
        wanted = list(ids)
        numbers = _numbers(wanted)
        names = ["active", "replaced_by"]
        rows = self.rows([["id", "in", numbers], ANY_STATE], None, names) if numbers else []
        found = {str(row["id"]): row for row in rows}
        return {id: _gone(resource, id, found.get(id)) for id in wanted}

    def fetch(self, resource: str, ids: Sequence[str]) -> dict[str, Record | Gone]:
        """One entry for each id."""
        found = self.living(resource, ids)
        gone = self.gone(resource, [id for id in ids if id not in found])
        return {id: found[id].record if id in found else gone[id] for id in ids}

    def standing(self, id: str, *, credit: bool) -> PartyStanding:
        """See `SalesFunctions.party_standing`. Only with the module `koppel`."""
        domain = [["id", "in", _numbers([id])], *self.living_domain(PARTY)]
        names = read_names(self._schema, PARTY)
        told = self._session.call(PARTY, "koppel_standing", domain, names, credit)
        if told is None:
            return PartyStanding(record=self.gone(PARTY, [id])[id])
        found = snapshots(self._schema, self._tables, PARTY, [told["row"]], {})
        return PartyStanding(
            record=found[id].record,
            dunning_level=told["dunning_level"],
            blocked=told["blocked"],
            credit_limit=told.get("credit_limit"),
            exposure=told.get("exposure"),
        )

    def find(self, resource: str, match: Fields, limit: int) -> list[Record]:
        """Living records whose fields equal all of `match`, the oldest first."""
        domain = self.living_domain(resource)
        for name, value in match.items():
            clause = self._clause(resource, name, value)
            if clause is None:
                return []
            domain.append(clause)
        found = self._read(resource, domain, limit, self._schema)
        return [snapshot.record for snapshot in found.values()]

    def by_keys(self, resource: str, keys: Iterable[str]) -> dict[str, Record | Gone]:
        """What was created under these keys, living or gone. Only with the module `koppel`."""
        domain = [["koppel_key", "in", list(keys)], ANY_STATE]
        made = {row["koppel_key"]: str(row["id"]) for row in self.rows(domain, None, _KEY)}
        found = self.fetch(resource, list(made.values()))
        return {key: found[id] for key, id in made.items()}

    def by_fields(self, resource: str, wanted: Sequence[Fields]) -> list[Record | None]:
        """For each of these fields the one living record that holds them all, by its name."""
        names = sorted({fields["name"] for fields in wanted if fields.get("name")})
        domain = [["name", "in", names], *self.living_domain(resource)]
        found = self._read(resource, domain, None, self._schema) if names else {}
        records = [snapshot.record for snapshot in found.values()]
        answer: list[Record | None] = []
        for fields in wanted:
            held = [one for one in records if fields.get("name") and holds(one, fields)]
            answer.append(held[0] if len(held) == 1 else None)
        return answer

    def has_code(self, code: str) -> bool:
        """Is there a party with that code, active or not?"""
        return bool(self.rows([["code", "=", code], ANY_STATE], 1, ["code"]))

    def accounts(self, ibans: Iterable[str]) -> dict[str, int]:
        """The bank accounts that Tryton knows under these IBANs."""
        wanted = list(ibans)
        if not wanted:
            return {}
        rows = self._search_read(
            "bank.account.number",
            [["number_compact", "in", wanted], ["type", "=", "iban"]],
            None,
            ["number_compact", "account"],
        )
        return {row["number_compact"]: row["account"] for row in rows}

    def wanted(self, resource: str) -> list[str]:
        """The names that a read of whole records asks for."""
        return read_names(self._schema, resource)

    def made(self, resource: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Record]:
        """The records of rows that were read right after their creation, as far as they are such.

        One that is no living record of that resource after all is left out.
        """
        found = snapshots(self._schema, self._tables, resource, rows, self.heirs(resource))
        active = {str(row["id"]) for row in rows if row["active"]}
        return {
            id: snapshot.record
            for id, snapshot in found.items()
            if id in active and (snapshot.relations or resource != CONTACT)
        }

    def _read(
        self, resource: str, domain: Domain, limit: int | None, schema: Schema
    ) -> dict[str, Snapshot]:
        rows = self.rows(domain, limit, read_names(schema, resource))
        heirs = self.heirs(resource) if rows else {}
        return snapshots(schema, self._tables, resource, rows, heirs)

    def rows(self, domain: Domain, limit: int | None, names: Sequence[str]) -> list[dict[str, Any]]:
        """Parties as plain rows, by id."""
        return self._search_read(PARTY, domain, limit, names)

    def _search_read(
        self, model: str, domain: Domain, limit: int | None, names: Sequence[str]
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._session.call(
            model, "search_read", domain, 0, limit, [["id", "ASC"]], list(names)
        )
        return rows

    def heirs(self, resource: str) -> Heirs:
        """The last of all that a party was merged into; needed for contact persons alone."""
        if resource != CONTACT:
            return {}
        domain = [["replaced_by", "!=", None], ["active", "=", False]]
        direct = {row["id"]: row["replaced_by"] for row in self.rows(domain, None, _HEIR)}
        return {old: _last(direct, old) for old in direct}

    def versions(
        self, resource: str, domain: Domain, limit: int, more: Sequence[str] = ()
    ) -> list[tuple[str, dict[str, Any]]]:
        """Parties of one kind as rows with their versions, by id."""
        heirs = self.heirs(resource)
        rows = self.rows(domain, limit, [*version_names(self._schema, resource, heirs), *more])
        return [(version_of(self._schema, row, heirs), row) for row in rows]

    # Domains.

    def living_domain(self, resource: str) -> Domain:
        """Finds the living records of a resource."""
        domain: Domain = [["active", "=", True], *self.kind_domain(resource)]
        own = self.own_parties()
        if own:
            domain.append(["id", "not in", own])
        return domain

    def kind_domain(self, resource: str) -> Domain:
        """Tells contact persons from other parties, also those whose employment is over."""
        tie = self._schema.relation_type
        if tie is None:
            return []
        operator = "where" if resource == CONTACT else "not where"
        return [["relations", operator, [["type", "=", tie], ANY_STATE]]]

    def own_parties(self) -> list[int]:
        """Parties that are no customers; looked up once a minute."""
        if self._own is not None and self._ticks() < self._own_until:
            return self._own
        found: set[int] = set()
        for model in self._own_models():
            rows = self._search_read(model, [], None, ["party"])
            found.update(row["party"] for row in rows if row["party"])
        self._own, self._own_until = sorted(found), self._ticks() + _OWN_SECONDS
        return self._own

    def _own_models(self) -> tuple[str, ...]:
        if self._models is None:
            rows = self._search_read("ir.model", [["name", "in", list(OWN_MODELS)]], None, ["name"])
            self._models = tuple(row["name"] for row in rows)
        return self._models

    def _clause(self, resource: str, name: str, value: Any) -> Domain | None:
        """A search clause; None where the value can match nothing."""
        head, _, child_name = name.partition(".")
        child = self._schema.children.get(head)
        if name in self._schema.leaves:
            clause = self._leaf_clause(name, self._schema.leaves[name], value)
            return _by_value_rows(clause) if name in _VALUE_ROWS else clause
        if child is not None and child_name in child.leaves:
            return self._leaf_clause(name, child.leaves[child_name], value)
        if child is not None and not child_name and isinstance(value, list):
            return self._list_clause(head, child.leaves, value)
        if name == f"{BANK_ACCOUNTS}.iban" and self._schema.bank is not None:
            return [f"{BANK_ACCOUNTS}.numbers.number_compact", "=", compact_iban(value)]
        if name == EMPLOYER and resource == CONTACT and str(value).isdigit():
            tie = self._schema.relation_type
            wanted = int(value)
            merged = [old for old, heir in self.heirs(CONTACT).items() if heir == wanted]
            return ["relations", "where", [["type", "=", tie], ["to", "in", [wanted, *merged]]]]
        raise NeedsUser(
            f"one cannot search by the field {name!r}",
            place=f"{self._session.name} {resource}",
            remedy="Correct the match keys of the rule",
        )

    def _leaf_clause(self, path: str, leaf: Leaf, value: Any) -> Domain | None:
        if value is None:
            return [path, "=", None]
        if leaf.table:
            number = self._tables.number(leaf.table, str(value))
            return None if number is None else [path, "=", number]
        if leaf.info.type == "reference":
            return [path, "=", int(value)] if str(value).isdigit() else None
        return [path, "=", value]

    def _list_clause(
        self, name: str, leaves: Mapping[str, Leaf], items: Sequence[Any]
    ) -> Domain | None:
        clauses: Domain = []
        for item in items:
            inner = [
                self._leaf_clause(key, leaves[key], value)
                for key, value in item.items()
                if key in leaves
            ]
            if None in inner:
                return None
            clauses.append([name, "where", inner])
        return clauses or [name, "=", None]

    # The sweep.

    def ids(self, resource: str, page: str | None) -> IdPage:
        """One page of all living records, by id."""
        domain = [*self.living_domain(resource), ["id", ">", _page_number(page, resource)]]
        rows = self.versions(resource, domain, SWEEP_PAGE)
        items = tuple((str(row["id"]), version) for version, row in rows)
        return IdPage(items=items, next=items[-1][0] if len(rows) == SWEEP_PAGE else None)


_VALUE_ROWS = {"lang": "langs", "customer_payment_term": "payment_terms"}
"""Fields that Tryton keeps in rows of their own and cannot search by, and the list of the rows."""


def _by_value_rows(clause: Domain | None) -> Domain | None:
    if clause is None:
        return None
    name, _, value = clause
    if value is None:
        return [_VALUE_ROWS[name], "not where", [[name, "!=", None]]]
    return [_VALUE_ROWS[name], "where", [clause]]


def _page_number(page: str | None, resource: str) -> int:
    if page is not None and not page.isdigit():
        raise Defect(f"the page {page!r} was not made here", place=resource)
    return int(page or 0)


_KEY = ("koppel_key",)
_HEIR = ("replaced_by",)


def _last(heirs: Mapping[int, int], old: int) -> int:
    passed = {old}
    heir = heirs[old]
    while heir in heirs and heir not in passed:
        passed.add(heir)
        heir = heirs[heir]
    return heir


def _numbers(ids: Iterable[str]) -> list[int]:
    return [int(text) for text in ids if text.isascii() and text.isdigit()]


def _gone(resource: str, id: str, row: Mapping[str, Any] | None) -> Gone:
    """An active row is a record of another kind."""
    if row is None or row["active"]:
        return Gone(resource=resource, id=id)
    merged = str(row["replaced_by"]) if row["replaced_by"] else None
    return Gone(resource=resource, id=id, merged_into=merged, trashed=True)
