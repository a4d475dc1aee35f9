"""What the lenses make of real values, one by one. Their laws stand in tests/properties."""

from __future__ import annotations

from typing import Any

import pytest

from koppel.connectors.base import Choice, FieldInfo
from koppel.mapping.faults import BadValue, Unresolved
from koppel.mapping.lens import NOWHERE, Context, Lens, Options, no_lookup
from koppel.mapping.lenses import REGISTRY
from koppel.mapping.names import join_name, split_name
from koppel.model import Ref
from lab.world import build


def lens(lens_name: str, info: FieldInfo | None = None, **options: Any) -> Lens:
    given = Options(options, info)
    made = REGISTRY[lens_name](given)
    assert not given.complaints
    return made


def living_in(region: str) -> Context:
    return Context(lambda: region, no_lookup)


@pytest.mark.parametrize(
    ("typed", "region", "read"),
    [
        ("+49 711 123456", None, "+49711123456"),
        ("+49 (0)711 12 34 56", None, "+49711123456"),
        ("0049 711 123456", None, "+49711123456"),
        ("0711/12 34 56", "DE", "+49711123456"),
        ("0711-123456", "DE", "+49711123456"),
        ("044 221 23 34", "CH", "+41442212334"),
        ("22 12 34 56", "NO", "+4722123456"),
        ("+49 711 123456 ext. 7", None, "+49711123456;ext=7"),
        ("+49 711 123456 DW 7", None, "+49 711 123456 DW 7"),
        ("0711 123456", None, "0711 123456"),
        ("0711  123456\n", None, "0711 123456"),
        ("Tel. 0711 123456", "DE", "Tel. 0711 123456"),
        ("0711 123456 oder 0171 1234567", "DE", "0711 123456 oder 0171 1234567"),
        ("siehe Zentrale", "DE", "siehe Zentrale"),
        ("110", "DE", "110"),
        ("", "DE", None),
    ],
)
def test_phones(typed: str, region: str | None, read: str | None) -> None:
    assert lens("phone").get(typed, Context(lambda: region, no_lookup)) == read


def test_every_phone_of_the_demo_world_is_read() -> None:
    phone = lens("phone")
    for partner in build().erp:
        country = living_in(partner.addresses[0].country)
        if partner.phone:
            assert phone.get(partner.phone, country).startswith("+")


def test_a_phone_keeps_the_grouping_of_the_side_it_is_written_to() -> None:
    phone = lens("phone")
    assert phone.put("+49711123456", "0711/123456", living_in("DE")) == "0711/123456"
    assert phone.put("+49711123456", "0711/123457", living_in("DE")) == "+49 711 123456"
    assert lens("phone", form="e164").put("+49711123456") == "+49711123456"


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("DE 136 695 976", "DE136695976"),
        ("de136695976", "DE136695976"),
        ("ATU13585627", "ATU13585627"),
        ("CHE-107.787.577 MWST", "CHE107787577"),
        ("CHE-107.787.577 TVA", "CHE107787577"),
        ("CHE107787577", "CHE107787577"),
        ("NO 995 525 828 MVA", "NO995525828MVA"),
        ("NO995525828", "NO995525828MVA"),
        ("EL 094259216", "EL094259216"),
        ("GB 980 7806 84", "GB980780684"),
        ("DE136695977", "DE136695977"),
        ("on request", "ONREQUEST"),
        (" ", None),
    ],
)
def test_vat_ids(typed: str, read: str | None) -> None:
    assert lens("vat").get(typed) == read


def test_a_vat_id_without_its_prefix_is_read_where_it_lives() -> None:
    vat = lens("vat")
    assert vat.get("136695976", living_in("DE")) == "DE136695976"
    assert vat.get("U13585627", living_in("AT")) == "ATU13585627"
    assert vat.get("094259216", living_in("GR")) == "EL094259216"
    assert vat.get("136695976", NOWHERE) == "136695976"


def test_every_vat_id_of_the_demo_world_is_valid_on_both_sides() -> None:
    strict = lens("vat", invalid="refuse")
    world = build()
    erp = {partner.key: strict.get(partner.vat) for partner in world.erp if partner.vat}
    crm = {one.key: strict.get(one.vat) for one in world.crm if one.vat}
    assert all(crm[c] == erp[e] for c, e in world.pairs if c in crm)


