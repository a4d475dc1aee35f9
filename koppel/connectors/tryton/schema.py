"""Which fields Koppel reads and writes in Tryton, with what Tryton itself says about each.

A party is one record with its children: identifiers, addresses, contact mechanisms and bank
accounts. What a database does not have (its module is not activated) is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from koppel.connectors.base import Choice, FieldInfo, FieldType, Resource
from koppel.connectors.tryton.rpc import TrytonSession
from koppel.connectors.tryton.tables import TABLES, ValueTables
from koppel.errors import NeedsUser

PARTY = "party.party"
CONTACT = "party.contact"
BANK_ACCOUNTS = "bank_accounts"
EMPLOYER = "employer"
VERSION = "koppel_version"
CHANGED_AT = "koppel_changed_at"
CONTACT_USAGE = "koppel_contact"
"""Marks the relation type that leads from a contact person to the company."""
USUAL_RELATION = "employee of"

_PARTY_FIELDS = (
    "name", "code", "active", "lang", "customer_payment_term",
    "koppel_crm_owner", "koppel_crm_source", "koppel_crm_activity", "koppel_crm_url",
)  # fmt: skip
_READ_ONLY = ("koppel_key", "replaced_by")
_CHILDREN: dict[str, tuple[str, tuple[str, ...]]] = {
    "identifiers": ("party.identifier", ("type", "code", "sequence", "active")),
    "addresses": (
        "party.address",
        (
            "party_name", "attn", "street", "postal_code", "city", "country", "subdivision",
            "invoice", "delivery", "sequence", "active",
        ),
    ),
    "contact_mechanisms": (
        "party.contact_mechanism",
        ("type", "value", "name", "comment", "sequence", "active"),
    ),
}  # fmt: skip
_TYPES: dict[str, FieldType] = {
    "char": "text",
    "text": "text",
    "selection": "choice",
    "boolean": "boolean",
    "integer": "integer",
    "bigint": "integer",
    "float": "float",
    "numeric": "decimal",
    "date": "date",
    "datetime": "datetime",
    "timestamp": "datetime",
    "many2one": "reference",
}


@dataclass(frozen=True)
class Leaf:
    """A plain field. `table` names the value table whose code stands for the row's number."""

    info: FieldInfo
    table: str | None = None

    @property
    def name(self) -> str:
        return self.info.name


@dataclass(frozen=True)
class ChildSpec:
    """A list of child records of `model`."""

    info: FieldInfo
    model: str
    leaves: Mapping[str, Leaf]

    @property
    def name(self) -> str:
        return self.info.name


@dataclass(frozen=True)
class Schema:
    """Everything about parties in one database.

    `module` says whether the server's own module `koppel` is there, which keeps the keys of
    creations and gives one version to a party with all that belongs to it.
    """

    leaves: Mapping[str, Leaf]
    children: Mapping[str, ChildSpec]
    bank: FieldInfo | None
    relation_type: int | None
    module: bool = True
    may_write_keys: bool = True

    def narrowed(self, names: Iterable[str]) -> Schema:
        """The same with these fields and lists alone, for a lighter read.

        Without the module `koppel` it stays whole, since the version needs all time stamps.
        """
        if not self.module:
            return self
        wanted = set(names)
        return replace(
            self,
            leaves={name: leaf for name, leaf in self.leaves.items() if name in wanted},
            children={name: child for name, child in self.children.items() if name in wanted},
            bank=self.bank if BANK_ACCOUNTS in wanted else None,
        )

    def resource(self, name: str, label: str) -> Resource:
        """What `describe()` answers for `party.party` or `party.contact`."""
        infos = [leaf.info for leaf in self.leaves.values()]
        infos += [child.info for child in self.children.values()]
        if self.bank is not None:
            infos.append(self.bank)
        if name == CONTACT:
            infos.append(
                FieldInfo(
                    name=EMPLOYER,
                    type="reference",
                    label="Employer",
                    required=True,
                    reference=PARTY,
                )
            )
        return Resource(name=name, label=label, fields=tuple(infos))


