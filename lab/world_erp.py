"""The ERP's half of the demo world: 300 customers as an accountant keeps them.

Beside each customer stays a `Firm`: the parts that its name, phone and addresses were made of,
from which `lab.world_crm` writes the same firm the way a salesperson would.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field, replace
from itertools import chain, count
from random import Random

from lab.world import PAYMENT_TERMS, Address, ErpPartner, Person
from lab.world_names import LANDS, Town
from lab.world_numbers import Phone, iban, landline, mobile, vat_id

COMPANIES = {
    "DE": 120,
    "AT": 30,
    "CH": 30,
    "FR": 30,
    "SE": 15,
    "DK": 13,
    "NO": 10,
    "FI": 10,
    "PL": 12,
}
PRIVATE_PERSONS = {"DE": 18, "AT": 4, "CH": 4, "FR": 4}
CONTACTS = 250
NAMESAKES = 3
"""Pairs of ERP customers that bear the same name and are different companies."""
SISTERS = 3
"""Pairs of ERP customers at one address, one phone exchange, one domain: different companies."""

_SPELT_OUT = str.maketrans(
    {
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "Ä": "Ae",
        "Ö": "Oe",
        "Ü": "Ue",
        "ß": "ss",
        "ø": "oe",
        "Ø": "Oe",
        "å": "aa",
        "Å": "Aa",
        "æ": "ae",
        "Æ": "Ae",
        "œ": "oe",
        "ł": "l",
        "Ł": "L",
    }
)


def spelt_out(text: str) -> str:
    """Without umlauts and accents, the way people type them: Müller -> Mueller, Łódź -> Lodz."""
    plain = unicodedata.normalize("NFKD", text.translate(_SPELT_OUT))
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def slug(text: str) -> str:
    """Fit for a host name or a mailbox: "Hans-Jörg" -> "hans-joerg"."""
    letters = (letter if letter.isalnum() else "-" for letter in spelt_out(text).lower())
    return "-".join(part for part in "".join(letters).split("-") if part)


def street(rng: Random, country: str, town: Town) -> str:
    """A street with house number, in the language of that town."""
    streets = LANDS[country].streets
    if country == "CH":
        french = town.language == "fr"
        streets = tuple(s for s in streets if s.startswith(("Rue", "Avenue")) == french)
    return rng.choice(streets).format(n=rng.randint(1, 148))


@dataclass(frozen=True)
class Firm:
    """What a company is made of, before anybody writes it down."""

    country: str
    town: Town
    core: str
    """The name without the legal form."""
    legal_form: str
    family: str
    sector: str
    domain: str
    phone: Phone
    fax: Phone
    street: str
    vat: str

    @property
    def name(self) -> str:
        return f"{self.core} {self.legal_form}"

    @property
    def address(self) -> Address:
        return Address(
            self.street,
            self.town.postal_code,
            self.town.city,
            self.country,
            invoice=True,
            delivery=True,
        )


@dataclass
class Naming:
    """Gives out names and domains that nobody bears yet."""

    rng: Random
    names: set[str] = field(default_factory=set)
    domains: set[str] = field(default_factory=set)

    def domain(self, core: str, city: str) -> str:
        """A domain under the reserved `.example`, so that no mail ever reaches anybody."""
        numbered = (f"{slug(core)}{number}" for number in count(2))
        candidates = chain((slug(core), slug(f"{core} {city}")), numbered)
        free = next(candidate for candidate in candidates if candidate not in self.domains)
        self.domains.add(free)
        return f"{free}.example"

    def firm(self, country: str) -> Firm:
        land = LANDS[country]
        while True:
            family, trade = self.rng.choice(land.families), self.rng.choice(land.trades)
            core = self.rng.choice(land.patterns).format(family=family, trade=trade.name)
            if f"{family} {trade.name}" not in self.names:
                self.names.add(f"{family} {trade.name}")
                break
        town = self.rng.choice(land.towns)
        return self.furnish(country, town, core, family, trade.sector)

    def furnish(self, country: str, town: Town, core: str, family: str, sector: str) -> Firm:
        rng, land = self.rng, LANDS[country]
        form = rng.choice(land.legal_forms)
        if form == "SA" and country == "CH" and town.language == "de":
            form = "AG"
        phone = landline(rng, country, town.area)
        last = str((int(phone.local[-1]) + 9) % 10)
        return Firm(
            country=country,
            town=town,
            core=core,
            legal_form=form,
            family=family,
            sector=sector,
            domain=self.domain(core, town.city),
            phone=phone,
            fax=phone._replace(local=phone.local[:-1] + last),
            street=street(rng, country, town),
            vat=vat_id(rng, country),
        )

    def namesake(self, firm: Firm) -> Firm:
        """Another company of the same name, in another town: nothing else is shared."""
        towns = [town for town in LANDS[firm.country].towns if town.city != firm.town.city]
        other = self.furnish(
            firm.country, self.rng.choice(towns), firm.core, firm.family, firm.sector
        )
        return replace(other, legal_form=firm.legal_form)

    def sister(self, firm: Firm) -> Firm:
        """A subsidiary: same address and domain, next extension, another name and VAT id."""
        land = LANDS[firm.country]
        while True:
            trade = self.rng.choice(land.trades)
            if f"{firm.family} {trade.name}" not in self.names:
                self.names.add(f"{firm.family} {trade.name}")
                break
        local = firm.phone.local[:-1] + str((int(firm.phone.local[-1]) + 5) % 10)
        return replace(
            firm,
            core=f"{firm.family} {trade.name}",
            sector=trade.sector,
            legal_form=land.legal_forms[0],
            phone=firm.phone._replace(local=local),
            vat=vat_id(self.rng, firm.country),
        )


def person(rng: Random, key: str, firm: Firm, taken: set[str]) -> Person:
    """A contact person of that firm, whose full name is not in `taken` yet."""
    land = LANDS[firm.country]
    while True:
        woman = rng.random() < 0.5
        first = rng.choice(land.women if woman else land.men)
        last = rng.choice(land.families)
        if f"{first} {last}" not in taken:
            taken.add(f"{first} {last}")
            break
    extension = firm.phone.local[:-2] + f"{rng.randint(10, 99)}"
    direct = firm.phone._replace(local=extension).written(rng.choice((0, 0, 1)))
    return Person(
        key=key,
        first_name=first,
        last_name=last,
        salutation="mrs" if woman else "mr",
        position=rng.choice(land.positions) if rng.random() < 0.9 else "",
        email=f"{slug(first)}.{slug(last)}@{firm.domain}" if rng.random() < 0.92 else "",
        phone=direct if rng.random() < 0.75 else "",
        mobile=mobile(rng, firm.country).written(0) if rng.random() < 0.5 else "",
    )


def _firms(naming: Naming) -> list[Firm]:
    """As many per country as COMPANIES says, namesakes and sisters among them."""
    firms: list[Firm] = []
    for country, wanted in COMPANIES.items():
        special = NAMESAKES + SISTERS if country == "DE" else 0
        own = [naming.firm(country) for _ in range(wanted - special)]
        firms += own
        if special:
            firms += [naming.namesake(firm) for firm in own[:NAMESAKES]]
            firms += [naming.sister(firm) for firm in own[NAMESAKES : NAMESAKES + SISTERS]]
    return firms


def _further_addresses(rng: Random, firm: Firm) -> tuple[Address, ...]:
    land, addresses = LANDS[firm.country], []
    labels = rng.sample(land.depots, k=rng.choices((0, 1, 2), (60, 28, 12))[0])
    for label in labels:
        town = rng.choice(land.towns)
        addresses.append(
            Address(
                street=street(rng, firm.country, town),
                postal_code=town.postal_code,
                city=town.city,
                country=firm.country,
                delivery=True,
                name=label,
            )
        )
    return tuple(addresses)


def _company(rng: Random, key: str, firm: Firm) -> ErpPartner:
    style = rng.choice((0, 0, 0, 1, 2))
    return ErpPartner(
        key=key,
        name=firm.name,
        person=False,
        language=firm.town.language,
        addresses=(firm.address, *_further_addresses(rng, firm)),
        vat=firm.vat if rng.random() < 0.95 else "",
        iban=iban(rng, firm.country) if rng.random() < 0.8 else "",
        payment_term=rng.choices(PAYMENT_TERMS, (8, 32, 50, 10))[0],
        phone=firm.phone.written(style),
        fax=firm.fax.written(style) if rng.random() < 0.4 else "",
        email=f"{rng.choice(('info', 'info', 'office', 'contact'))}@{firm.domain}",
        website=f"https://www.{firm.domain}" if rng.random() < 0.85 else "",
    )


def _private_person(rng: Random, key: str, country: str, taken: set[str]) -> ErpPartner:
    land = LANDS[country]
    while True:
        first, last = rng.choice(land.women + land.men), rng.choice(land.families)
        if f"{first} {last}" not in taken:
            taken.add(f"{first} {last}")
            break
    town = rng.choice(land.towns)
    home = street(rng, country, town)
    return ErpPartner(
        key=key,
        name=f"{first} {last}",
        person=True,
        language=town.language,
        addresses=(
            Address(home, town.postal_code, town.city, country, invoice=True, delivery=True),
        ),
        iban=iban(rng, country) if rng.random() < 0.5 else "",
        payment_term=rng.choice(("prepaid", "net 14")),
        phone=landline(rng, country, town.area).written(rng.choice((0, 1))),
        email=f"{slug(first)}.{slug(last)}@post.example",
    )


def customers(rng: Random, naming: Naming) -> list[tuple[ErpPartner, Firm | None]]:
    """All 300, in the order in which they were entered; private persons have no firm."""
    firms = _firms(naming)
    countries = [land for land, many in PRIVATE_PERSONS.items() for _ in range(many)]
    entries: list[Firm | str] = [*firms, *countries]
    rng.shuffle(entries)
    contact_counts = spread(rng, CONTACTS, len(firms), at_most=4)
    taken: set[str] = set()
    numbers = count(1)
    rows: list[tuple[ErpPartner, Firm | None]] = []
    for position, entry in enumerate(entries, start=1):
        key = f"E{position:04d}"
        if isinstance(entry, str):
            rows.append((_private_person(rng, key, entry, taken), None))
            continue
        colleagues: set[str] = set()
        contacts = tuple(
            person(rng, f"EP{next(numbers):04d}", entry, colleagues)
            for _ in range(contact_counts.pop())
        )
        rows.append((replace(_company(rng, key, entry), contacts=contacts), entry))
    return rows


def spread(rng: Random, total: int, places: int, *, at_most: int) -> list[int]:
    """`total` things over `places` places, by chance, never more than `at_most` in one."""
    counts = [0] * places
    for _ in range(total):
        free = [place for place, filled in enumerate(counts) if filled < at_most]
        counts[rng.choice(free)] += 1
    return counts
