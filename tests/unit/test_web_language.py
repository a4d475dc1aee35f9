"""Both languages are complete: no string of a page is missing, left over, or out of date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.utils import translation

import koppel.web
from koppel.model import ENTITIES
from koppel.web import catalogue, words

TEMPLATES = sorted((Path(koppel.web.__file__).parent / "templates").rglob("*.html"))
_TAG = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.S)
_NO_TEXT = re.compile(r"<(script|style|code|kbd)\b.*?</\1>", re.S)
_NAMES = {"Koppel", "CRM", "ERP", "CSV", "XLSX", "TOML", "HTML", "Markdown", "PDF", "JSON", "API"}


@pytest.mark.parametrize("language", catalogue.LANGUAGES)
def test_the_catalogue_is_complete_and_current(language: str) -> None:
    assert catalogue.faults(language) == []


@pytest.mark.parametrize("language", catalogue.LANGUAGES)
def test_a_translation_has_the_places_of_its_original(language: str) -> None:
    places = re.compile(r"%\(\w+\)[sd]|\{\w+\}")
    wrong = []
    for message in catalogue.load(language):
        if not message.id:
            continue
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        told = message.string if isinstance(message.string, tuple) else (message.string,)
        for original, text in zip(ids, told, strict=True):
            if set(places.findall(text)) != set(places.findall(original)):
                wrong.append(original)
    assert not wrong


@pytest.mark.parametrize("path", TEMPLATES, ids=[path.name for path in TEMPLATES])
def test_a_template_has_no_words_outside_translations(path: Path) -> None:
    if path.name == "500.html":
        return  # shown when nothing else works, in both languages at once
    source = path.read_text("utf-8")
    source = re.sub(r"\{% blocktranslate.*?%\}.*?\{% endblocktranslate %\}", "", source, flags=re.S)
    source = _NO_TEXT.sub(" ", source)
    bare = re.sub(r"<[^>]*>", " ", _TAG.sub(" ", source))
    found = [one for one in re.findall(r"[^\W\d_]{2,}", bare) if one not in _NAMES]
    assert not found
    told = re.findall(
        r'\b(?:title|alt|placeholder|aria-label)="([^"{]*[^\W\d_]{2,}[^"{]*)"', source
    )
    assert not told


@pytest.mark.parametrize("path", TEMPLATES, ids=[path.name for path in TEMPLATES])
def test_a_template_has_no_script_and_no_style_of_its_own(path: Path) -> None:
    source = path.read_text("utf-8")
    assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", source)


def test_every_field_of_every_entity_has_a_name() -> None:
    missing = [
        name
        for struct in ENTITIES.values()
        for name in struct.__struct_fields__
        if name not in words.FIELDS
    ]
    assert not missing


def test_words_follow_the_language() -> None:
    with translation.override("de"):
        assert words.field_label("billing_address") == "Rechnungsadresse"
    with translation.override("en"):
        assert words.field_label("billing_address") == "Billing address"
    assert words.field_label("x_delivery_route") == "Delivery route"
