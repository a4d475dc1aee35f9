"""Any number of business partners in two systems, with known truth and realistic errors.

The same count and seed give the same world for ever. Half of the errors are those of people (typing
errors, old addresses, missing numbers, records made twice), half those of systems (capitals,
umlauts written out, cut names, formats). Groups with subsidiaries at one address and namesakes in
other towns are among them: they are what must *not* be coupled.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from stdnum.at import uid as at_uid
from stdnum.ch import uid as ch_uid
from stdnum.iso7064 import mod_11_10
from stdnum.luhn import calc_check_digit as luhn

_SURNAMES = [
    "Müller", "Schmidt", "Schneider", "Fischer", "Weber", "Meyer", "Wagner", "Becker", "Schulz",
    "Hoffmann", "Schäfer", "Koch", "Bauer", "Richter", "Klein", "Wolf", "Schröder", "Neumann",
    "Schwarz", "Zimmermann", "Braun", "Krüger", "Hofmann", "Hartmann", "Lange", "Schmitt",
    "Werner", "Krause", "Meier", "Lehmann", "Köhler", "Herrmann", "König", "Walter", "Mayer",
    "Huber", "Kaiser", "Fuchs", "Peters", "Lang", "Scholz", "Möller", "Weiß", "Jung", "Hahn",
    "Schubert", "Vogel", "Friedrich", "Keller", "Günther", "Frank", "Berger", "Winkler", "Roth",
    "Beck", "Lorenz", "Baumann", "Franke", "Albrecht", "Böhm", "Gruber", "Steiner", "Moser",
    "Egger", "Brunner",
]  # fmt: skip
_HEADS = [
    "Al", "Bar", "Ber", "Bran", "Brech", "Buch", "Dam", "Den", "Dorn", "Eck", "Ehr", "El", "Er",
    "Esch", "Fal", "Fel", "Fran", "Frey", "Gar", "Ger", "Glas", "Gold", "Gras", "Grün", "Gut",
    "Hag", "Hal", "Ham", "Har", "Has", "Heid", "Hel", "Her", "Hol", "Horn", "Hüb", "Im", "Kal",
    "Kar", "Kas", "Kel", "Kern", "Kir", "Kol", "Kran", "Krä", "Kro", "Küh", "Lam", "Lan", "Leh",
    "Lin", "Löf", "Lud", "Mar", "Mei", "Mer", "Mos", "Nag", "Neu", "Nie", "Nor", "Ober", "Öhl",
    "Ol", "Pet", "Pfe", "Pol", "Pro", "Rad", "Ram", "Rei", "Rie", "Ros", "Röd", "Ruh", "Sal",
    "San", "Schim", "Schä", "Sei", "Sen", "Sil", "Son", "Stein", "Stö", "Stur", "Süß", "Tau",
    "Tei", "Tho", "Trau", "Tür", "Uhl", "Ul", "Ver", "Vog", "Wal", "Wan", "Wei", "Wer", "Wes",
    "Wil", "Win", "Wöl", "Zan", "Zie", "Zim", "Zöl",
]  # fmt: skip
_MIDS = ("", "", "de", "ger", "ken", "ler", "man", "mer", "ne", "ner", "ring", "sel", "ter", "zel")
_TAILS = [
    "bach", "bauer", "berg", "berger", "burg", "dorf", "dorfer", "eck", "egger", "feld",
    "felder", "ger", "haus", "hauser", "heim", "heimer", "hof", "hofer", "ing", "inger", "kamp",
    "ke", "ler", "lich", "lein", "maier", "mann", "meister", "meyer", "müller", "necker", "ner",
    "ow", "reuter", "schmied", "ski", "son", "stein", "steiner", "stetter", "tal", "thal",
    "ting", "wald", "weiler", "wig", "witz",
]  # fmt: skip
_TRADES = [
    "Maschinenbau", "Antriebstechnik", "Kunststofftechnik", "Werkzeugbau", "Elektronik",
    "Elektrotechnik", "Metallbau", "Stahlhandel", "Fördertechnik", "Messtechnik",
    "Verpackungen", "Pumpen", "Optik", "Hydraulik", "Logistik", "Spedition", "Transporte",
    "Bau", "Hochbau", "Tiefbau", "Holzbau", "Dachdeckerei", "Sanitär", "Heizungsbau",
    "Klimatechnik", "Fensterbau", "Möbel", "Druckerei", "Medien", "Verlag", "Software",
    "Systeme", "Consulting", "Ingenieure", "Architekten", "Immobilien", "Hausverwaltung",
    "Gartenbau", "Landtechnik", "Fahrzeugbau", "Autohaus", "Reifen", "Medizintechnik", "Dental",
    "Pharma", "Chemie", "Lacke", "Textil", "Moden", "Schuhe", "Lebensmittel", "Bäckerei",
    "Fleischwaren", "Getränke", "Gastronomie", "Hotel", "Reinigung", "Entsorgung", "Recycling",
    "Sicherheit", "Automation", "Steuerungstechnik", "Anlagenbau", "Apparatebau",
    "Präzisionsteile", "Zerspanung", "Gießerei", "Oberflächentechnik", "Industriebedarf",
    "Bürobedarf",
]  # fmt: skip
_ENDS = ("tec", "tron", "plan", "flex", "data", "line", "med", "lux", "pro", "con", "form", "vent")
_GROUP = (
    "Holding", "Verwaltungs", "Vertriebs", "Beteiligungs", "Service", "Immobilien", "Logistik",
)  # fmt: skip
_STREETS = [
    "Hauptstraße", "Bahnhofstraße", "Industriestraße", "Gartenstraße", "Schulstraße",
    "Dorfstraße", "Bergstraße", "Lindenstraße", "Kirchstraße", "Waldstraße", "Ringstraße",
    "Mühlenweg", "Birkenweg", "Feldweg", "Wiesenweg", "Marktplatz", "Gewerbepark",
    "Siemensstraße", "Dieselstraße", "Daimlerstraße", "Robert-Bosch-Straße", "Carl-Benz-Straße",
    "Goethestraße", "Schillerstraße", "Mozartstraße", "Beethovenstraße", "Rosenstraße",
    "Talstraße", "Poststraße", "Friedhofstraße", "Brunnenstraße", "Uferstraße", "Hafenstraße",
    "Kaiserstraße", "Königstraße", "Lessingstraße", "Blumenstraße", "Steinweg", "Heideweg",
    "Eichenweg", "Ahornweg", "Tannenweg", "Römerstraße", "Ludwigstraße", "Wilhelmstraße",
    "Bismarckstraße", "Max-Planck-Straße", "Otto-Hahn-Straße", "Werner-von-Siemens-Straße",
]  # fmt: skip
_PLACES = [
    "bach", "berg", "burg", "dorf", "feld", "furt", "hausen", "heim", "hof", "ingen", "kirchen",
    "leben", "ow", "rode", "stadt", "stedt", "tal", "wald", "weiler",
]  # fmt: skip
_FORMS = {
    "DE": ("GmbH",) * 9 + ("GmbH & Co. KG",) * 4 + ("AG", "KG", "OHG", "e.K.", "UG", "GbR"),
    "AT": ("GmbH",) * 8 + ("GmbH & Co KG", "AG", "KG", "OG", "e.U."),
    "CH": ("AG",) * 6 + ("GmbH",) * 4 + ("Sàrl", "SA"),
    "FR": ("SARL",) * 5 + ("SAS",) * 4 + ("SA", "EURL"),
    "PL": ("Sp. z o.o.",) * 6 + ("S.A.", "Sp. j."),
}
_SPELT = {
    "GmbH": ("G.m.b.H.", "Gmbh", "GMBH", "Gesellschaft mbH", "mbH"),
    "GmbH & Co. KG": ("GmbH & Co KG", "GmbH&Co.KG", "GmbH + Co. KG", "GmbH u. Co. KG"),
    "GmbH & Co KG": ("GmbH & Co. KG", "GmbH&CoKG"),
    "AG": ("Aktiengesellschaft", "A.G."),
    "e.K.": ("e. K.", "eK", "e.Kfm."),
    "SARL": ("S.A.R.L.", "Sarl", "S.à r.l."),
    "SAS": ("S.A.S.",),
    "SA": ("S.A.",),
    "Sp. z o.o.": ("Sp.z o.o.", "sp. zoo", "Spółka z o.o."),
    "KG": ("Kommanditgesellschaft",),
    "UG": ("UG (haftungsbeschränkt)",),
}
_DIAL = {"DE": "49", "AT": "43", "CH": "41", "FR": "33", "PL": "48"}
_FREE = ("gmx.de", "web.de", "t-online.de", "gmail.com", "aon.at", "bluewin.ch")


@dataclass(frozen=True)
class Company:
    """One company as it is; `key` tells it from all others."""

    key: int
    name: str
    form: str
    vat: str
    street: str
    house: str
    postal_code: str
    city: str
    country: str
    area: str
    line: str
    domain: str
    extension: str = "0"


@dataclass
class MatchingWorld:
    """Canonical partners of both sides by id, and whose they are."""

    crm: dict[str, dict[str, Any]] = field(default_factory=dict)
    erp: dict[str, dict[str, Any]] = field(default_factory=dict)
    company: dict[str, int] = field(default_factory=dict)
    """Id of either side -> key of the company."""

    @property
    def shared(self) -> set[int]:
        """The companies that both sides have."""
        return {self.company[one] for one in self.crm} & {self.company[one] for one in self.erp}


def world(count: int, *, seed: int = 1, shared: float = 0.7, twice: float = 0.01) -> MatchingWorld:
    """About `count` partners on each side, of which that share is on both; some are there twice."""
    found = MatchingWorld()
    for side, number, company, row in records(count, seed=seed, shared=shared, twice=twice):
        rows: dict[str, dict[str, Any]] = getattr(found, side)
        rows[number] = row
        found.company[number] = company
    return found


def records(
    count: int, *, seed: int = 1, shared: float = 0.7, twice: float = 0.01
) -> Iterator[tuple[Literal["crm", "erp"], str, int, dict[str, Any]]]:
    """The same one by one: side, id, whose it is, canonical partner."""
    chance = random.Random(seed)
    both = round(count * shared)
    alone = count - both - round(count * twice)
    for company in _companies(both + 2 * alone, chance):
        place = company.key
        sides: tuple[Literal["crm", "erp"], ...] = ("crm", "erp")
        if place >= both:
            sides = ("crm",) if place % 2 else ("erp",)
        for side in sides:
            copies = 2 if chance.random() < twice else 1
            for copy in range(copies):
                number = f"{side}-{place}-{copy}"
                yield side, number, place, _written(company, chance, careless=side == "crm")


def _companies(count: int, chance: random.Random) -> Iterator[Company]:
    towns = [_town(chance) for _ in range(max(60, count // 60))]
    made = 0
    while made < count:
        country = chance.choices(("DE", "AT", "CH", "FR", "PL"), (62, 13, 11, 8, 6))[0]
        company = _company(made, country, towns, chance)
        yield company
        made += 1
        if chance.random() < 0.03:
            for word in chance.sample(_GROUP, chance.choice((1, 1, 2, 3))):
                if made < count and word.lower() not in company.name.lower():
                    yield _subsidiary(company, word, made, chance)
                    made += 1
        elif chance.random() < 0.02 and made < count:
            other = _company(made, country, towns, chance)
            yield replace(other, name=company.name)
            made += 1


def _company(key: int, country: str, towns: list[str], chance: random.Random) -> Company:
    city = chance.choice(towns)
    name = _name(city, chance)
    first = _plain(name.split()[0]).lower().strip("-.")
    suffix = chance.choice(("", "", f"-{chance.randrange(99)}", _plain(name.split()[-1]).lower()))
    return Company(
        key=key,
        name=name,
        form=chance.choice(_FORMS[country]),
        vat=_vat(country, chance),
        street=chance.choice(_STREETS),
        house=f"{chance.randrange(1, 180)}{chance.choice(('', '', '', '', 'a', 'b'))}",
        postal_code=_postal(country, city),
        city=city,
        country=country,
        area=str(chance.randrange(2011, 9899)) if country == "DE" else _area(country, chance),
        line=str(chance.randrange(10_000, 999_999)),
        domain=f"{first}{suffix}{key % 97 if chance.random() < 0.6 else ''}"
        f".{ {'DE': 'de', 'AT': 'at', 'CH': 'ch', 'FR': 'fr', 'PL': 'pl'}[country] }",
    )


def _subsidiary(parent: Company, word: str, key: int, chance: random.Random) -> Company:
    """At the parent's address, behind its switchboard, with a VAT id and a name of its own."""
    return replace(
        parent,
        key=key,
        name=f"{parent.name} {word}",
        form=chance.choice(_FORMS[parent.country]),
        vat=_vat(parent.country, chance),
        extension=str(chance.randrange(10, 99)) if chance.random() < 0.6 else "0",
        domain=parent.domain if chance.random() < 0.7 else f"{word.lower()}-{parent.domain}",
    )


