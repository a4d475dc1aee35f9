"""The CRM's half of the demo world: 400 organisations as salespeople typed them.

220 are customers of the ERP written differently, 6 of them a second time; the other 174 are
prospects, suppliers and competitors, some of them treacherously like a customer. Every pair keeps
enough evidence for a careful person (the VAT id, or a recognisable name with two of phone, domain
and address), save WEAK ones, where little more than the name is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from random import Random

from lab.world import Address, CrmOrganisation, ErpPartner, Person
from lab.world_erp import NAMESAKES, SISTERS, Firm, Naming, person, slug, spelt_out, spread, street
from lab.world_names import LANDS
from lab.world_numbers import PHONE_STYLES, landline

ORGANISATIONS = 400
PAIRS = 220
DUPLICATES = 6
WEAK = 3
CONTACTS = 900
CRM_NAMESAKES = 14
"""Prospects with the name of an ERP customer in another town: different companies."""
CRM_SISTERS = 4
"""Prospects at the address of an ERP customer, with its domain: different companies."""

Pair = tuple[ErpPartner, Firm]


@dataclass(frozen=True)
class Traces:
    """What of the customer can still be recognised in the organisation."""

    vat: bool
    phone: bool
    domain: bool
    address: bool

    @property
    def enough(self) -> bool:
        return self.vat or (self.phone + self.domain + self.address) >= 2


def _typo(rng: Random, name: str) -> str:
    """Two neighbouring letters swapped in the longest word, or one doubled letter dropped."""
    word = max(name.split(), key=len)
    doubled = [i for i in range(1, len(word)) if word[i] == word[i - 1]]
    if doubled and rng.random() < 0.6:
        wrong = word[: doubled[0]] + word[doubled[0] + 1 :]
    else:
        places = [i for i in range(1, len(word) - 2) if word[i] != word[i + 1]]
        at = rng.choice(places)
        wrong = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return name.replace(word, wrong, 1)


def _other_form(rng: Random, firm: Firm) -> str:
    if "& Co" in firm.legal_form and len(firm.legal_form) > len("& Co."):
        return f"{firm.core} {firm.legal_form.split(' ')[0]}"
    return firm.core if rng.random() < 0.6 else f"{firm.core} {firm.legal_form.upper()}"


def _shortened(_rng: Random, firm: Firm) -> str:
    name = firm.name
    for long, short in (
        ("Gebrüder", "Gebr."),
        ("Établissements", "Ets"),
        ("Brødrene", "Brdr."),
        ("Maschinenbau", "Masch.-Bau"),
        ("Gesellschaft m.b.H.", "GesmbH"),
        ("GmbH & Co. KG", "GmbH & Co KG"),
        ("Sp. z o.o.", "sp. z o. o."),
        (" und ", " u. "),
        (" & ", " und "),
    ):
        if long in name:
            return name.replace(long, short, 1)
    return f"Fa. {name}" if firm.country in ("DE", "AT") else name.upper()


_WRITINGS: tuple[tuple[Callable[[Random, Firm], str], int], ...] = (
    (lambda _rng, firm: firm.name, 24),
    (lambda _rng, firm: spelt_out(firm.name), 24),
    (_other_form, 22),
    (_shortened, 10),
    (lambda rng, firm: _typo(rng, firm.name), 10),
    (lambda rng, firm: spelt_out(_other_form(rng, firm)), 10),
)


def _written(rng: Random, firm: Firm) -> str:
    ways, weights = zip(*_WRITINGS, strict=True)
    way: Callable[[Random, Firm], str] = rng.choices(ways, weights)[0]
    return way(rng, firm)


def _vat_as_typed(rng: Random, vat: str) -> str:
    """Compact, or grouped the way it stands on letterheads."""
    if rng.random() < 0.6:
        return vat
    if vat.startswith("CHE"):
        return f"CHE-{vat[3:6]}.{vat[6:9]}.{vat[9:12]} MWST"
    tail = "MVA" if vat.endswith("MVA") else ""
    digits = vat[2:].removesuffix("MVA")
    grouped = " ".join(digits[i : i + 3] for i in range(0, len(digits), 3))
    return f"{vat[:2]} {grouped} {tail}".strip()


def _street_as_typed(rng: Random, name: str) -> str:
    if rng.random() < 0.55:
        return name
    for long, short in (
        ("straße", "str."),
        ("Straße", "Str."),
        ("strasse", "str."),
        ("avenue", "av."),
        ("boulevard", "bd"),
        ("ul. ", "ulica "),
        ("gatan", "g."),
    ):
        if long in name:
            return name.replace(long, short)
    return spelt_out(name)


def _elsewhere(rng: Random, firm: Firm) -> Address:
    """Where the firm used to be: mostly the same town, sometimes another."""
    land = LANDS[firm.country]
    town = firm.town if rng.random() < 0.6 else rng.choice(land.towns)
    while True:
        former = street(rng, firm.country, town)
        if former != firm.street:
            return Address(former, town.postal_code, town.city, firm.country)


def _traces(rng: Random, has_vat: bool) -> Traces:
    while True:
        traces = Traces(
            vat=has_vat and rng.random() < 0.64,
            phone=rng.random() < 0.82,
            domain=rng.random() < 0.86,
            address=rng.random() < 0.88,
        )
        if traces.enough:
            return traces


def _organisation(rng: Random, key: str, pair: Pair, traces: Traces, name: str) -> CrmOrganisation:
    """The customer as a salesperson knows it; what is no trace is missing or has changed."""
    erp, firm = pair
    if traces.phone:
        phone = firm.phone.written(rng.randrange(PHONE_STYLES))
    else:
        another = landline(rng, firm.country, firm.town.area).written(rng.randrange(PHONE_STYLES))
        phone = another if rng.random() < 0.4 else ""
    box = erp.email.split("@")[0] if rng.random() < 0.6 else rng.choice(("vertrieb", "sales"))
    if traces.address:
        billing = replace(firm.address, street=_street_as_typed(rng, firm.street))
    else:
        billing = _elsewhere(rng, firm)
    further = erp.addresses[1] if len(erp.addresses) > 1 and rng.random() < 0.5 else None
    return CrmOrganisation(
        key=key,
        name=name,
        role="customer",
        phone=phone,
        fax=firm.fax.written(1) if traces.phone and rng.random() < 0.25 else "",
        email=f"{box}@{firm.domain}" if traces.domain else "",
        website=_website(rng, firm) if traces.domain and rng.random() < 0.7 else "",
        vat=_vat_as_typed(rng, erp.vat) if traces.vat else "",
        sector=firm.sector,
        description=rng.choice(_REMARKS),
        billing=replace(billing, invoice=True, delivery=False),
        shipping=further and replace(further, invoice=False),
    )


_REMARKS = (
    "",
    "",
    "",
    "Met at the trade fair, wants a visit in spring.",
    "Pays on time; asks for a frame contract.",
    "Orders small lots, needs certificates 3.1 according to EN 10204.",
    "Second source for spare parts.",
)


def _website(rng: Random, firm: Firm) -> str:
    return rng.choice(("https://www.{}", "http://www.{}", "https://{}/")).format(firm.domain)


def _stranger(rng: Random, key: str, firm: Firm, role: str, *, vat_always: bool) -> CrmOrganisation:
    """An organisation that the ERP does not know, written down just as carelessly."""
    domain_known = rng.random() < 0.85
    return CrmOrganisation(
        key=key,
        name=firm.name if vat_always else _written(rng, firm),
        role=role,
        phone=firm.phone.written(rng.randrange(PHONE_STYLES)) if rng.random() < 0.85 else "",
        email=f"info@{firm.domain}" if domain_known else "",
        website=_website(rng, firm) if domain_known and rng.random() < 0.6 else "",
        vat=_vat_as_typed(rng, firm.vat) if vat_always or rng.random() < 0.35 else "",
        sector=firm.sector,
        description=rng.choice(_REMARKS),
        billing=replace(
            firm.address,
            street=_street_as_typed(rng, firm.street),
            delivery=False,
        ),
    )


def _same_person(rng: Random, key: str, erp: Person, firm: Firm) -> Person:
    """The ERP's contact person as the CRM has them: other spelling, other numbers filled in."""
    first, last = erp.first_name, erp.last_name
    choice = rng.random()
    if choice < 0.25:
        first, last = spelt_out(first), spelt_out(last)
    elif choice < 0.33:
        first = first[0] + "."
    elif choice < 0.40 and "-" in first:
        first = first.replace("-", " ")
    keep_mail = bool(erp.email) and (rng.random() < 0.8 or first.endswith("."))
    mail = erp.email if keep_mail else f"{slug(erp.last_name)}@{firm.domain}"
    return Person(
        key=key,
        first_name=first,
        last_name=last,
        salutation=erp.salutation if rng.random() < 0.85 else "",
        position=erp.position if rng.random() < 0.6 else "",
        email=mail,
        phone=erp.phone.replace(" ", "") if rng.random() < 0.6 else "",
        mobile=erp.mobile.replace(" ", "") if rng.random() < 0.7 else "",
    )


