"""What the how-to says of exporting and importing rules."""

from __future__ import annotations

import tomllib

import pytest
import tomlkit

from koppel.cli.setup import KINDS, _readable
from koppel.engine.naming import named
from koppel.mapping.document import default_rule
from koppel.processes import settings


@pytest.mark.parametrize("text", [default_rule("partner"), "x", "\na\n", "a '''b'''", 'a\r\n"""\\'])
def test_a_document_comes_back_from_an_export_as_it_was(text: str) -> None:
    exported = tomlkit.dumps({"rule": {"partner": _readable(text)}})
    assert tomllib.loads(exported)["rule"]["partner"] == text


def test_an_exported_rule_can_be_edited_line_by_line() -> None:
    exported = tomlkit.dumps({"partner": _readable(default_rule("partner"))})
    edited = exported.replace('phone = { owner = "shared"', 'phone = { owner = "crm"')
    assert 'phone = { owner = "crm"' in tomllib.loads(edited)["partner"]
    assert "\nentity = " in exported


def test_the_settings_of_orders_are_set_up_for_the_connections_and_exported() -> None:
    text = named(settings.shipped_settings(), {"crm": "creme", "erp": "tryton"})
    found = settings.parse_settings(text)
    assert (found.crm, found.erp) == ("creme", "tryton")
    assert settings.KIND in KINDS