def _name(city: str, chance: random.Random) -> str:
    kind = chance.random()
    trade = chance.choice(_TRADES)
    if kind < 0.45:
        return f"{surname(chance)} {trade}"
    if kind < 0.58:
        return f"{surname(chance)} & {surname(chance)}"
    if kind < 0.72:
        return f"{chance.choice(_HEADS)}{chance.choice(_MIDS)}{chance.choice(_ENDS)} {trade}"
    if kind < 0.80:
        return f"Gebr. {surname(chance)} {trade}"
    if kind < 0.88:
        return f"{trade} {city}"
    if kind < 0.94:
        return f"{surname(chance)} {trade} {city}"
    return surname(chance)


def surname(chance: random.Random) -> str:
    """A common family name, or one made up of syllables."""
    if chance.random() < 0.3:
        return chance.choice(_SURNAMES)
    return f"{chance.choice(_HEADS)}{chance.choice(_MIDS)}{chance.choice(_TAILS)}"


def _town(chance: random.Random) -> str:
    name = f"{chance.choice(_HEADS)}{chance.choice(_MIDS)}{chance.choice(_PLACES)}"
    if chance.random() < 0.12:
        return f"{chance.choice(('Bad', 'Sankt', 'Neu', 'Ober', 'Unter'))} {name}"
    return name


