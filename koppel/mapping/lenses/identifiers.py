"""Lenses for official numbers: VAT ids and IBANs, checked by python-stdnum."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

from stdnum import get_cc_module
from stdnum import iban as iban_module
from stdnum.exceptions import ValidationError

from koppel.mapping.faults import BadValue
from koppel.mapping.lens import TEXTUAL, Context, Factory, Lens, Options
from koppel.mapping.lenses.plain import collapsed, text_of
from koppel.model.vat import UNION, eu_vat

_SEPARATORS = re.compile(r"[\s.\-/,·]+")
_PREFIX_OF = {"GR": "EL", "XI": "XI"}
"""Where the prefix of a VAT id is not the country's code."""
_COUNTRY_OF = {"EL": "GR", "XI": "XI", "CHE": "CH", "GB": "GB", "NO": "NO"}
_SWISS_ENDINGS = ("MWST", "TVA", "IVA", "TPV")


_module = cache(get_cc_module)
"""Which module checks a country's numbers: found by import, for a quarter of a check's time."""


def _squeezed(written: str) -> str:
    return _SEPARATORS.sub("", written).upper()


@lru_cache(maxsize=4096)
def vat_number(written: str, region: str | None) -> tuple[str | None, bool]:
    """The VAT id in compact form with its country prefix, and whether its check digits are right.

    `region` gives the prefix where none was typed and the number fits that country. A Swiss id
    goes without its ending (MWST, TVA, IVA), which only says in which language it was typed; a
    Norwegian one always ends in MVA. What does not check is squeezed, and otherwise as typed.
    """
    if region is not None:
        alone = vat_number(written, None)
        if alone[1]:
            return alone
    squeezed = _squeezed(written)
    if not squeezed:
        return None, True
    prefix = _PREFIX_OF.get(region, region) if region is not None else ""
    if prefix and prefix != "FR" and squeezed.startswith(prefix):
        # It has its prefix; but a French number may go on with the same two letters.
        return squeezed, False
    found = _checked(prefix + squeezed)
    return (found, True) if found is not None else (squeezed, False)


def _checked(squeezed: str) -> str | None:
    if squeezed.startswith("CHE"):
        return _swiss(squeezed)
    prefix = squeezed[:2]
    if not prefix.isalpha():
        return None
    if prefix == "NO":
        digits = squeezed[2:].removesuffix("MVA")
        return f"NO{digits}MVA" if _valid("no", "mva", f"{digits}MVA") else None
    if prefix in UNION:
        return eu_vat(squeezed)
    module = _module(_COUNTRY_OF.get(prefix, prefix).lower(), "vat")
    if module is None:
        return None
    try:
        compact = str(module.validate(squeezed))
    except ValidationError:
        return None
    return compact if compact.startswith(prefix) else prefix + compact


def _swiss(squeezed: str) -> str | None:
    digits = squeezed
    for ending in _SWISS_ENDINGS:
        digits = digits.removesuffix(ending)
    return digits if _valid("ch", "uid", digits) else None


def _valid(country: str, name: str, number: str) -> bool:
    module = _module(country, name)
    return module is not None and bool(module.is_valid(number))


def _kept_or_refused(
    options: Options, title: str, normal: Callable[[str, str | None], tuple[str | None, bool]]
) -> tuple[Callable[[Any, Context], str | None], Callable[[str, Context], str]]:
    refuse = options.choose("invalid", "keep", "refuse") == "refuse"

    def read(native: Any, context: Context) -> str | None:
        typed = collapsed(text_of(native, title))
        if typed is None:
            return None
        number, valid = normal(typed, None)
        if not valid and context.region is not None:
            number, valid = normal(typed, context.region)
        if not valid and refuse:
            raise BadValue("", f"{native!r} is not a valid {title}", native)
        return number

    def write(value: str, _context: Context) -> str:
        if refuse and not normal(value, None)[1]:
            raise BadValue("", f"{value!r} is not a valid {title}; correct it first", value)
        return value

    return read, write


def vat(options: Options) -> Lens:
    """A VAT id, compact and with its country prefix (DE136695976, CHE107787577, NO995525828MVA).

    `invalid` says what happens to one whose check digits are wrong: it passes as typed, squeezed
    ("keep", the default), or is a `BadValue` in both directions ("refuse"). `swiss` is the ending
    that a Swiss id is written with (default "MWST", may be empty). Loses separators, and in which
    language a Swiss id was typed.
    """
    ending: str = options.take("swiss", "MWST")
    read, write = _kept_or_refused(options, "VAT id", vat_number)

    def write_swiss(value: str, context: Context) -> str:
        written = write(value, context)
        is_swiss = written.startswith("CHE") and vat_number(written, None)[1]
        return written + ending if is_swiss else written

    return Lens(
        name="vat", gives="text", takes=TEXTUAL, read=read, write=write_swiss, regional=True
    )


@lru_cache(maxsize=4096)
def _iban(written: str, _region: str | None) -> tuple[str | None, bool]:
    squeezed = _squeezed(written)
    return squeezed or None, bool(iban_module.is_valid(squeezed))


def iban(options: Options) -> Lens:
    """An IBAN, compact. `invalid` "refuse" (the default) or "keep" as for `vat`. Loses blanks.

    Money goes where it says, so a wrong one does not travel unless one asks for it.
    """
    given = options.choose("invalid", "refuse", "keep")
    inner = Options({"invalid": given})
    read, write = _kept_or_refused(inner, "IBAN", _iban)
    return Lens(name="iban", gives="text", takes=TEXTUAL, read=read, write=write)


LENSES: Mapping[str, Factory] = {"vat": vat, "iban": iban}
