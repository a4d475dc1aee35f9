"""Both systems as the order processes see them: connectors, the reader of orders, value lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from koppel.connectors.base import (
    Act,
    Connector,
    Create,
    Delete,
    Record,
    Refused,
    Unknown,
    Update,
    Written,
)
from koppel.engine.lines import Lines
from koppel.errors import NeedsUser, TryLater
from koppel.mapping.orders import (
    OrderMapping,
    OrderReader,
    load_order_mapping,
    shipped_order_mapping,
)
from koppel.processes.settings import OrderSettings, order_settings
from koppel.store import Store

PAYMENT_TERMS = "account.invoice.payment_term"


class Systems:
    """The two connections that orders cross, opened once. `address`: where Koppel serves."""

    def __init__(self, store: Store, lines: Lines, address: str = "") -> None:
        self.store = store
        self.lines = lines
        self.address = address
        self.settings: OrderSettings = order_settings(store)
        self._newest = store.documents.newest()
        self._readers: dict[str, OrderReader] = {}
        self._mapping: OrderMapping | None = None
        self._terms: frozenset[str] | None = None

    def follow(self) -> None:
        """Read the settings again where somebody has changed a document."""
        newest = self.store.documents.newest()
        if newest != self._newest:
            self._newest, self.settings = newest, order_settings(self.store)
            self._readers.clear()
            self._mapping = None
        self._terms = None

    @property
    def crm(self) -> Connector:
        """The CRM's connector."""
        return self.lines.connector(self.settings.crm)

    @property
    def erp(self) -> Connector:
        """The ERP's connector."""
        return self.lines.connector(self.settings.erp)

    def link(self, path: str) -> str:
        """The address of one of Koppel's pages for people in the ERP; empty where none is known."""
        base = (self.settings.url or self.address).rstrip("/")
        return f"{base}{path}" if base else ""

    def erp_has(self, resource: str, name: str) -> bool:
        """Does the ERP offer this field of a resource?"""
        described = self.lines.describe(self.settings.erp)
        return any(one.name == resource and one.field(name) is not None for one in described)

    def sells(self) -> bool:
        """Does the ERP offer orders at all?"""
        described = self.lines.describe(self.settings.erp)
        return any(one.name == self.settings.erp_resource for one in described)

    def mapping(self) -> OrderMapping:
        """How the CRM keeps orders."""
        if self._mapping is None:
            self._mapping = order_mapping(self.store, self.settings.crm)
        return self._mapping

    def reader(self, resource: str) -> OrderReader:
        """How orders of a resource are read; `NeedsUser` where it holds none."""
        if resource not in self._readers:
            name, mapping = self.settings.crm, self.mapping()
            if resource not in mapping.resources:
                raise NeedsUser(
                    f"a {resource} is no order",
                    place=name,
                    remedy=f"Orders are: {', '.join(mapping.resources)}",
                )
            described = {one.name: one for one in self.lines.describe(name)}
            self._readers[resource] = OrderReader(mapping, described.get(resource))
        return self._readers[resource]

    def looking(self, wanted: Iterable[tuple[str, str]]) -> Callable[[str, str], Any]:
        """The records that an order points to, read in one call for each resource."""
        found: dict[tuple[str, str], Mapping[str, Any]] = {}
        by_resource: dict[str, list[str]] = {}
        for resource, id in wanted:
            by_resource.setdefault(resource, []).append(id)
        for resource, ids in by_resource.items():
            for id, record in self.crm.fetch(resource, sorted(set(ids))).items():
                if isinstance(record, Record):
                    found[resource, id] = record.fields
        return lambda resource, id: found.get((resource, id))

    def payment_terms(self) -> frozenset[str]:
        """The names of the ERP's payment terms; empty where it tells none."""
        if self._terms is None:
            known = {one.name for one in self.lines.describe(self.settings.erp)}
            names: set[str] = set()
            if PAYMENT_TERMS in known:
                ids = [id for id, _ in self.erp.ids(PAYMENT_TERMS).items]
                records = self.erp.fetch(PAYMENT_TERMS, ids[:200]) if ids else {}
                names = {str(r.fields["name"]) for r in records.values() if isinstance(r, Record)}
            self._terms = frozenset(names)
        return self._terms


def order_mapping(store: Store, crm: str) -> OrderMapping:
    """How a CRM keeps orders: the user's document, or that of its connector."""
    text = store.documents.get("mapping", f"{crm}/order")
    kind = store.connections.get(crm).type
    return load_order_mapping(text or shipped_order_mapping(kind), source=f"{crm}/order.toml")


def written(connector: Connector, write: Create | Update | Delete | Act) -> Written | Refused:
    """Write once; where the answer is lost, ask what became of it, and else write again.

    Raises `TryLater` where it stays unknown.
    """
    lost = ""
    for _ in range(2):
        (outcome,) = connector.write([write])
        if not isinstance(outcome, Unknown):
            return outcome
        recovered = connector.recover(write)
        if recovered is not None and not isinstance(recovered, Unknown):
            return recovered
        lost = outcome.message
    raise TryLater(f"the answer to a write was lost twice: {lost}", place=write.resource)