def _postal(country: str, city: str) -> str:
    # From the town, so that one town has one code; a sum of letters, as `hash` differs by process.
    number = sum(ord(letter) * 31**place for place, letter in enumerate(city))
    if country in ("AT", "CH"):
        return f"{1000 + number % 8999}"
    if country == "PL":
        return f"{number % 99:02}-{number // 99 % 999:03}"
    return f"{10_000 + number % 89_999}"


def _area(country: str, chance: random.Random) -> str:
    return {
        "AT": lambda: str(chance.randrange(2212, 7999)),
        "CH": lambda: chance.choice(("44", "31", "61", "71", "41", "21", "22")),
        "FR": lambda: chance.choice(("1", "2", "3", "4", "5")) + str(chance.randrange(20, 80)),
        "PL": lambda: chance.choice(("22", "12", "61", "71", "58")),
    }[country]()


def _vat(country: str, chance: random.Random) -> str:
    digits = str(chance.randrange(10_000_000, 99_999_999))
    match country:
        case "DE":
            return f"DE{digits}{mod_11_10.calc_check_digit(digits)}"
        case "AT":
            return f"ATU{digits[:7]}{at_uid.calc_check_digit(digits[:7])}"
        case "CH":
            while not ch_uid.calc_check_digit(digits).isdigit():
                digits = str(chance.randrange(10_000_000, 99_999_999))
            return f"CHE{digits}{ch_uid.calc_check_digit(digits)}"
        case "FR":
            siren = digits + luhn(digits)
            return f"FR{(int(siren) * 100 + 12) % 97:02}{siren}"
        case _:
            nine = f"{chance.randrange(100_000_000, 999_999_999)}"
            while (check := _nip(nine)) == 10:
                nine = f"{chance.randrange(100_000_000, 999_999_999)}"
            return f"PL{nine}{check}"


