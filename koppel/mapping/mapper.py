"""Compile a mapping against what a system says of itself; all faults are told at once.

Each fault names the file, the field and the remedy: unknown fields with names that look alike, a
lens that does not fit the native type or the canonical one, an option that is not there, a value
that is no choice, a required native field that nothing feeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from msgspec import Struct
from msgspec.structs import replace

from koppel.connectors.base import FieldInfo, Resource
from koppel.mapping.building import FieldBuilder
from koppel.mapping.children import Child
from koppel.mapping.compiled import Mapper, Test
from koppel.mapping.document import FieldMapping, MappingDocument, is_extra
from koppel.mapping.faults import BadValue, DocumentFaults, Fault, Unresolved, nearest
from koppel.mapping.inner import Flat, Whole
from koppel.mapping.units import Unit
from koppel.model import ENTITIES

__all__ = ["BadValue", "Mapper", "Unresolved", "compile_mapping", "lens_options"]


def compile_mapping(
    document: MappingDocument,
    resources: Sequence[Resource],
    *,
    entity_type: type[Struct] | None = None,
) -> Mapper:
    """The mapper of a document for a system that describes itself so.

    Raises `DocumentFaults` with every fault. `entity_type` is the entity's struct, if it is none of
    `koppel.model.ENTITIES`.
    """
    return _Compiler(document, resources, entity_type or ENTITIES[document.entity]).mapper()


def lens_options(
    document: MappingDocument, resources: Sequence[Resource], field: str
) -> Mapping[str, tuple[tuple[type, ...], tuple[str, ...]]]:
    """The options that the lens of a field takes: name -> (types, words to choose from)."""
    compiler = _Compiler(document, resources, ENTITIES[document.entity])
    for mapping in document.fields:
        if mapping.name == field and mapping.lens != "split":
            compiler.unit(mapping)
    return compiler.options[field].known if field in compiler.options else {}


class _Compiler(FieldBuilder):
    """Builds the whole, and checks what is not about one field."""

    def _document_fault(self, place: str, message: str, remedy: str) -> None:
        file = self.document.replaced.get(place.partition(".")[0], self.document.source)
        self.faults.append(Fault(file, place, message, remedy))

    # The whole.

    def mapper(self) -> Mapper:
        document = self.document
        if document.resource not in self.names:
            message = f"{document.connector} has no resource {document.resource!r}"
            fault = Fault(
                document.source, "resource", message, nearest(document.resource, self.names)
            )
            raise DocumentFaults([fault])
        units = self._units()
        scope = self._scope()
        self._check_settings()
        self._check_required()
        if self.faults:
            raise DocumentFaults(self.faults)
        return Mapper(
            connector=document.connector,
            entity=document.entity,
            resource=document.resource,
            units=units,
            references=self.references,
            label=(document.label_names, document.label_number),
            regions=document.region_paths,
            region=document.region,
            scope=scope,
            defaults=document.defaults,
            natives=self.natives,
        )

    def _units(self) -> list[Unit]:
        built: dict[str, Unit] = {}
        splits: dict[str, list[FieldMapping]] = {}
        for mapping in self.document.fields:
            self._check_name(mapping)
            if mapping.lens == "split":
                splits.setdefault(str(mapping.native), []).append(mapping)
                continue
            unit = self.unit(mapping)
            if unit is not None:
                built[mapping.name] = unit
        for mappings in splits.values():
            split = self.split(mappings)
            if split is not None:
                built[mappings[0].name] = split
        self._check_shared(built)
        return self._twins_last(built)

    def _check_name(self, mapping: FieldMapping) -> None:
        if mapping.name not in self.types and not is_extra(mapping.name):
            message = f"{self.document.entity} has no field {mapping.name!r}"
            remedy = nearest(mapping.name, self.types)
            self.fault(mapping, "", message, f"{remedy} A field of your own begins with x_")

    def _check_shared(self, built: Mapping[str, Unit]) -> None:
        writers: dict[str, str] = {}
        for name, unit in built.items():
            if not unit.writable or isinstance(unit, Child):
                continue
            for native in self.natives.get(name, ()):
                if native in writers:
                    mapping = self._mapping(name)
                    message = f"{native} is written by {writers[native]} already"
                    self.fault(mapping, "native", message, "Set readonly = true for one of them")
                writers[native] = name

    def _mapping(self, name: str) -> FieldMapping:
        return next(one for one in self.document.fields if one.name == name)

    def _twins_last(self, built: Mapping[str, Unit]) -> list[Unit]:
        first: list[Unit] = []
        last: list[Unit] = []
        for name, unit in built.items():
            main = getattr(unit, "same_as", None)
            if main is None:
                first.append(unit)
                continue
            partner = built.get(main)
            if not isinstance(partner, Child | Flat | Whole) or partner.same_as is not None:
                message = f"{main!r} is no field of this mapping that could be repeated"
                self.fault(self._mapping(name), "same_as", message, nearest(main, built))
                continue
            if _siblings(unit, partner):
                avoiding = replace(partner, avoid=unit.where)
                first[first.index(partner)] = avoiding
                unit = replace(unit, main=avoiding)
            last.append(unit)
        return [*first, *last]

    # Checks that are not about one field.

    def _scope(self) -> list[Test]:
        for number, test in enumerate(self.document.scope, start=1):
            if self.resource.field(test.native) is None:
                message = f"{self.resource.name} has no field {test.native!r}"
                remedy = nearest(test.native, self.native_names())
                self.faults.append(Fault(test.file, f"scope {number}.native", message, remedy))
        return [Test(test.native, test.op, test.value) for test in self.document.scope]

    def _check_settings(self) -> None:
        document = self.document
        number = (document.label_number,) if document.label_number else ()
        for place, paths in (
            ("label", (*document.label_names, *number)),
            ("region.paths", document.region_paths),
            ("create", tuple(document.defaults)),
            ("supplied", document.supplied),
        ):
            for path in paths:
                info = self.resource.field(path)
                if info is None:
                    message = f"{self.resource.name} has no field {path!r}"
                    self._document_fault(place, message, nearest(path, self.native_names()))
                elif place == "create":
                    self._check_default(info, document.defaults[path])

    def _check_default(self, info: FieldInfo, value: Any) -> None:
        place = f"create.{info.name}"
        if not info.writable:
            message = f"{info.name} cannot be written in {self.document.connector}"
            self._document_fault(place, message, "Take it away")
        elif info.choices and value not in {choice.value for choice in info.choices}:
            message = f"{value!r} is none of the choices of {info.name}"
            remedy = nearest(str(value), (choice.value for choice in info.choices))
            self._document_fault(place, message, remedy)

    def _check_required(self) -> None:
        given = self.fed | set(self.document.defaults) | set(self.document.supplied)
        for info in self.resource.fields:
            if info.required and info.writable and info.name not in given:
                message = f"the native field {info.name} is required, and nothing feeds it"
                remedy = "Map it, give it a value under [create], or name it in supplied"
                self._document_fault("fields", message, remedy)


def _siblings(one: Unit, two: Unit) -> TypeGuard[Child]:
    """Do both choose from the same list?"""
    return isinstance(one, Child) and isinstance(two, Child) and one.native == two.native
