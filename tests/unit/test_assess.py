"""Single values judged, owners proposed, effort reckoned."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from koppel.insight.assess import (
    Assumptions,
    Disagreement,
    FieldFigures,
    forecast,
    hours_saved,
    judge,
    propose,
    volume,
)
from koppel.model import Address
from koppel.sync.audit import storing

NOW = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "value", "country", "quality"),
    [
        ("email", "info@partner.example", "", "valid"),
        ("email", "no mail", "", "invalid"),
        ("email", None, "", "empty"),
        ("phone", "030 5550001", "DE", "valid"),
        ("phone", "call the office", "DE", "invalid"),
        ("tax_id", "DE136695976", "", "valid"),
        ("tax_id", "DE136695977", "", "invalid"),
        ("iban", "DE89370400440532013000", "", "valid"),
        ("iban", "DE89370400440532013001", "", "invalid"),
        ("name", "Anything", "", "filled"),
        ("billing_address", Address(postal_code="50667", country="DE"), "", "valid"),
        ("billing_address", Address(postal_code="5000", country="DE"), "", "outdated"),
        ("billing_address", Address(postal_code="123456", country="DE"), "", "invalid"),
        ("billing_address", Address(city="Leipzig", country="DD"), "", "outdated"),
    ],
)
def test_a_value_is_judged(name: str, value: object, country: str, quality: str) -> None:
    assert judge(name, value, country) == quality


def figures(filled: int, *, checked: int = 0, valid: int = 0) -> FieldFigures:
    return FieldFigures(records=100, filled=filled, checked=checked, valid=valid)


def test_the_fuller_side_then_the_sounder_then_the_fresher_is_proposed() -> None:
    nothing = Disagreement()
    fuller = propose("phone", "shared", {"crm": figures(90), "erp": figures(50)}, nothing)
    assert fuller.owner == "crm"
    sound = {"crm": figures(90, checked=90, valid=60), "erp": figures(90, checked=90, valid=90)}
    assert propose("phone", "shared", sound, nothing).owner == "erp"
    even = {"crm": figures(90), "erp": figures(90)}
    fresher = Disagreement(newer={"crm": 9, "erp": 3})
    assert propose("phone", "shared", even, fresher).owner == "crm"
    assert propose("phone", "erp", even, nothing).owner == "erp"


def test_a_history_of_less_than_a_week_tells_nothing() -> None:
    assert volume([NOW - timedelta(days=2)] * 50, NOW).per_day is None
    month = volume([NOW - timedelta(days=day) for day in range(30)], NOW)
    assert month.per_day == 1.0
    assert volume([NOW - timedelta(days=1200)], NOW).stale == 1


def test_effort_follows_its_assumptions() -> None:
    assert hours_saved(12, Assumptions(minutes_per_entry=6)) == pytest.approx(36.5)
    free = forecast(1000, 100, 0.01, 0.1, Assumptions())
    assert free.seconds == pytest.approx(40.0)
    limited = forecast(1000, 100, 0.01, 0.1, Assumptions(calls_per_hour=300))
    assert limited.seconds == pytest.approx(3600.0)


def test_what_a_system_made_of_a_value_is_told() -> None:
    assert storing("Müller GmbH & Co. KG", "Müller GmbH") == "cut after 11 characters"
    assert storing("Müller", "MÜLLER") == "other capitals"
    assert storing("a  b", "a b") == "other blanks"
    assert storing("a", None) == "one side keeps nothing"
    assert storing("a", "b") == ""
