"""What of a record counts when two systems' records are compared: compact, comparable, encodable.

Pure. Features are made once per record and may be kept (`msgspec` encodes them); they hold no more
than a few hundred bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import phonenumbers
from msgspec import Struct
from stdnum import get_cc_module

from koppel.model import EXTRA
from koppel.model.vat import eu_vat
from koppel.sync.names import (
    company_name,
    listed,
    own_domain,
    person_name,
    product_words,
    street,
    town,
)

_ean: Any = import_module("stdnum.ean")
_SWISS_UID: Any = get_cc_module("ch", "uid")
_NORWEGIAN: Any = get_cc_module("no", "orgnr")


class Place(Struct, frozen=True, array_like=True, gc=False):
    """One address: ISO country, postal code without spaces, folded town, street, house number."""

    country: str = ""
    postal_code: str = ""
    city: str = ""
    street: str = ""
    house: str = ""


class Features(Struct, frozen=True, array_like=True, gc=False):
    """The comparable parts of a partner, a contact or a product; what is unknown is empty.

    `words` is the folded name without the legal form (a contact's family name), `given` a person's
    given names. `codes` are identifiers as "kind:value" ("iban:..", "gtin:.."). `phones` are in
    E.164 where the number could be read, digits otherwise. `domains` never holds a public mail
    service. `birth` is a date of birth as YYYYMMDD. Of a product, `text` is the description's words
    and `measures` the figures in its name.
    """

    entity: str
    words: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    form: str = ""
    person: bool = False
    salutation: str = ""
    vat: str = ""
    vat_valid: bool = False
    codes: tuple[str, ...] = ()
    mails: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    birth: str = ""
    text: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()


def features(entity: str, canonical: Mapping[str, Any]) -> Features:
    """The features of a canonical record. Any entity: unknown ones are compared as products are."""
    if entity == "partner":
        return _partner(canonical)
    if entity == "contact":
        return _contact(canonical)
    return _item(entity, canonical)


def _partner(canonical: Mapping[str, Any]) -> Features:
    places = _places(canonical)
    country = places[0].country if places else ""
    name = _text(canonical, "name")
    person = canonical.get("kind") == "person"
    words, form = company_name(name)
    if person and not form:
        words = tuple(dict.fromkeys(person_name(name)))
    vat, valid = vat_id(_text(canonical, "tax_id"), country)
    codes = [
        f"{kind}:{value}"
        for kind, value in (
            ("tax", _code(canonical, "tax_number")),
            ("register", _code(canonical, "registration_id")),
            ("iban", _code(canonical, "iban")),
        )
        if value
    ]
    mail = _text(canonical, "email").lower()
    return Features(
        entity="partner",
        words=words,
        form=form,
        person=person,
        vat=vat,
        vat_valid=valid,
        codes=tuple(codes),
        mails=(mail,) if mail else (),
        domains=_domains(mail, _text(canonical, "website")),
        phones=_phones(canonical, ("phone", "mobile", "fax"), country),
        places=places,
        birth=_birth(canonical) if person else "",
    )


def _contact(canonical: Mapping[str, Any]) -> Features:
    family = _text(canonical, "family_name") or _text(canonical, "last_name")
    given = _text(canonical, "given_name") or _text(canonical, "first_name")
    if not family:
        *front, family = _text(canonical, "name").split() or [""]
        given = given or " ".join(front)
    mail = _text(canonical, "email").lower()
    places = _places(canonical)
    country = places[0].country if places else ""
    return Features(
        entity="contact",
        words=person_name(family),
        given=person_name(given),
        person=True,
        salutation=_text(canonical, "salutation").lower(),
        mails=(mail,) if mail else (),
        domains=_domains(mail, ""),
        phones=_phones(canonical, ("mobile", "phone"), country),
        places=places,
        birth=_birth(canonical),
    )


_FIGURE = re.compile(r"\d+(?:[.,]\d+)?")


def _item(entity: str, canonical: Mapping[str, Any]) -> Features:
    name = _text(canonical, "name")
    number = next(filter(None, (_code(canonical, kind) for kind in ("number", "code", "sku"))), "")
    codes = {
        "number": number,
        "gtin": _gtin(_text(canonical, "gtin")),
        "maker": _code(canonical, "maker_number"),
    }
    return Features(
        entity=entity,
        words=product_words(name),
        codes=tuple(f"{kind}:{value}" for kind, value in codes.items() if value),
        text=product_words(_text(canonical, "description"))[:40],
        measures=tuple(sorted({one.replace(",", ".") for one in _FIGURE.findall(name)})),
    )


def _gtin(text: str) -> str:
    """A GTIN in fourteen digits; "" where its check digit does not hold."""
    digits = "".join(c for c in text if c.isdigit())
    return digits.zfill(14) if digits and _ean.is_valid(digits) else ""


def _birth(canonical: Mapping[str, Any]) -> str:
    digits = "".join(c for c in _text(canonical, "birth_date")[:10] if c.isdigit())
    return digits if len(digits) == 8 else ""


def _text(canonical: Mapping[str, Any], name: str) -> str:
    value = canonical.get(name)
    if value is None:
        # A field that is not of the model is one of the user's own.
        value = canonical.get(EXTRA + name)
    return "" if value is None else str(value).strip()


def _code(canonical: Mapping[str, Any], name: str) -> str:
    return "".join(c for c in _text(canonical, name).upper() if c.isalnum())


def vat_id(text: str, country: str = "") -> tuple[str, bool]:
    """A VAT id in its compact form with country prefix, and whether its check digits hold."""
    plain = "".join(c for c in text.upper() if c.isalnum())
    if not plain:
        return "", False
    if plain[:2].isdigit() and country:
        plain = country + plain
    if plain.startswith("CHE"):
        plain = plain[:12]
        return plain, bool(_SWISS_UID.is_valid(plain))
    if plain.startswith("NO"):
        plain = plain.removesuffix("MVA")
        return plain, bool(_NORWEGIAN.is_valid(plain[2:]))
    if plain.startswith("GR"):
        plain = "EL" + plain[2:]
    return plain, eu_vat(plain) is not None


def _domains(mail: str, website: str) -> tuple[str, ...]:
    found = (own_domain(mail) if "@" in mail else "", own_domain(website))
    return tuple(dict.fromkeys(domain for domain in found if domain))


_E164 = re.compile(r"\+[1-9]\d{6,14}")


def _phones(canonical: Mapping[str, Any], names: tuple[str, ...], country: str) -> tuple[str, ...]:
    numbers = (phone(_text(canonical, name), country) for name in names)
    return tuple(dict.fromkeys(number for number in numbers if number))


def phone(text: str, country: str = "") -> str:
    """A phone number in E.164, read with the country's dialling habits; else its bare digits."""
    text = text.replace(";ext=", "")
    if not text or _E164.fullmatch(text):
        return text
    try:
        parsed = phonenumbers.parse(text.replace("(0)", ""), country or None)
    except phonenumbers.NumberParseException:
        return "".join(c for c in text if c.isdigit())
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def _places(canonical: Mapping[str, Any]) -> tuple[Place, ...]:
    found: list[Place] = []
    for name in ("billing_address", "shipping_address", "address"):
        address = canonical.get(name)
        if not address:
            continue
        place = _place(address)
        if place not in found and place != Place():
            found.append(place)
    return tuple(found)


def _place(address: Any) -> Place:
    def read(key: str) -> Any:
        return address.get(key) if isinstance(address, Mapping) else getattr(address, key, None)

    name, house = street(str(read("line1") or read("po_box") or ""))
    return Place(
        country=str(read("country") or "").upper(),
        postal_code="".join(c for c in str(read("postal_code") or "") if c.isalnum()),
        city=town(str(read("city") or "")),
        street=name,
        house=house,
    )


def block_keys(record: Features) -> tuple[str, ...]:
    """The keys under which a record is found: records that share none are never compared.

    Each starts with its kind ("vat:", "phone:", "mail:", "domain:", "place:", "name:", ...). Kinds
    in `STRONG_KEYS` lead to few records; the others may be shared by many and are worth following
    only while they are rare.
    """
    keys: list[str] = []
    if record.vat:
        keys.append(f"vat:{record.vat}")
    if record.entity in ("partner", "contact"):
        keys += record.codes
    keys += [f"mail:{mail}" for mail in record.mails]
    keys += [f"phone:{number}" for number in record.phones]
    keys += [f"domain:{domain}" for domain in record.domains]
    if record.birth:
        # By the initials of either name: a day has many birthdays, and names are swapped.
        keys += [f"birth:{record.birth} {word[:1]}" for word in record.words[:3]]
    if record.entity == "contact":
        family = "".join(record.words)
        keys.append(f"name:{family}")
        if record.given:
            keys.append(f"name:{family} {record.given[0][:1]}")
    elif record.entity == "partner":
        keys += _name_keys(record) + _place_keys(record)
    else:
        keys += _item_keys(record) + _name_keys(record)
    return tuple(dict.fromkeys(keys))


def _longest(record: Features) -> list[str]:
    return sorted(set(record.words), key=lambda word: (-len(word), word))[:3]


def _name_keys(record: Features) -> list[str]:
    words = _longest(record)
    keys = [f"name:{word}" for word in words]
    if len(words) > 1:
        keys.append(f"name:{''.join(record.words)}")
        keys.append(f"words:{min(words[:2])} {max(words[:2])}")
    return keys


def _place_keys(record: Features) -> list[str]:
    keys = [
        f"place:{place.postal_code} {place.street} {place.house}"
        for place in record.places
        if place.street and place.postal_code
    ]
    if record.places and record.places[0].postal_code:
        code = record.places[0].postal_code
        keys += [f"zip:{code} {word[:4]}" for word in _longest(record)[:2]]
    if record.person:
        # People are misspelt more than streets are, and a household is small.
        keys += [f"street:{place.street} {place.house}" for place in record.places if place.street]
    return keys


def _item_keys(record: Features) -> list[str]:
    """A GTIN by its middle, so that packings meet; a number whoever gave it."""
    return [
        f"gtin:{value[1:13]}" if kind == "gtin" else f"item:{value}"
        for kind, _, value in (code.partition(":") for code in record.codes)
    ]


STRONG_KEYS = listed("vat tax register iban gtin item mail phone")