@pytest.mark.parametrize("name", ["vat", "iban"])
def test_a_wrong_number_can_be_refused_in_both_directions(name: str) -> None:
    strict = lens(name, invalid="refuse")
    with pytest.raises(BadValue, match="DE136695977"):
        strict.get("DE136695977")
    with pytest.raises(BadValue, match="correct it first"):
        strict.put("DE136695977", None)


def test_an_iban_is_compact_and_keeps_its_grouping_where_it_stands() -> None:
    iban = lens("iban")
    assert iban.get("DE89 3704 0044 0532 0130 00") == "DE89370400440532013000"
    there = "de89 3704 0044 0532 0130 00"
    assert iban.put("DE89370400440532013000", there) == there


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("Deutschland", "DE"), ("GERMANY", "DE"), ("Allemagne", "DE"), ("de", "DE"), ("DEU", "DE"),
        ("Österreich", "AT"), ("Oesterreich", None), ("Suisse", "CH"), ("Svizzera", "CH"),
        ("Czech Republic", "CZ"), ("Tschechien", "CZ"), ("U.K.", None), ("UK", "GB"),
        ("Great Britain", "GB"), ("Niederlande", "NL"), ("The Netherlands", "NL"), ("D", "DE"),
        ("Sverige", "SE"), ("Georgia", "GE"), ("Liechtenstein", "LI"), ("  france ", "FR"),
    ],
)  # fmt: skip
def test_countries(typed: str, code: str | None) -> None:
    country = lens("country")
    if code is None:
        with pytest.raises(BadValue, match="not a country"):
            country.get(typed)
    else:
        assert country.get(typed) == code


def test_a_country_keeps_the_spelling_of_the_side_it_is_written_to() -> None:
    country = lens("country", form="name")
    assert country.put("DE", "Deutschland") == "Deutschland"
    assert country.put("AT", "Deutschland") == "Austria"
    assert country.put("DE", "Deutschlnad") == "Germany"
    assert lens("country", form="name", locale="fr").put("DE") == "Allemagne"


def test_a_country_name_that_is_too_long_gives_way_to_its_code() -> None:
    short = FieldInfo(name="country", type="text", max_length=2)
    assert lens("country", short, form="name").put("DE") == "DE"


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("www.Foo.example", "https://www.foo.example"),
        ("HTTP://Foo.example/", "https://foo.example"),
        ("https://foo.example/Path/", "https://foo.example/Path/"),
        ("foo.example:8080/x", "https://foo.example:8080/x"),
        ("see intranet", "see intranet"),
        ("localhost", "localhost"),
    ],
)
def test_web_addresses(typed: str, read: str) -> None:
    assert lens("url").get(typed) == read


def test_a_web_address_may_keep_its_scheme() -> None:
    assert lens("url", scheme="keep").get("HTTP://Foo.example/") == "http://foo.example"
    assert lens("url").put("https://foo.example", "http://foo.example/") == "http://foo.example/"


def test_mail_addresses_are_in_lower_case_and_odd_ones_stay() -> None:
    email = lens("email")
    assert email.get(" Info@Foo.Example") == "info@foo.example"
    assert email.get("Info (at) Foo") == "Info (at) Foo"
    assert email.put("info@foo.example", "INFO@foo.example") == "INFO@foo.example"


def test_a_value_table_never_blanks_what_it_does_not_know() -> None:
    table = lens("table", values={"Mr": "mr", "Herr": "mr"}, name="salutations")
    with pytest.raises(BadValue, match="'Dr' is not in the value table 'salutations'; add it"):
        table.get("Dr")
    with pytest.raises(BadValue, match="'mrs'"):
        table.put("mrs")
    assert table.put("mr") == "Mr"
    assert table.put("mr", "Herr") == "Herr"


def test_a_choice_is_read_by_its_label() -> None:
    info = FieldInfo(
        name="sector", type="choice", label="Sector",
        choices=(Choice("u1", "Food industry"), Choice("u2", "Wholesale")),
    )  # fmt: skip
    choice = lens("choice", info)
    assert choice.get("u2") == "Wholesale"
    assert choice.put("FOOD industry") == "u1"
    with pytest.raises(BadValue, match="'Retail' is none of the choices of 'Sector'"):
        choice.put("Retail")


