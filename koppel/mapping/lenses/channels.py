"""Lenses for the ways to reach somebody: phone (E.164), e-mail, web address.

What cannot be read stays as it was typed; nothing is ever lost for being odd.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import phonenumbers

from koppel.mapping.lens import TEXTUAL, Context, Factory, Lens, Options
from koppel.mapping.lenses.plain import collapsed, text_of

_DIALLED = re.compile(
    r"[+(]{0,2}[\d\s()/.‐-―\-]+(?:(?:ext|x)\.?\s*\d{1,7})?",
    re.IGNORECASE,
)
"""A number and nothing but a number: with other words in it, reading it would lose them."""
_SPACED = re.compile(r"\+\d[\d -]*")
_NO_GAPS = str.maketrans("", "", " -")
_SHORTEST = 5
"""Digits after the country code. Shorter ones are extensions or emergency numbers."""


@lru_cache(maxsize=4096)
def phone_number(written: str, region: str | None) -> str:
    """E.164, with `;ext=` for an extension; the text as typed where it cannot be read safely.

    `region` (alpha-2) is where numbers without a country code belong; without it they stay typed.
    """
    typed = collapsed(written) or ""
    if not _DIALLED.fullmatch(typed):
        return typed
    dialled = "+" + typed[2:].lstrip() if typed.startswith("00") else typed
    try:
        number = phonenumbers.parse(dialled, region)
    except phonenumbers.NumberParseException:
        return typed
    return _normal(number) or typed


def _normal(number: phonenumbers.PhoneNumber) -> str | None:
    """E.164 with its extension; None for one that cannot be dialled from everywhere."""
    short = len(str(number.national_number)) < _SHORTEST
    if short or not phonenumbers.is_possible_number(number):
        return None
    plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{plain};ext={number.extension}" if number.extension else str(plain)


@lru_cache(maxsize=4096)
def phone_shown(canonical: str) -> str:
    """For people: +49 711 123456. A number that is not E.164 is shown as it is."""
    if not canonical.startswith("+"):
        return canonical
    try:
        number = phonenumbers.parse(canonical.replace(";ext=", " ext. "), None)
    except phonenumbers.NumberParseException:
        return canonical
    shown = str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL))
    if _SPACED.fullmatch(shown) and shown.translate(_NO_GAPS) == canonical == _normal(number):
        # The same digits with gaps between them are read as the same number.
        return shown
    # Where the way of showing it is not read back as the same number, the plain one is safer.
    return shown if phone_number(shown, None) == canonical else canonical


def phone(options: Options) -> Lens:
    """A phone number as E.164, its region taken from the record's country, else from `region`.

    Without any region a national number stays as typed, and so does all that is not plainly one
    number. `form` is what is written: "international" (default, +49 711 123) or "e164". Loses how
    the number was grouped; the other side's grouping stays where it denotes the same number.
    """
    plain = options.choose("form", "international", "e164") == "e164"
    fallback: str | None = options.take("region", None, str)
    if fallback is not None and fallback not in phonenumbers.SUPPORTED_REGIONS:
        options.complain("region", f"{fallback!r} is not a country code", "Give one like DE")

    def read(native: Any, context: Context) -> str | None:
        typed = text_of(native, "phone number")
        if typed[:1] == "+":
            return phone_number(typed, None)
        return phone_number(typed, context.region or fallback) or None

    def write(value: str, _context: Context) -> str:
        return value if plain else phone_shown(value)

    return Lens(name="phone", gives="text", takes=TEXTUAL, read=read, write=write, regional=True)


@lru_cache(maxsize=4096)
def mail_address(written: str) -> str | None:
    """Without blanks at its ends and in lower case, since mail servers do not tell cases apart."""
    typed = collapsed(written)
    if typed is None:
        return None
    typed = typed.removeprefix("mailto:")
    return typed.lower() if "@" in typed else typed


def email(options: Options) -> Lens:
    """An e-mail address in lower case; anything without an @ stays as typed. Loses upper case."""

    def read(native: Any, _context: Context) -> str | None:
        return mail_address(text_of(native, "mail address"))

    def write(value: str, _context: Context) -> str:
        return value

    return Lens(name="email", gives="text", takes=TEXTUAL, read=read, write=write)


_PLAIN_ADDRESS = re.compile(r"https://[a-z0-9]+(?:[.-][a-z0-9]+)*\.[a-z]{2,}")
"""Most of them: a secure one of a host in lower case, with nothing that could be put otherwise."""


@lru_cache(maxsize=4096)
def web_address(written: str, *, secure: bool = True) -> str | None:
    """With its scheme, host in lower case, no lone slash at the end; odd text as typed.

    `secure`: http is read as https, since hardly anybody means the difference.
    """
    if _PLAIN_ADDRESS.fullmatch(written):
        return written
    typed = collapsed(written)
    if typed is None or " " in typed:
        return typed
    try:
        parts = urlsplit(typed if "://" in typed else f"https://{typed}")
        host = parts.hostname
    except ValueError:
        return typed
    if not host or "." not in host or parts.scheme.lower() not in ("http", "https"):
        return typed
    place = parts.netloc.rpartition("@")
    netloc = f"{place[0]}{place[1]}{place[2].lower()}"
    path = "" if parts.path == "/" else parts.path
    scheme = "https" if secure else parts.scheme.lower()
    return urlunsplit((scheme, netloc, path, parts.query, parts.fragment))


def url(options: Options) -> Lens:
    """A web address with its scheme, https where none is given. Loses a lone slash at the end.

    `scheme` "https" (the default) reads http as https, which is then lost; "keep" tells them apart.
    """
    secure = options.choose("scheme", "https", "keep") == "https"

    def read(native: Any, _context: Context) -> str | None:
        return web_address(text_of(native, "web address"), secure=secure)

    def write(value: str, _context: Context) -> str:
        return value

    return Lens(name="url", gives="text", takes=TEXTUAL, read=read, write=write)


LENSES: Mapping[str, Factory] = {"phone": phone, "email": email, "url": url}
