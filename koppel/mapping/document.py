"""Mappings and sync rules as documents: read from TOML, all faults told at once, written back.

A mapping says how one connector's resource reads as an entity; a user's overlay adds fields to it,
replaces or removes them. A rule is the user's own. Both are plain values here; a mapping becomes a
`Mapper` by `koppel.mapping.mapper.compile_mapping`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from msgspec import Struct, field

from koppel.mapping.faults import DocumentFaults, Fault, nearest
from koppel.mapping.rule_document import dump_rule, load_rule
from koppel.model import ENTITIES, EXTRA

__all__ = [
    "DocumentFaults",
    "Fault",
    "FieldMapping",
    "MappingDocument",
    "ScopeTest",
    "default_rule",
    "dump_rule",
    "load_mapping",
    "load_rule",
    "shipped_mapping",
]

SCOPE_OPS = ("equals", "not_equals", "one_of", "contains", "present")


class FieldMapping(Struct, frozen=True, kw_only=True):
    """One canonical field: where it lives natively, and through which lens. `file` names it."""

    name: str
    lens: str
    native: str | tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    readonly: bool = False
    file: str


class ScopeTest(Struct, frozen=True, kw_only=True):
    """One condition on a native field that a record must meet to be meant at all."""

    native: str
    op: str = "equals"
    value: Any = None
    file: str


class MappingDocument(Struct, frozen=True, kw_only=True):
    """A mapping as it was read, overlay included."""

    source: str
    connector: str
    entity: str
    resource: str
    label_names: tuple[str, ...] = ()
    label_number: str | None = None
    region_paths: tuple[str, ...] = ()
    region: str | None = None
    scope: tuple[ScopeTest, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Native fields that a new record gets besides what is mapped."""
    supplied: tuple[str, ...] = ()
    """Required native fields that the system fills by itself."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """Settings that stand in another file than `source`: the overlay's."""
    fields: tuple[FieldMapping, ...] = ()


def load_mapping(text: str, *, source: str, overlay: str | None = None) -> MappingDocument:
    """Read a mapping, with the user's `overlay` laid over it. Raises `DocumentFaults`.

    An overlay holds `[fields.<name>]` to add or replace, `remove = ["<name>", ...]`, and `region`,
    `label`, `scope`, `create` or `supplied` to replace. Fields of its own begin with `x_`.
    """
    faults: list[Fault] = []
    base = _parsed(text, source, faults)
    over_source = f"{source} (overlay)"
    over = _parsed(overlay, over_source, faults) if overlay else {}
    if faults:
        raise DocumentFaults(faults)
    _check_keys(base, _BASE_KEYS, source, faults)
    _check_keys(over, _OVERLAY_KEYS, over_source, faults)
    document = _document(base, over, source, over_source, faults)
    if faults:
        raise DocumentFaults(faults)
    return document


_OVERLAY_KEYS = ("fields", "remove", "label", "region", "scope", "create", "supplied")
_BASE_KEYS = ("connector", "entity", "resource", *(k for k in _OVERLAY_KEYS if k != "remove"))


def _parsed(text: str, source: str, faults: list[Fault]) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        faults.append(Fault(source, "", f"it is not TOML: {error}", "Correct the line"))
        return {}


def _check_keys(
    table: Mapping[str, Any], known: tuple[str, ...], source: str, faults: list[Fault]
) -> None:
    for key in table:
        if key not in known:
            faults.append(Fault(source, key, "there is no such setting", nearest(key, known)))


def _document(
    base: Mapping[str, Any],
    over: Mapping[str, Any],
    source: str,
    over_source: str,
    faults: list[Fault],
) -> MappingDocument:
    reader = _Reader(base, over, source, over_source, faults)
    entity = reader.text("entity")
    if entity and entity not in ENTITIES:
        message = f"{entity!r} is no entity"
        faults.append(Fault(source, "entity", message, nearest(entity, ENTITIES)))
    label, label_file = reader.table("label", ("name", "number"))
    region, region_file = reader.table("region", ("paths", "default"))
    defaults, _file = reader.table("create", None)
    return MappingDocument(
        source=source,
        connector=reader.text("connector"),
        entity=entity,
        resource=reader.text("resource"),
        label_names=reader.texts(label.get("name", []), "label.name", label_file),
        label_number=reader.maybe_text(label.get("number"), "label.number", label_file),
        region_paths=reader.texts(region.get("paths", []), "region.paths", region_file),
        region=reader.maybe_text(region.get("default"), "region.default", region_file),
        scope=reader.scope(),
        defaults=defaults,
        supplied=reader.texts(*reader.setting("supplied", [])),
        replaced={key: over_source for key in over if key not in ("fields", "remove")},
        fields=reader.fields(),
    )


