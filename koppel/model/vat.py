"""VAT ids of the European Union, checked by python-stdnum."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from stdnum import get_cc_module
from stdnum.exceptions import ValidationError

_EU_VAT: Any = get_cc_module("eu", "vat")
UNION = frozenset(state.upper() for state in _EU_VAT.MEMBER_STATES) - {"XI"} | {"EL"}
"""Prefixes of its members."""


@lru_cache(maxsize=4096)
def eu_vat(number: str) -> str | None:
    """In compact form with its country's prefix; None where the check digits or the form are wrong.

    Kept for a while: a number is checked when it is mapped, and a moment later for matching.
    """
    try:
        return str(_EU_VAT.validate(number))
    except ValidationError:
        return None