def _nip(nine: str) -> int:
    """The check digit of a Polish tax number; 10 where there is none."""
    return sum(w * int(d) for w, d in zip((6, 5, 7, 2, 3, 4, 5, 6, 7), nine, strict=True)) % 11


# How a company is written down by one system and its people.


def _written(company: Company, chance: random.Random, *, careless: bool) -> dict[str, Any]:
    """The canonical record of one side; the CRM's people are the more careless."""
    many = 1.0 if careless else 0.5

    def sometimes(share: float) -> bool:
        return chance.random() < share * many

    return {
        "kind": "company",
        "name": _name_written(company, chance, many),
        "tax_id": _vat_written(company.vat, chance, many),
        "phone": "" if sometimes(0.15) else _phone_written(company, chance, many),
        "email": "" if sometimes(0.25) else _mail(company, chance, many),
        "website": f"https://www.{company.domain}" if chance.random() < 0.6 else "",
        "billing_address": None if sometimes(0.04) else _address(company, chance, many),
    }


def _name_written(company: Company, chance: random.Random, many: float) -> str:
    name, form = company.name, company.form
    if chance.random() < 0.3 * many:
        form = chance.choice(_SPELT.get(form, (form,)))
    if chance.random() < 0.12 * many:
        form = ""
    if chance.random() < 0.02 * many:
        form = chance.choice(_FORMS[company.country])
    if chance.random() < 0.06 * many:
        name = typo(name, chance)
    if chance.random() < 0.05 * many:
        name = _abbreviated(name)
    if chance.random() < 0.03 * many and company.city not in name:
        form = f"{form}, {company.city}" if form else company.city
    if chance.random() < 0.02 * many and " " in name:
        name = name.rsplit(" ", 1)[0]
    name = f"{name} {form}".strip()
    if chance.random() < 0.2:
        name = _plain(name)
    if chance.random() < 0.08:
        name = name.upper()
    if chance.random() < 0.03:
        name = name[:30].rstrip()
    return name


