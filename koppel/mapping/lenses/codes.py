"""Lenses for code lists: countries (ISO 3166-1), currencies (ISO 4217), languages (BCP 47)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

import langcodes
import pycountry
from babel import Locale
from unidecode import unidecode

from koppel.mapping.faults import BadValue
from koppel.mapping.lens import TEXTUAL, Context, Factory, Lens, Options
from koppel.mapping.lenses.plain import collapsed, text_of
from koppel.model import is_currency

NAME_LOCALES = ("en", "de", "fr", "it", "es", "nl", "pl", "cs", "sv", "da", "nb", "fi", "pt")
"""Languages in which country names are read; an earlier one wins where a name is ambiguous."""

_ALIASES = {
    "uk": "GB",
    "great britain": "GB",
    "grossbritannien": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "northern ireland": "GB",
    "usa": "US",
    "united states of america": "US",
    "vereinigte staaten von amerika": "US",
    "etats unis d amerique": "US",
    "holland": "NL",
    "the netherlands": "NL",
    "czech republic": "CZ",
    "tschechische republik": "CZ",
    "republique tcheque": "CZ",
    "bundesrepublik deutschland": "DE",
    "brd": "DE",
    "federal republic of germany": "DE",
    "slovak republic": "SK",
    "russia": "RU",
    "russian federation": "RU",
    "south korea": "KR",
    "turkey": "TR",
    "macedonia": "MK",
    "d": "DE",
    "a": "AT",
    "f": "FR",
    "i": "IT",
    "l": "LU",
    "b": "BE",
    "fl": "LI",
}
"""What people write beside the names of CLDR, the letters on number plates among them."""


def _plain(name: str) -> str:
    letters = (letter if letter.isalnum() else " " for letter in unidecode(name).casefold())
    return " ".join("".join(letters).split())


@cache
def _names() -> Mapping[str, str]:
    """Every known way of writing a country, made plain -> alpha-2."""
    codes = {country.alpha_2 for country in pycountry.countries}
    found: dict[str, str] = {}
    for country in pycountry.countries:
        found[country.alpha_2.casefold()] = country.alpha_2
        found[country.alpha_3.casefold()] = country.alpha_2
    for name, code in _ALIASES.items():
        found.setdefault(name, code)
    for locale in NAME_LOCALES:
        for code, name in Locale.parse(locale).territories.items():
            if code in codes:
                found.setdefault(_plain(name), code)
    for country in pycountry.countries:
        for attribute in ("name", "official_name", "common_name"):
            official: str | None = getattr(country, attribute, None)
            if official:
                found.setdefault(_plain(official), country.alpha_2)
    return found


@lru_cache(maxsize=4096)
def country_code(written: str) -> str | None:
    """The alpha-2 code of a country however it is written; None where it is not known."""
    return _names().get(_plain(written))


def country_name(code: str, locale: str = "en") -> str:
    """The name of a country in a language, the code itself where CLDR has none."""
    return str(Locale.parse(locale).territories.get(code, code))


def country(options: Options) -> Lens:
    """A country, read from alpha-2, alpha-3 or its name in a dozen languages, as alpha-2.

    `form` is what is written: "alpha2" (default), "alpha3" or "name" (in `locale`, default "en").
    An unknown country is a `BadValue`, or passes as typed with `unknown` "keep".
    """
    form = options.choose("form", "alpha2", "alpha3", "name")
    locale: str = options.take("locale", "en")
    keep = options.choose("unknown", "refuse", "keep") == "keep"
    limit = options.info.max_length if options.info is not None else None
    try:
        Locale.parse(locale)
    except (ValueError, LookupError):
        options.complain("locale", f"{locale!r} is not a known language", "Give one like en or de")
        locale = "en"

    def read(native: Any, _context: Context) -> str | None:
        written = collapsed(text_of(native))
        if written is None:
            return None
        code = country_code(written)
        if code is None and not keep:
            raise BadValue("", f"{native!r} is not a country that Koppel knows", native)
        return code or written

    def write(value: str, _context: Context) -> str:
        known = pycountry.countries.get(alpha_2=value)
        if known is None:
            if keep:
                return value
            raise BadValue("", f"{value!r} is not a country code of ISO 3166", value)
        if form == "alpha3":
            return str(known.alpha_3)
        name = country_name(value, locale) if form == "name" else value
        return name if limit is None or len(name) <= limit else value

    return Lens(name="country", gives="text", takes=TEXTUAL, read=read, write=write)


def currency(options: Options) -> Lens:
    """A currency by its alphabetic code of ISO 4217, in any case. `BadValue` for anything else."""

    def code_of(value: Any, _context: Context) -> str | None:
        code = text_of(value).strip().upper()
        if not code:
            return None
        if not is_currency(code):
            raise BadValue("", f"{value!r} is not a currency code of ISO 4217", value)
        return code

    return Lens(name="currency", gives="text", takes=TEXTUAL, read=code_of, write=code_of)


@lru_cache(maxsize=1024)
def language_tag(written: str) -> str | None:
    """The normal form of a language tag (`de_AT` -> `de-AT`), None where it is not one."""
    try:
        tag = langcodes.standardize_tag(written.strip())
    except (ValueError, AttributeError):
        return None
    primary = tag.partition("-")[0]
    known = pycountry.languages.get(**{"alpha_2" if len(primary) == 2 else "alpha_3": primary})
    return tag if known is not None else None


def language(options: Options) -> Lens:
    """A language as BCP 47. `form` is what is written: "tag" (default) or "underscore" (`pt_BR`).

    `primary` drops the country (`de-AT` -> `de`), which is then lost. Unknown: `BadValue`.
    """
    underscore = options.choose("form", "tag", "underscore") == "underscore"
    primary: bool = options.take("primary", False)

    def read(native: Any, _context: Context) -> str | None:
        if native == "":
            return None
        tag = language_tag(text_of(native))
        if tag is None:
            raise BadValue("", f"{native!r} is not a language of BCP 47", native)
        return tag.partition("-")[0] if primary else tag

    def write(value: str, _context: Context) -> str:
        tag = value.partition("-")[0] if primary else value
        return tag.replace("-", "_") if underscore else tag

    return Lens(name="language", gives="text", takes=TEXTUAL, read=read, write=write)


LENSES: Mapping[str, Factory] = {
    "country": country,
    "currency": currency,
    "language": language,
}