def load_schema(
    session: TrytonSession,
    tables: ValueTables | None,
    relation: str,
    extra_fields: Sequence[str],
    *,
    use_module: bool = True,
) -> Schema:
    """Ask Tryton which of our fields it has; `NeedsUser` for an extra field that it has not.

    With `tables` the choices are read too. `relation` names the relation type that leads from a
    contact person to the company; empty for the one that is marked so. Without `use_module` the
    server's module `koppel` is left alone.
    """
    names = [*_PARTY_FIELDS, *_READ_ONLY, *extra_fields]
    lists = [*_CHILDREN, BANK_ACCOUNTS, "relations"]
    known = _fields_get(session, PARTY, [*names, *lists, VERSION, CHANGED_AT])
    module = use_module and {"koppel_key", VERSION, CHANGED_AT} <= set(known)
    if not module:
        known.pop("koppel_key", None)
    unknown = [name for name in extra_fields if known.get(name, {}).get("type") not in _TYPES]
    if unknown:
        raise NeedsUser(
            f"the extra field {unknown[0]!r} is not a plain field of parties",
            place=session.name,
            remedy="Correct extra_fields in this connection",
        )
    children = {
        name: _child(session, tables, name, model, wanted, known[name])
        for name, (model, wanted) in _CHILDREN.items()
        if name in known
    }
    return Schema(
        leaves=_leaves(session, tables, PARTY, known, names),
        children=children,
        bank=_bank(known),
        relation_type=_relation_type(session, relation) if "relations" in known else None,
        module=module,
        may_write_keys=module and not known["koppel_key"].get("readonly"),
    )


def _fields_get(
    session: TrytonSession, model: str, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = session.call(model, "fields_get", list(names))
    return found


def _leaves(
    session: TrytonSession,
    tables: ValueTables | None,
    model: str,
    known: Mapping[str, Mapping[str, Any]],
    names: Iterable[str],
) -> dict[str, Leaf]:
    leaves = {}
    for name in names:
        about = known.get(name)
        if about is None or about["type"] not in _TYPES:
            continue
        relation = about.get("relation")
        table = relation if relation in TABLES else None
        info = FieldInfo(
            name=name,
            type="choice" if table else _TYPES[about["type"]],
            label=about.get("string") or name,
            required=bool(about.get("required")),
            writable=name not in _READ_ONLY,
            max_length=about.get("size") if isinstance(about.get("size"), int) else None,
            scale=_scale(about),
            choices=_choices(session, tables, table, model, about) if tables else (),
            reference=relation if relation and not table else None,
        )
        leaves[name] = Leaf(info, table)
    return leaves


def _scale(about: Mapping[str, Any]) -> int | None:
    digits = about.get("digits")
    if isinstance(digits, list) and len(digits) == 2 and isinstance(digits[1], int):
        return digits[1]
    return None


def _choices(
    session: TrytonSession,
    tables: ValueTables,
    table: str | None,
    model: str,
    about: Mapping[str, Any],
) -> tuple[Choice, ...]:
    if table:
        return tables.choices(table)
    if about["type"] != "selection":
        return ()
    pairs = about.get("selection") or []
    if isinstance(pairs, str):
        pairs = session.call(model, pairs)
    return tuple(Choice(value, label or value) for value, label in pairs if value)


def _child(
    session: TrytonSession,
    tables: ValueTables | None,
    name: str,
    model: str,
    wanted: Sequence[str],
    about: Mapping[str, Any],
) -> ChildSpec:
    leaves = _leaves(session, tables, model, _fields_get(session, model, wanted), wanted)
    identity = FieldInfo(name="id", type="text", label="ID", writable=False)
    info = FieldInfo(
        name=name,
        type="list",
        label=about.get("string") or name,
        fields=(identity, *(leaf.info for leaf in leaves.values())),
    )
    return ChildSpec(info, model, leaves)


def _bank(known: Mapping[str, Mapping[str, Any]]) -> FieldInfo | None:
    about = known.get(BANK_ACCOUNTS)
    if about is None:
        return None
    identity = FieldInfo(name="id", type="text", label="ID", writable=False)
    iban = FieldInfo(name="iban", type="text", label="IBAN", required=True, max_length=34)
    return FieldInfo(
        name=BANK_ACCOUNTS,
        type="list",
        label=about.get("string") or BANK_ACCOUNTS,
        fields=(identity, iban),
    )


def _relation_type(session: TrytonSession, relation: str) -> int | None:
    """By its name; or the one that is marked as that of contact persons; or the usual one."""
    domains: list[list[Any]] = [["name", "=", relation]]
    if not relation:
        domains = [["usages", "in", [CONTACT_USAGE]], ["name", "=", USUAL_RELATION]]
    for domain in domains:
        rows = session.call("party.relation.type", "search_read", [domain], 0, 1, None, ["name"])
        if rows:
            return int(rows[0]["id"])
    return None
