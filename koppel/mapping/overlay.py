"""A mapping's overlay as a text that people share with a page: one field laid over, or taken back.

All else in the overlay stays as it is written, comments too. Pure.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import tomlkit


def field_table(text: str, overlay: str | None, name: str) -> dict[str, Any]:
    """A field as it is mapped now, as a table; {} where it is not mapped."""
    over = tomllib.loads(overlay or "")
    found = over.get("fields", {}).get(name)
    if found is None and name not in over.get("remove", []):
        found = tomllib.loads(text).get("fields", {}).get(name)
    if isinstance(found, str):
        return {"native": found}
    return dict(found or {})


def with_field(text: str, overlay: str, name: str, table: Mapping[str, Any]) -> str:
    """The overlay with this field; without it where the mapping itself says just that."""
    bare = without_field(overlay, name)
    if field_table(text, bare, name) == dict(table):
        return bare
    document: Any = tomlkit.parse(bare)
    fields = document.setdefault("fields", tomlkit.table(is_super_table=True))
    fields[name] = tomlkit.item(dict(table))
    return tomlkit.dumps(document)


def without_field(overlay: str, name: str) -> str:
    """The overlay saying nothing of this field: the mapping that came along counts again."""
    document: Any = tomlkit.parse(overlay)
    if name in document.get("fields", {}):
        del document["fields"][name]
        if not document["fields"]:
            del document["fields"]
    if name in document.get("remove", []):
        document["remove"].remove(name)
        if not document["remove"]:
            del document["remove"]
    return tomlkit.dumps(document)


def removed(text: str, overlay: str, name: str) -> str:
    """The overlay with this field taken out of the mapping."""
    bare = without_field(overlay, name)
    if not field_table(text, bare, name):
        return bare
    document: Any = tomlkit.parse(bare)
    names = [*document.get("remove", []), name]
    if "remove" in document:
        document["remove"] = names
        return tomlkit.dumps(document)
    # A key of the document itself has to stand before its tables.
    return tomlkit.dumps({"remove": names}) + ("\n" if bare.strip() else "") + bare


def inline(value: Any) -> str:
    """A value as it stands on one line of TOML."""
    if isinstance(value, Mapping):
        parts = (f"{_key(key)} = {inline(one)}" for key, one in value.items())
        return "{ " + ", ".join(parts) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(inline(one) for one in value) + "]"
    return str(tomlkit.item(value).as_string())


def _key(name: str) -> str:
    bare = name.replace("_", "").replace("-", "")
    return name if bare.isascii() and bare.isalnum() else str(tomlkit.item(name).as_string())


def from_inline(text: str) -> Any:
    """The value that stands there; the text itself where it is no TOML."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text