def test_words_that_are_none_of_our_business_are_left_alone() -> None:
    roles = lens("words", values={"customer": "customer"}, unknown="ignore")
    assert roles.get(["suspect", "customer"]) == ("customer",)
    assert roles.put((), ["suspect", "customer"]) == ["suspect"]
    assert roles.put(("customer",), ["suspect"]) == ["customer", "suspect"]
    assert roles.put(None, ["suspect", "customer"]) == ["suspect"]


def test_one_word_stands_for_several_by_the_order_of_its_table() -> None:
    role = lens("word", values={"C": "customer", "P": "prospect"})
    assert role.put(("prospect", "customer")) == "C"
    assert role.get("P") == ("prospect",)


def test_a_text_that_is_too_long_is_refused_or_cut_if_one_asks_for_it() -> None:
    short = FieldInfo(name="name", type="text", max_length=5)
    with pytest.raises(BadValue, match="6 characters; at most 5"):
        lens("text", short).put("Müller")
    assert lens("text", short, overlong="cut").put("Müller") == "Mülle"


def test_a_reference_points_to_the_coupling_or_waits() -> None:
    partner = lens("reference", entity="partner")
    couplings = {("partner", "7"): "c1"}
    reading = Context(lambda: None, lambda entity, id: couplings.get((entity, id)))
    assert partner.get("7", reading) == Ref("partner", coupling="c1")
    assert partner.get("8", reading) == Ref("partner", native="8")
    writing = Context(lambda: None, lambda entity, id: {"c1": "E9"}.get(id))
    assert partner.put(Ref("partner", coupling="c1"), "7", writing) == "E9"
    assert partner.put(None, "7", writing) is None
    with pytest.raises(Unresolved, match="c2"):
        partner.put(Ref("partner", coupling="c2"), None, writing)
    with pytest.raises(Unresolved, match="record 8"):
        partner.put(Ref("partner", native="8"), None, writing)


@pytest.mark.parametrize(
    ("whole", "parts"),
    [
        ("Hans-Jörg Müller", ("Hans-Jörg", "Müller")),
        ("Ludwig van Beethoven", ("Ludwig", "van Beethoven")),
        ("Otto von der Heide", ("Otto", "von der Heide")),
        ("Anna Maria Schmidt", ("Anna Maria", "Schmidt")),
        ("Müller, Hans", ("Hans", "Müller")),
        ("Müller", (None, "Müller")),
        ("von Braun", (None, "von Braun")),
        ("", (None, None)),
    ],
)
def test_names_are_split(whole: str, parts: tuple[str | None, str | None]) -> None:
    assert split_name(whole) == parts


@pytest.mark.parametrize(
    "parts",
    [("Ludwig", "van Beethoven"), ("Gabriel", "García Márquez"), ("Anna Maria", "Schmidt"),
     (None, "Müller"), (None, "van Gogh")],
)  # fmt: skip
def test_a_joined_name_is_split_into_the_same_parts(parts: tuple[str | None, str]) -> None:
    assert split_name(join_name(*parts) or "") == parts


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("text", {"lines": "two"}, "lines"),
        ("phone", {"region": "XX"}, "region"),
        ("country", {"locale": "klingon!"}, "locale"),
        ("datetime", {"zone": "Mars/Olympus"}, "zone"),
        ("table", {}, "values"),
        ("table", {"values": {"a": 1}}, "values"),
        ("reference", {"entity": "planet"}, "entity"),
        ("boolean", {"invert": "yes"}, "invert"),
        ("decimal", {"scale": True}, "scale"),
    ],
)
def test_wrong_options_are_complained_about(
    name: str, options: dict[str, Any], complaint: str
) -> None:
    given = Options(options)
    REGISTRY[name](given)
    assert [option for option, _message, _remedy in given.complaints] == [complaint]


@pytest.mark.parametrize("name", REGISTRY)
def test_every_lens_says_what_it_does(name: str) -> None:
    assert REGISTRY[name].__doc__
