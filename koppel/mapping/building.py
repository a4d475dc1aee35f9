"""From one field of a mapping to the unit that reads and writes it; what is wrong is noted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, get_args

from msgspec import Struct

from koppel.connectors.base import FieldInfo, Resource
from koppel.mapping.children import Child
from koppel.mapping.document import FieldMapping, MappingDocument
from koppel.mapping.faults import Fault, nearest
from koppel.mapping.inner import Flat, Inner, InnerAddress, InnerValue, Whole
from koppel.mapping.lens import Lens, Options
from koppel.mapping.lenses import REGISTRY
from koppel.mapping.units import Constant, Join, Scalar, Split, Unit
from koppel.model import ENTITIES, PARTS, Address, Ref, field_types

GROUP_LENSES = ("address", "child", "constant", "join", "split")
"""Lenses that work on more than one value, beside those of the registry."""


class FieldBuilder:
    """Builds units for one resource, and gathers faults, references and native fields."""

    def __init__(
        self, document: MappingDocument, resources: Sequence[Resource], entity_type: type[Struct]
    ) -> None:
        self.document = document
        self.names = {resource.name: resource for resource in resources}
        self.resource = self.names.get(document.resource, Resource(name=document.resource))
        if ENTITIES.get(document.entity) is entity_type:
            self.types = field_types(document.entity)
        else:
            self.types = dict.fromkeys(entity_type.__struct_fields__)
        self.faults: list[Fault] = []
        self.references: dict[str, str] = {}
        self.natives: dict[str, tuple[str, ...]] = {}
        self.fed: set[str] = set()
        self.options: dict[str, Options] = {}
        """Field -> what its lens was given, and what else it would take."""

    # Faults.

    def fault(self, mapping: FieldMapping, option: str, message: str, remedy: str = "") -> None:
        place = f"fields.{mapping.name}" + (f".{option}" if option else "")
        self.faults.append(Fault(mapping.file, place, message, remedy))

    def native_names(self) -> list[str]:
        names = []
        for info in self.resource.fields:
            names.append(info.name)
            names += [f"{info.name}.{child.name}" for child in info.fields]
        return names

    def unit(self, mapping: FieldMapping) -> Unit | None:
        build: Callable[[FieldMapping, Options], Unit | None] = {
            "constant": self._constant,
            "address": self._whole,
            "child": self._child,
            "join": self._join,
        }.get(mapping.lens, self._scalar)
        options = self.options[mapping.name] = Options(mapping.options)
        unit = build(mapping, options)
        self._finish(mapping, options, "")
        return unit

    def _finish(self, mapping: FieldMapping, options: Options, place: str) -> None:
        for option, message, remedy in options.complaints:
            self.fault(mapping, f"{place}{option}", message, remedy)
        for option in options.left:
            message = f"{mapping.lens!r} has no such option"
            self.fault(mapping, f"{place}{option}", message, nearest(option, options.asked))

    def _native(self, mapping: FieldMapping) -> tuple[str, FieldInfo] | None:
        path = mapping.native
        if not isinstance(path, str):
            self.fault(mapping, "native", "is missing", "Name one native field")
            return None
        info = self.resource.field(path)
        if info is None:
            message = f"{self.resource.name} has no field {path!r}"
            self.fault(mapping, "native", message, nearest(path, self.native_names()))
            return None
        return path, info

    def _note(self, mapping: FieldMapping, *natives: str, can_write: bool) -> None:
        self.natives[mapping.name] = natives
        if can_write:
            self.fed.update(native.partition(".")[0] for native in natives)

    def _scalar(self, mapping: FieldMapping, options: Options) -> Unit | None:
        found = self._native(mapping)
        if found is None:
            options.drop()
            return None
        path, info = found
        lens = self._lens(mapping, mapping.lens, options, info, "")
        if lens is None:
            options.drop()
            return None
        self._check_gives(mapping, lens.gives)
        if lens.gives == "ref":
            self._check_reference(mapping, info)
        can_write = info.writable and not mapping.readonly and self._parent_writable(path)
        self._note(mapping, path, can_write=can_write)
        return Scalar(field=mapping.name, native=path, lens=lens, can_write=can_write)

    def _parent_writable(self, path: str) -> bool:
        parent = self.resource.field(path.partition(".")[0])
        return parent is not None and parent.writable and parent.type != "list"

    def _check_reference(self, mapping: FieldMapping, info: FieldInfo) -> None:
        entity = mapping.options.get("entity")
        if isinstance(entity, str):
            self.references[mapping.name] = entity
        if info.reference and info.reference not in self.names:
            message = f"{info.name} points to {info.reference!r}, which is no resource here"
            self.fault(mapping, "native", message, "Choose another field")

    def _lens(
        self, mapping: FieldMapping, name: str, options: Options, info: FieldInfo, place: str
    ) -> Lens | None:
        factory = REGISTRY.get(name)
        if factory is None:
            remedy = nearest(name, (*REGISTRY, *GROUP_LENSES))
            self.fault(mapping, f"{place}lens", f"there is no lens {name!r}", remedy)
            return None
        options.info = info
        lens = factory(options)
        if info.type not in lens.takes:
            message = f"the lens {name!r} does not work on {info.name}, a field of type {info.type}"
            fitting = sorted(one for one, make in REGISTRY.items() if info.type in _takes(make))
            remedy = f"For {info.type} there are {', '.join(fitting)}" if fitting else ""
            self.fault(mapping, f"{place}lens", message, remedy)
        self._check_table(mapping, name, options, info, place)
        return lens

    def _check_table(
        self, mapping: FieldMapping, name: str, options: Options, info: FieldInfo, place: str
    ) -> None:
        values = options.given.get("values")
        if name not in ("table", "words") or not info.choices or not isinstance(values, dict):
            return
        known = {choice.value for choice in info.choices}
        for value in values:
            if value not in known:
                message = f"{value!r} is none of the choices of {info.name}"
                self.fault(mapping, f"{place}values", message, nearest(value, known))

    def _check_gives(self, mapping: FieldMapping, gives: str) -> None:
        hint = self.types.get(mapping.name)
        if hint is None or gives == "any":
            return
        wanted = _GIVES.get(gives)
        kinds = get_args(hint) if get_args(hint) and not _is_tuple(hint) else (hint,)
        if gives == "texts":
            fits = any(_is_tuple(kind) for kind in kinds)
        else:
            fits = any(kind is wanted for kind in kinds) or (gives == "text" and _is_words(kinds))
        if not fits:
            message = f"the lens {mapping.lens!r} gives {gives}, which {mapping.name} cannot hold"
            self.fault(mapping, "lens", message, "Choose a lens for the type of that field")

    def _constant(self, mapping: FieldMapping, options: Options) -> Unit | None:
        value = options.need("value", str, int, float, bool, list)
        if mapping.native is not None:
            self.fault(mapping, "native", "a constant has no native field", "Take it away")
        value = tuple(sorted(value)) if isinstance(value, list) else value
        self._check_gives(mapping, _kind_of(value))
        self._note(mapping, can_write=False)
        return Constant(field=mapping.name, value=value)

    def _whole(self, mapping: FieldMapping, options: Options) -> Unit | None:
        parts = options.need("parts", dict)
        same_as, defaults = options.take("same_as", None, str), options.take("defaults", {})
        self._check_gives(mapping, "address")
        if mapping.native is None and parts is not None:
            return self._flat(mapping, parts, same_as)
        found = self._native(mapping)
        if found is None or parts is None:
            options.drop()
            return None
        path, info = found
        if info.type != "object":
            message = f"{path} is of type {info.type}, not an object"
            self.fault(mapping, "native", message, "For a list choose the lens 'child'")
            return None
        self._check_children(mapping, info, "defaults", defaults)
        can_write = info.writable and not mapping.readonly
        self._note(mapping, path, can_write=can_write)
        return Whole(
            field=mapping.name,
            native=path,
            inner=self._address(mapping, parts, info),
            defaults=defaults,
            same_as=same_as,
            can_write=can_write,
        )

    def _flat(self, mapping: FieldMapping, parts: Mapping[str, Any], same_as: str | None) -> Unit:
        around = FieldInfo(name=self.resource.name, type="object", fields=self.resource.fields)
        inner = self._address(mapping, parts, around)
        natives = tuple(native for _part, native, _lens in inner.parts)
        natives += (inner.lines,) if inner.lines else ()
        infos = {info.name: info for info in self.resource.fields}
        can_write = not mapping.readonly and all(infos[name].writable for name in natives)
        self._note(mapping, *natives, can_write=can_write)
        return Flat(
            field=mapping.name, natives=natives, inner=inner, same_as=same_as, can_write=can_write
        )

    def _child(self, mapping: FieldMapping, options: Options) -> Unit | None:
        taken = _ChildOptions(options)
        found = self._native(mapping)
        if found is None:
            options.drop()
            return None
        path, info = found
        if info.type != "list":
            message = f"{path} is of type {info.type}, not a list of children"
            self.fault(mapping, "native", message, "Name a list")
            options.drop()
            return None
        self._check_child_options(mapping, info, taken)
        inner = self._inner(mapping, options, taken, info)
        if inner is None:
            return None
        can_write = info.writable and not mapping.readonly
        self._note(mapping, path, can_write=can_write)
        return Child(
            field=mapping.name,
            native=path,
            inner=inner,
            where=taken.where,
            order=taken.order,
            active=taken.active,
            fallback=taken.fallback,
            clear="unset" if taken.clear == "unset" else "remove",
            defaults=taken.defaults,
            kind_by=taken.kind_by,
            same_as=taken.same_as,
            can_write=can_write,
        )

    def _check_child_options(
        self, mapping: FieldMapping, info: FieldInfo, taken: _ChildOptions
    ) -> None:
        where = dict(taken.where)
        self._check_children(mapping, info, "where", where)
        self._check_children(mapping, info, "defaults", taken.defaults)
        self._check_children(mapping, info, "order", dict.fromkeys(taken.order))
        self._check_children(mapping, info, "active", {taken.active: None} if taken.active else {})
        if taken.kind_by is not None:
            kind, kinds = taken.kind_by
            self._check_children(mapping, info, "kind_by", {kind: tuple(v for _, v in kinds)})
        if taken.clear == "unset" and (True,) not in where.values():
            message = "there is no flag in where that could be unset"
            self.fault(mapping, "clear", message, 'Write clear = "remove"')

    def _check_children(
        self, mapping: FieldMapping, info: FieldInfo, option: str, given: Mapping[str, Any]
    ) -> None:
        """Are these fields of the children, and these values among their choices?"""
        inner = {one.name: one for one in info.fields}
        for name, value in given.items():
            if name not in inner:
                message = f"{info.name} has no field {name!r}"
                self.fault(mapping, option, message, nearest(name, inner))
                continue
            known = {choice.value for choice in inner[name].choices}
            for one in value if isinstance(value, tuple) else ():
                if known and one not in known:
                    message = f"{one!r} is none of the choices of {info.name}.{name}"
                    self.fault(mapping, option, message, nearest(str(one), known))

    def _inner(
        self, mapping: FieldMapping, options: Options, taken: _ChildOptions, info: FieldInfo
    ) -> Inner | None:
        if taken.parts is not None:
            options.drop()
            self._check_gives(mapping, "address")
            return self._address(mapping, taken.parts, info)
        value = options.need("value", str)
        name = options.take("through", "text")
        inner = next((one for one in info.fields if one.name == value), None)
        if inner is None:
            if value is not None:
                message = f"{info.name} has no field {value!r}"
                names = (one.name for one in info.fields)
                self.fault(mapping, "value", message, nearest(value, names))
            options.drop()
            return None
        lens = self._lens(mapping, name, options, inner, "")
        if lens is None:
            options.drop()
            return None
        self._check_gives(mapping, lens.gives)
        return InnerValue(native=inner.name, lens=lens)

    def _address(
        self, mapping: FieldMapping, parts: Mapping[str, Any], info: FieldInfo
    ) -> InnerAddress:
        inner = {one.name: one for one in info.fields}
        lines = None
        built = []
        for part, given in parts.items():
            place = f"parts.{part}."
            table = {"native": given} if isinstance(given, str) else given
            if not isinstance(table, dict) or not isinstance(table.get("native"), str):
                self.fault(mapping, f"parts.{part}", "names no native field", "Put it in quotes")
                continue
            rest = {key: value for key, value in table.items() if key not in ("native", "lens")}
            native = inner.get(table["native"])
            if native is None:
                message = f"{info.name} has no field {table['native']!r}"
                self.fault(mapping, f"parts.{part}", message, nearest(table["native"], inner))
            elif part == "lines":
                lines = native.name
            elif part not in PARTS:
                message = f"an address has no part {part!r}"
                self.fault(mapping, f"parts.{part}", message, nearest(part, ("lines", *PARTS)))
            else:
                options = Options(rest)
                name = table.get("lens", "country" if part == "country" else "text")
                lens = self._lens(mapping, name, options, native, place)
                self._finish(mapping, options, place)
                if lens is not None:
                    built.append((part, native.name, lens))
        return InnerAddress(parts=tuple(built), lines=lines)

    def split(self, mappings: Sequence[FieldMapping]) -> Unit | None:
        roles: dict[str, str] = {}
        for mapping in mappings:
            options = Options(mapping.options)
            part = options.choose("part", "family", "given")
            self._finish(mapping, options, "")
            if part in roles:
                self.fault(mapping, "part", f"there are two {part} names", "Name the other part")
            roles[part] = mapping.name
            self._check_gives(mapping, "text")
        found = self._native(mappings[0])
        if found is None:
            return None
        path, info = found
        can_write = info.writable and not any(mapping.readonly for mapping in mappings)
        for mapping in mappings:
            self._note(mapping, path, can_write=can_write)
        return Split(
            native=path,
            given=roles.get("given"),
            family=roles.get("family"),
            can_write=can_write,
        )

    def _join(self, mapping: FieldMapping, _options: Options) -> Unit | None:
        natives = mapping.native
        if not isinstance(natives, tuple) or len(natives) != 2:
            message = "needs two native fields: given name and family name"
            self.fault(mapping, "native", message, 'Write native = ["first_name", "last_name"]')
            return None
        infos = [self.resource.field(name) for name in natives]
        for name, info in zip(natives, infos, strict=True):
            if info is None:
                message = f"{self.resource.name} has no field {name!r}"
                self.fault(mapping, "native", message, nearest(name, self.native_names()))
        self._check_gives(mapping, "text")
        can_write = all(info and info.writable for info in infos) and not mapping.readonly
        self._note(mapping, *natives, can_write=can_write)
        return Join(field=mapping.name, given=natives[0], family=natives[1], can_write=can_write)


class _ChildOptions:
    """The options of the lens `child`, apart from what its inner lens takes."""

    def __init__(self, options: Options) -> None:
        where: Mapping[str, Any] = options.take("where", {})
        self.where = tuple(
            (name, tuple(value) if isinstance(value, list) else (value,))
            for name, value in where.items()
        )
        self.order: tuple[str, ...] = tuple(options.take("order", []))
        self.active: str | None = options.take("active", None, str)
        self.fallback: bool = options.take("fallback", False)
        self.clear = options.choose("clear", "remove", "unset")
        self.defaults: Mapping[str, Any] = options.take("defaults", {})
        self.same_as: str | None = options.take("same_as", None, str)
        self.parts: Mapping[str, Any] | None = options.take("parts", None, dict)
        kinds: Mapping[str, Any] = options.take("kind_by", {})
        self.kind_by: tuple[str, tuple[tuple[str, Any], ...]] | None = None
        if kinds:
            field, starts = kinds.get("field"), kinds.get("starts")
            if isinstance(field, str) and isinstance(starts, dict):
                longest = sorted(starts.items(), key=lambda pair: -len(pair[0]))
                self.kind_by = (field, tuple(longest))
            else:
                options.complain("kind_by", "needs a field and a table", "Give field and starts")


def _takes(make: Callable[[Options], Lens]) -> frozenset[str]:
    return make(Options({})).takes


_GIVES: Mapping[str, Any] = {
    "text": str,
    "integer": int,
    "decimal": Decimal,
    "boolean": bool,
    "date": date,
    "datetime": datetime,
    "ref": Ref,
    "address": Address,
}


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, tuple):
        return "texts"
    return "integer" if isinstance(value, int) else "text"


def _is_tuple(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is tuple


def _is_words(kinds: Sequence[Any]) -> bool:
    """Is it a Literal of texts?"""
    return any(isinstance(arg, str) for kind in kinds for arg in get_args(kind))
