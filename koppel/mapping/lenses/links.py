"""Lenses that point elsewhere: references to other records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from koppel.mapping.faults import Unresolved
from koppel.mapping.lens import Context, Factory, Lens, Options
from koppel.model import ENTITIES, Ref


def reference(options: Options) -> Lens:
    """A reference to a record of the entity `entity`, natively that record's id.

    Read, it points to the coupling, or to the native id while there is none; to write it, the other
    record must be on this side, else `Unresolved` says for whom this record waits.
    """
    entity = options.need("entity", str) or ""
    if entity and entity not in ENTITIES:
        remedy = f"Choose one of {', '.join(ENTITIES)}"
        options.complain("entity", f"{entity!r} is no entity", remedy)

    def read(native: Any, context: Context) -> Ref | None:
        if native == "":
            return None
        coupling = context.lookup(entity, str(native))
        if coupling is None:
            return Ref(entity=entity, native=str(native))
        return Ref(entity=entity, coupling=coupling)

    def write(value: Ref, context: Context) -> str:
        native = None
        if value.coupling is not None:
            native = context.lookup(value.entity, value.coupling)
        if native is None:
            raise Unresolved("", value.entity, value.coupling, value.native)
        return native

    takes = frozenset({"reference", "text", "integer"})
    return Lens(name="reference", gives="ref", takes=takes, read=read, write=write, compares=False)


LENSES: Mapping[str, Factory] = {"reference": reference}
