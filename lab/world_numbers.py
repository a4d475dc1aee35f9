"""Numbers of the demo world: VAT ids, IBANs and phone numbers whose check digits are right.

Written out here because the generator runs inside the host systems' environments too, where only
the standard library is sure to be there; a unit test holds all of them against `python-stdnum`
and `phonenumbers`.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

CALLING_CODES = {
    "DE": "49",
    "AT": "43",
    "CH": "41",
    "FR": "33",
    "SE": "46",
    "DK": "45",
    "NO": "47",
    "FI": "358",
    "PL": "48",
}
_WITHOUT_TRUNK_ZERO = frozenset({"DK", "NO", "PL"})
PHONE_STYLES = 5


class Phone(NamedTuple):
    """A phone number in parts; `written` puts it on paper in one of PHONE_STYLES ways."""

    country: str
    area: str
    local: str

    def written(self, style: int) -> str:
        code = CALLING_CODES[self.country]
        trunk = "" if self.country in _WITHOUT_TRUNK_ZERO else "0"
        area, local = self.area, self.local
        if not area:
            area, local = local[:2], local[2:]
        grouped = " ".join(local[i : i + 2] for i in range(0, len(local) - len(local) % 2, 2))
        grouped += local[-1] if len(local) % 2 else ""
        if style == 0:
            return f"+{code} {area} {local}"
        if style == 1:
            return f"{trunk}{area} {local}"
        if style == 2:
            return f"{trunk}{area}/{grouped}" if trunk else f"{area} {grouped}"
        if style == 3:
            return f"+{code} (0){area} {grouped}" if trunk else f"+{code} {area} {grouped}"
        return f"00{code}{area}{local}"


def _digits(rng: Random, count: int, first: str = "0123456789") -> str:
    return rng.choice(first) + "".join(rng.choice("0123456789") for _ in range(count - 1))


def landline(rng: Random, country: str, area: str) -> Phone:
    """A number in that area; in Denmark, without areas, any landline."""
    full_length = {"CH": 9, "FR": 9, "NO": 8, "PL": 9, "DK": 8}.get(country)
    if country == "DK":
        return Phone(country, "", rng.choice(("33", "75", "86", "98")) + _digits(rng, 6, "2346"))
    if country == "NO" and area == "2":
        area = "22"
    if full_length is None:
        length = {"DE": max(6, 10 - len(area)), "AT": 6, "SE": 6, "FI": 7 - len(area) + 1}[country]
        return Phone(country, area, _digits(rng, length, "23456"))
    first = "245" if country == "FR" else "23456"
    return Phone(country, area, _digits(rng, full_length - len(area), first))


def mobile(rng: Random, country: str) -> Phone:
    area, rest = {
        "DE": ("171", 7),
        "AT": ("664", 7),
        "CH": ("79", 7),
        "FR": ("6", 8),
        "SE": ("70", 7),
        "DK": ("", 6),
        "NO": ("91", 6),
        "FI": ("40", 7),
        "PL": ("601", 6),
    }[country]
    if country == "DK":
        return Phone(country, "", "40" + _digits(rng, 6, "23456"))
    return Phone(country, area, _digits(rng, rest, "245"))


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))


def luhn(digits: str) -> str:
    """The check digit that makes `digits` + it pass the Luhn test."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def _iso7064_mod11_10(digits: str) -> str:
    check = 5
    for digit in digits:
        check = ((check or 10) * 2 % 11 + int(digit)) % 10
    return str((1 - ((check or 10) * 2 % 11)) % 10)


def _mod11(rng: Random, count: int, weights: tuple[int, ...]) -> str:
    """`count` digits and a check digit for which the weighted sum is divisible by 11."""
    while True:
        digits = _digits(rng, count, "123456789")
        check = -_weighted(digits, weights) % 11
        if check < 10:
            return digits + str(check)


def _austrian(rng: Random) -> str:
    digits = _digits(rng, 7)
    total = 0
    for place, digit in enumerate(digits):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return f"ATU{digits}{(6 - total) % 10}"


def _french(rng: Random) -> str:
    digits = _digits(rng, 8, "345789")
    siren = digits + luhn(digits)
    return f"FR{(12 + 3 * (int(siren) % 97)) % 97:02d}{siren}"


def _polish(rng: Random) -> str:
    while True:
        digits = _digits(rng, 9, "56789")
        check = _weighted(digits, (6, 5, 7, 2, 3, 4, 5, 6, 7)) % 11
        if check < 10:
            return f"PL{digits}{check}"


def vat_id(rng: Random, country: str) -> str:
    """A VAT id with country prefix: "DE123456788", "CHE123456788MWST", "NO123456785MVA"."""
    if country == "DE":
        digits = _digits(rng, 8, "123456789")
        return f"DE{digits}{_iso7064_mod11_10(digits)}"
    if country == "AT":
        return _austrian(rng)
    if country == "CH":
        return f"CHE{_mod11(rng, 8, (5, 4, 3, 2, 7, 6, 5, 4))}MWST"
    if country == "FR":
        return _french(rng)
    if country == "SE":
        digits = "556" + _digits(rng, 6)
        return f"SE{digits}{luhn(digits)}01"
    if country == "DK":
        return f"DK{_mod11(rng, 7, (2, 7, 6, 5, 4, 3, 2))}"
    if country == "NO":
        return f"NO{_mod11(rng, 8, (3, 2, 7, 6, 5, 4, 3, 2))}MVA"
    if country == "FI":
        return f"FI{_mod11(rng, 7, (7, 9, 10, 5, 8, 4, 2))}"
    return _polish(rng)


def _french_account(rng: Random) -> str:
    bank, branch, account = _digits(rng, 5, "123"), _digits(rng, 5), _digits(rng, 11)
    key = 97 - (89 * int(bank) + 15 * int(branch) + 3 * int(account)) % 97
    return f"{bank}{branch}{account}{key:02d}"


def _account(rng: Random, country: str) -> str:
    if country == "FR":
        return _french_account(rng)
    if country == "NO":
        return _mod11(rng, 10, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2))
    if country == "FI":
        digits = _digits(rng, 13, "123")
        return digits + luhn(digits)
    length = {"DE": 18, "AT": 16, "CH": 17, "SE": 20, "DK": 14, "PL": 24}[country]
    return _digits(rng, length, "123456789")


def iban(rng: Random, country: str) -> str:
    """An IBAN in compact form, with right check digits (ISO 13616)."""
    account = _account(rng, country)
    as_number = "".join(str(int(letter, 36)) for letter in f"{account}{country}00")
    return f"{country}{98 - int(as_number) % 97:02d}{account}"
