"""What two systems offer to couple, where nobody has said what is wanted."""

from __future__ import annotations

from collections.abc import Sequence

from koppel.engine.lines import Lines
from koppel.mapping.document import load_mapping
from koppel.mapping.faults import DocumentFaults

ALWAYS = ("partner", "contact")
OFFERED = ("product",)
"""Coupled only where both systems have them: a CRM without products does without."""


def offered(lines: Lines, connections: Sequence[str]) -> list[str]:
    """The further entities that all of these connections have."""
    return [entity for entity in OFFERED if _everywhere(lines, connections, entity)]


def _everywhere(lines: Lines, connections: Sequence[str], entity: str) -> bool:
    for name in connections:
        try:
            text, overlay = lines.mapping_text(name, entity)
        except DocumentFaults:
            return False
        document = load_mapping(text, source=f"{name}/{entity}.toml", overlay=overlay)
        if document.resource not in {one.name for one in lines.describe(name)}:
            return False
    return True