@dataclass
class Draft:
    """An organisation and the people known there, while the half is being written."""

    organisation: CrmOrganisation
    firm: Firm
    colleagues: tuple[Person, ...] = ()
    """Contact persons whom the ERP has for the same company."""


@dataclass(frozen=True)
class Half:
    """The finished half, with the truth about it."""

    organisations: tuple[CrmOrganisation, ...]
    pairs: tuple[tuple[str, str], ...]
    duplicates: tuple[tuple[str, str], ...]
    contact_pairs: tuple[tuple[str, str], ...]


def _chosen(rng: Random, companies: list[Pair]) -> list[Pair]:
    """The 220 that the CRM knows too, all of the ERP's namesakes and sisters among them."""
    by_name: dict[str, int] = {}
    by_domain: dict[str, int] = {}
    for _erp, firm in companies:
        by_name[firm.core] = by_name.get(firm.core, 0) + 1
        by_domain[firm.domain] = by_domain.get(firm.domain, 0) + 1
    delicate = [p for p in companies if by_name[p[1].core] > 1 or by_domain[p[1].domain] > 1]
    plain = [p for p in companies if p not in delicate]
    assert len(delicate) == 2 * (NAMESAKES + SISTERS)
    return delicate + rng.sample(plain, PAIRS - len(delicate))


