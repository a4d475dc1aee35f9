"""Lenses: pairs of functions between a native value and a canonical one, kept to laws.

* GetPut: writing back what was read changes nothing. `Lens.put` holds it for every lens: the
  present native value stays, letter for letter, where it denotes the same canonical value.
* PutGet: what was written is read back. It holds for each canonical value in normal form, which
  is what `get` gives. A lens that loses something says in its docstring what, and holds the weaker
  law that a second round changes nothing: get(put(get(put(c)))) == get(put(c)).

A lens never blanks a value that it does not understand: it keeps it as typed, or raises `BadValue`.
`REGISTRY` names all lenses; a mapping chooses them by name and gives options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from koppel.connectors.base import FieldInfo
from koppel.mapping.faults import BadValue

Kind = Literal[
    "text", "integer", "decimal", "boolean", "date", "datetime", "texts", "ref", "address", "any"
]  # fmt: skip
"""The type of a canonical value; `texts` is a sorted tuple of texts."""

Resolve: TypeAlias = "Callable[[str, str], str | None]"


class Context:
    """What a lens may ask while it works on one record.

    `region` is the country (alpha-2) in which the record lives, None where nobody knows.
    `lookup` is `resolve` while reading and `locate` while writing.
    """

    __slots__ = ("_find_region", "_found", "_region", "lookup")

    def __init__(self, find_region: Callable[[], str | None], lookup: Resolve) -> None:
        self._find_region = find_region
        self._found = False
        self._region: str | None = None
        self.lookup = lookup

    @property
    def region(self) -> str | None:
        if not self._found:
            self._region = self._find_region()
            self._found = True
        return self._region


def no_lookup(_entity: str, _id: str) -> str | None:
    """Knows nothing."""
    return None


NOWHERE = Context(lambda: None, no_lookup)
"""A context that knows no region and resolves nothing."""


class Lens(Struct, frozen=True, kw_only=True):
    """One pair. `read` never gets None and gives None for an empty value; `write` never gets None.

    `takes` are the native types it works on. `keep` joins what is written with what stands there,
    for a lens that leaves a part of the native value alone. `compares` false: the present value is
    not read before a write, since reading and writing ask the context different questions.
    `regional`: what a native value means depends on the country in which the record lives.
    """

    name: str
    gives: Kind
    takes: frozenset[str]
    read: Callable[[Any, Context], Any]
    write: Callable[[Any, Context], Any]
    keep: Callable[[Any, Any], Any] | None = None
    compares: bool = True
    regional: bool = False

    def get(self, native: Any, context: Context = NOWHERE) -> Any:
        """The canonical value, None for none. Raises `BadValue`."""
        return None if native is None else self.read(native, context)

    def put(self, value: Any, current: Any = None, context: Context = NOWHERE) -> Any:
        """The native value to write; `current` itself where it denotes the same already."""
        if current is not None and self.compares:
            try:
                if self.read(current, context) == value:
                    return current
            except BadValue:
                # What stands there has no meaning here; the new value replaces it.
                pass
        written = None if value is None else self.write(value, context)
        return written if self.keep is None else self.keep(written, current)


class Options:
    """The options that a mapping gives to one lens, taken one by one; what is left over is a fault.

    Complaints are collected: (option, message, remedy).
    """

    def __init__(self, values: Mapping[str, Any], info: FieldInfo | None = None) -> None:
        self.info = info
        self.given = values
        self._left = dict(values)
        self.asked: list[str] = []
        self.known: dict[str, tuple[tuple[type, ...], tuple[str, ...]]] = {}
        """Option -> its types, and the words to choose from where it is one of a few."""
        self.complaints: list[tuple[str, str, str]] = []

    def take(self, name: str, default: Any, *types: type) -> Any:
        """An option of one of the types (that of the default if none is named)."""
        self.asked.append(name)
        wanted = types or (type(default),)
        self.known.setdefault(name, (wanted, ()))
        if name not in self._left:
            return default
        value = self._left.pop(name)
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            kinds = " or ".join(_TYPE_WORDS.get(kind, kind.__name__) for kind in wanted)
            self.complain(name, f"must be {kinds}", "Correct the value")
            return default
        return value

    def choose(self, name: str, default: str, *others: str) -> str:
        """An option that is one of a few words."""
        self.known[name] = ((str,), (default, *others))
        value: str = self.take(name, default)
        if value not in (default, *others):
            words = ", ".join((default, *others))
            self.complain(name, f"{value!r} is not known here", f"Choose one of {words}")
            return default
        return value

    def need(self, name: str, *types: type) -> Any:
        """An option that must be there."""
        if name not in self._left:
            self.known.setdefault(name, (types, ()))
            self.asked.append(name)
            self.complain(name, "is missing", f"Give {name}")
            return None
        return self.take(name, None, *types)

    def complain(self, option: str, message: str, remedy: str) -> None:
        self.complaints.append((option, message, remedy))

    def drop(self) -> None:
        """Say nothing about the options that are left: their lens cannot be known."""
        self._left.clear()

    @property
    def left(self) -> tuple[str, ...]:
        return tuple(self._left)


_TYPE_WORDS = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
    float: "a number",
}

Factory: TypeAlias = "Callable[[Options], Lens]"

TEXTUAL = frozenset({"text", "choice"})
