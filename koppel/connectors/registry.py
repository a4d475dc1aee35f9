"""Which connectors are installed, what settings each needs, and how to make one from its settings.

A connector is found by its entry point in the group `koppel.connectors`, so an own package can
bring one along. Its class has `options` (its settings) and `from_config` (makes a connector).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, cast

from koppel.connectors.base import Connector, Option
from koppel.errors import NeedsUser

GROUP = "koppel.connectors"


class ConnectorType(Protocol):
    """What the class behind an entry point offers."""

    options: tuple[Option, ...]

    def from_config(self, config: Mapping[str, str]) -> Connector:
        """A connector from checked settings; a class method. It does not call the system yet."""


def known() -> tuple[str, ...]:
    """The names of all installed connector types, sorted."""
    return tuple(sorted(_installed()))


def connector_type(type_name: str) -> ConnectorType:
    """The class of that name; `NeedsUser` where it is unknown or cannot be loaded."""
    installed = _installed()
    if type_name not in installed:
        near = difflib.get_close_matches(type_name, installed, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise NeedsUser(
            f"there is no connector of the type {type_name!r}",
            remedy=f"{hint}Installed are: {', '.join(sorted(installed)) or 'none'}",
        )
    try:
        return cast(ConnectorType, installed[type_name].load())
    except (ImportError, AttributeError) as error:
        raise NeedsUser(
            f"the connector {type_name} cannot be loaded: {error}",
            place=installed[type_name].value,
            remedy="Install the package that brings it again",
        ) from error


def options(type_name: str) -> tuple[Option, ...]:
    """The settings of a connector type, in the order in which to ask for them."""
    return tuple(connector_type(type_name).options)


def connect(type_name: str, config: Mapping[str, str]) -> Connector:
    """A connector from its settings; `NeedsUser` names what is missing or unknown among them."""
    found = connector_type(type_name)
    return found.from_config(complete(tuple(found.options), config, place=type_name))


def complete(
    wanted: tuple[Option, ...], config: Mapping[str, str], *, place: str = ""
) -> dict[str, str]:
    """The settings with defaults filled in. Values never appear in the error, only names."""
    names = [option.name for option in wanted]
    unknown = sorted(set(config) - set(names))
    if unknown:
        raise NeedsUser(
            f"unknown setting {', '.join(unknown)}",
            place=place,
            remedy=f"Possible are: {', '.join(names) or 'none'}",
        )
    settings = {option.name: config.get(option.name) or option.default for option in wanted}
    missing = [option for option in wanted if option.required and not settings[option.name]]
    if missing:
        raise NeedsUser(
            "missing setting " + ", ".join(f"{item.name} ({item.label})" for item in missing),
            place=place,
            remedy="Give a value for each",
        )
    return settings


def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}