def _abbreviated(name: str) -> str:
    for long, short in (("Maschinen", "Masch."), ("technik", "tech."), ("Industrie", "Ind.")):
        name = name.replace(long, short)
    return name


def typo(text: str, chance: random.Random) -> str:
    """The text with two letters swapped, or one missing, doubled or wrong."""
    places = [i for i in range(1, len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()]
    if not places:
        return text
    i = chance.choice(places)
    match chance.randrange(4):
        case 0:
            return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
        case 1:
            return text[:i] + text[i + 1 :]
        case 2:
            return text[:i] + text[i] + text[i:]
        case _:
            return text[:i] + chance.choice("aeinrst") + text[i + 1 :]


def _plain(text: str) -> str:
    for umlaut, letters in (
        ("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss"),
        ("Ä", "Ae"), ("Ö", "Oe"), ("Ü", "Ue"), ("à", "a"), ("ó", "o"), ("ł", "l"),
    ):  # fmt: skip
        text = text.replace(umlaut, letters)
    return text


def _vat_written(vat: str, chance: random.Random, many: float) -> str:
    if chance.random() < 0.45 * many:
        return ""
    if chance.random() < 0.01 * many:
        place = chance.randrange(3, len(vat))
        vat = vat[:place] + str(chance.randrange(10)) + vat[place + 1 :]
    if vat.startswith("CHE") and chance.random() < 0.7:
        return f"CHE-{vat[3:6]}.{vat[6:9]}.{vat[9:]} MWST"
    return f"{vat[:2]} {vat[2:]}" if chance.random() < 0.2 else vat


def _phone_written(company: Company, chance: random.Random, many: float) -> str:
    line = company.line + company.extension
    if chance.random() < 0.2 * many:
        line = company.line + str(chance.randrange(10, 99))
    if chance.random() < 0.06 * many:
        line = str(chance.randrange(100_000, 9_999_999))
    match chance.randrange(4):
        case 0:
            return f"+{_DIAL[company.country]} {company.area} {line}"
        case 1:
            return f"+{_DIAL[company.country]} (0) {company.area} / {line}"
        case 2:
            return f"+{_DIAL[company.country]}{company.area}{line}"
        case _:
            zero = "" if company.country == "PL" else "0"
            return f"{zero}{company.area}-{line}"


def _mail(company: Company, chance: random.Random, many: float) -> str:
    box = chance.choice(("info", "info", "kontakt", "office", "post", "einkauf", "verkauf"))
    if chance.random() < 0.12 * many:
        return f"{_plain(company.name.split()[0]).lower()}{company.key % 89}@{chance.choice(_FREE)}"
    if chance.random() < 0.03 * many:
        return f"{box}@{_plain(company.name.split()[0]).lower()}-group.com"
    return f"{box}@{company.domain}"


def _address(company: Company, chance: random.Random, many: float) -> dict[str, str]:
    street, house, postal, city = company.street, company.house, company.postal_code, company.city
    if chance.random() < 0.07 * many:
        street, house = chance.choice(_STREETS), str(chance.randrange(1, 180))
        if chance.random() < 0.4:
            city = f"{chance.choice(_HEADS)}{chance.choice(_PLACES)}"
            postal = _postal(company.country, city)
    if chance.random() < 0.4:
        street = street.replace("straße", chance.choice(("str.", "strasse", " Str."))).strip()
    if chance.random() < 0.02 * many:
        street = typo(street, chance)
    if chance.random() < 0.01 * many:
        postal = postal[:-1] + str(chance.randrange(10))
    if chance.random() < 0.1:
        city = _plain(city).upper()
    return {
        "line1": f"{street} {house}",
        "postal_code": postal,
        "city": city,
        "country": company.country,
    }