class _Reader:
    """Takes the parts of a mapping out of its two tables, and notes what is wrong with them."""

    def __init__(
        self,
        base: Mapping[str, Any],
        over: Mapping[str, Any],
        source: str,
        over_source: str,
        faults: list[Fault],
    ) -> None:
        self.base, self.over = base, over
        self.source, self.over_source = source, over_source
        self.faults = faults

    def fault(self, file: str, place: str, message: str, remedy: str) -> None:
        self.faults.append(Fault(file, place, message, remedy))

    def text(self, key: str) -> str:
        value = self.base.get(key)
        if isinstance(value, str) and value:
            return value
        self.fault(self.source, key, "is missing or is no text", f'Give {key} = "..."')
        return ""

    def maybe_text(self, value: Any, place: str, file: str) -> str | None:
        if value is not None and not isinstance(value, str):
            self.fault(file, place, "must be a text", "Put it in quotes")
            return None
        return value

    def setting(self, key: str, default: Any) -> tuple[Any, str, str]:
        """(value, place, file): the overlay's, else the mapping's."""
        if key in self.over:
            return self.over[key], key, self.over_source
        return self.base.get(key, default), key, self.source

    def table(self, key: str, known: tuple[str, ...] | None) -> tuple[Mapping[str, Any], str]:
        value, _place, file = self.setting(key, {})
        if not isinstance(value, dict):
            self.fault(file, key, "must be a table", f"Write it as [{key}]")
            return {}, file
        for name in value:
            if known is not None and name not in known:
                self.fault(file, f"{key}.{name}", "there is no such setting", nearest(name, known))
        return value, file

    def texts(self, value: Any, place: str, file: str) -> tuple[str, ...]:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            self.fault(file, place, "must be a list of texts", 'Write it as ["...", "..."]')
            return ()
        return tuple(items)

    def scope(self) -> tuple[ScopeTest, ...]:
        value, place, file = self.setting("scope", [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.fault(file, place, "must be a list of conditions", "Write each as [[scope]]")
            return ()
        tests = []
        for number, item in enumerate(value, start=1):
            here = f"scope {number}"
            for name in item:
                if name not in ("native", "op", "value"):
                    remedy = nearest(name, ("native", "op", "value"))
                    self.fault(file, f"{here}.{name}", "there is no such setting", remedy)
            op = item.get("op", "equals")
            if op not in SCOPE_OPS:
                self.fault(file, f"{here}.op", f"{op!r} is no test", nearest(str(op), SCOPE_OPS))
            native = item.get("native")
            if not isinstance(native, str):
                self.fault(file, f"{here}.native", "is missing", "Name a native field")
                continue
            tests.append(ScopeTest(native=native, op=op, value=item.get("value"), file=file))
        return tuple(tests)

    def fields(self) -> tuple[FieldMapping, ...]:
        found: dict[str, FieldMapping] = {}
        for table, file in ((self.base, self.source), (self.over, self.over_source)):
            given = table.get("fields", {})
            if not isinstance(given, dict):
                self.fault(file, "fields", "must be a table", "Write it as [fields]")
                continue
            for name, value in given.items():
                mapping = self._field(name, value, file)
                if mapping is not None:
                    found[name] = mapping
        for name in self.texts(self.over.get("remove", []), "remove", self.over_source):
            if found.pop(name, None) is None:
                message = f"there is no field {name!r} to remove"
                self.fault(self.over_source, "remove", message, nearest(name, found))
        if not found:
            self.fault(self.source, "fields", "no field is mapped", "Give at least one")
        return tuple(found.values())

    def _field(self, name: str, value: Any, file: str) -> FieldMapping | None:
        place = f"fields.{name}"
        if isinstance(value, str):
            return FieldMapping(name=name, lens="text", native=value, file=file)
        if not isinstance(value, dict):
            self.fault(
                file, place, "must be a native field or a table", f'Write {name} = "<native>"'
            )
            return None
        options = dict(value)
        native = options.pop("native", None)
        lens = options.pop("lens", "text")
        readonly = options.pop("readonly", False)
        if isinstance(native, list) and all(isinstance(one, str) for one in native):
            native = tuple(native)
        if native is not None and not isinstance(native, str | tuple):
            self.fault(file, f"{place}.native", "must name a native field", "Put it in quotes")
            return None
        if not isinstance(lens, str):
            self.fault(file, f"{place}.lens", "must name a lens", "Put it in quotes")
            return None
        if not isinstance(readonly, bool):
            self.fault(file, f"{place}.readonly", "must be true or false", "Correct the value")
        return FieldMapping(
            name=name, lens=lens, native=native, options=options, readonly=bool(readonly), file=file
        )


def is_extra(name: str) -> bool:
    """Is it a field of the user's own?"""
    return name.startswith(EXTRA)


def _shipped(path: str, what: str) -> str:
    found = files("koppel").joinpath("mappings", *path.split("/"))
    if not found.is_file():
        fault = Fault(f"koppel/mappings/{path}", "", f"there is no {what}", "Write one yourself")
        raise DocumentFaults([fault])
    return found.read_text(encoding="utf-8")


def shipped_mapping(connector: str, entity: str) -> str:
    """The text of the mapping that ships with a connector. `DocumentFaults` if there is none."""
    return _shipped(f"{connector}/{entity}.toml", f"mapping of {entity} for {connector}")


def default_rule(entity: str) -> str:
    """The text of the sync rule that Koppel begins with. `DocumentFaults` if there is none."""
    return _shipped(f"rules/{entity}.toml", f"rule for {entity}")