def _known(rng: Random, pairs: list[Pair], keys: Callable[[], str]) -> list[Draft]:
    """The 220 first copies: the delicate ones keep their VAT id, the last few hardly anything."""
    delicate = 2 * (NAMESAKES + SISTERS)
    drafts = []
    for position, (erp, firm) in enumerate(pairs):
        weak = position >= PAIRS - WEAK
        if position < delicate:
            traces = Traces(vat=bool(erp.vat), phone=True, domain=True, address=True)
            name = firm.name if position % 2 else spelt_out(firm.name)
        elif weak:
            traces = Traces(vat=False, phone=False, domain=False, address=False)
            name = firm.core
        else:
            traces = _traces(rng, bool(erp.vat))
            name = _written(rng, firm)
        organisation = _organisation(rng, keys(), (erp, firm), traces, name)
        drafts.append(Draft(organisation, firm, () if weak else erp.contacts))
    return drafts


def _second_copies(
    rng: Random, known: list[tuple[Draft, ErpPartner]], keys: Callable[[], str]
) -> list[tuple[Draft, str]]:
    """The same company typed in once more by a colleague: (copy, key of the first)."""
    copies = []
    for first, erp in known:
        traces = Traces(vat=False, phone=True, domain=rng.random() < 0.5, address=True)
        pair = (erp, first.firm)
        name = _other_form(rng, first.firm)
        if name == first.organisation.name:
            name = spelt_out(name).upper()
        copy = _organisation(rng, keys(), pair, traces, name)
        copies.append((Draft(copy, first.firm), first.organisation.key))
    return copies


