"""All lenses by name, in five families."""

from __future__ import annotations

from collections.abc import Mapping

from koppel.mapping.lens import Factory
from koppel.mapping.lenses import channels, codes, identifiers, links, plain

REGISTRY: Mapping[str, Factory] = {
    **plain.LENSES,
    **codes.LENSES,
    **channels.LENSES,
    **identifiers.LENSES,
    **links.LENSES,
}
"""Name in a mapping -> factory. (`child`, `address` and `split` work on more than one value and
are units of the mapper: see `koppel.mapping.units`, `inner` and `children`.)"""

__all__ = ["REGISTRY"]