def _strangers(
    rng: Random, naming: Naming, companies: list[Pair], wanted: int, keys: Callable[[], str]
) -> list[Draft]:
    models = [firm for _erp, firm in rng.sample(companies, CRM_NAMESAKES + CRM_SISTERS)]
    alike = [naming.namesake(firm) for firm in models[:CRM_NAMESAKES]]
    alike += [naming.sister(firm) for firm in models[CRM_NAMESAKES:]]
    drafts = [
        Draft(_stranger(rng, keys(), firm, "prospect", vat_always=True), firm) for firm in alike
    ]
    countries = rng.choices(
        ("DE", "AT", "CH", "FR", "SE", "DK", "NO", "FI", "PL"),
        (45, 10, 10, 12, 6, 5, 4, 4, 4),
        k=wanted - len(drafts),
    )
    for country in countries:
        firm = naming.firm(country)
        role = rng.choices(("prospect", "supplier", "competitor"), (72, 18, 10))[0]
        drafts.append(Draft(_stranger(rng, keys(), firm, role, vat_always=False), firm))
    return drafts


def _with_people(
    rng: Random, drafts: list[Draft]
) -> tuple[tuple[CrmOrganisation, ...], tuple[tuple[str, str], ...]]:
    """Fill in 900 contacts: first those whom the ERP knows too, then others."""
    numbers = count(1)
    shared = [[p for p in draft.colleagues if rng.random() < 0.7] for draft in drafts]
    others = spread(rng, CONTACTS - sum(map(len, shared)), len(drafts), at_most=6)
    organisations, truth = [], []
    for draft, known, more in zip(drafts, shared, others, strict=True):
        people = []
        for erp_person in known:
            key = f"CP{next(numbers):04d}"
            people.append(_same_person(rng, key, erp_person, draft.firm))
            truth.append((key, erp_person.key))
        taken = {f"{p.first_name} {p.last_name}" for p in draft.colleagues}
        for _ in range(more):
            people.append(person(rng, f"CP{next(numbers):04d}", draft.firm, taken))
        organisations.append(replace(draft.organisation, contacts=tuple(people)))
    return tuple(organisations), tuple(truth)


def organisations(rng: Random, naming: Naming, companies: list[Pair]) -> Half:
    """All 400, in the order in which they were typed in."""
    order = [f"C{number:04d}" for number in range(1, ORGANISATIONS + 1)]
    rng.shuffle(order)
    keys = iter(order).__next__
    chosen = _chosen(rng, companies)
    known = _known(rng, chosen, keys)
    twice = slice(PAIRS - WEAK - DUPLICATES, PAIRS - WEAK)
    copies = _second_copies(
        rng,
        [(draft, erp) for draft, (erp, _firm) in zip(known[twice], chosen[twice], strict=True)],
        keys,
    )
    strangers = _strangers(rng, naming, companies, ORGANISATIONS - PAIRS - DUPLICATES, keys)
    drafts = known + [copy for copy, _first in copies] + strangers
    finished, contact_pairs = _with_people(rng, drafts)
    return Half(
        organisations=tuple(sorted(finished, key=lambda organisation: organisation.key)),
        pairs=tuple(
            sorted(
                (draft.organisation.key, erp.key)
                for draft, (erp, _firm) in zip(known, chosen, strict=True)
            )
        ),
        duplicates=tuple(sorted((first, copy.organisation.key) for copy, first in copies)),
        contact_pairs=tuple(sorted(contact_pairs)),
    )
