"""The documentation is true: links lead on, commands and tests exist, examples can be read."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

import koppel.cli
from docs import generate
from koppel.cli.app import app
from koppel.mapping.document import load_mapping, load_rule, shipped_mapping
from koppel.processes.settings import parse_settings, shipped_settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("addons/*/README.md"),
        *ROOT.glob("bench/*.md"),
    )
    if ".lab" not in path.parts
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
LARGEST_PICTURE = 300_000

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.M | re.S)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CALL = re.compile(r"(?:\S*[=/])?(koppel (?:-|[a-z]).*)")
_TEST = re.compile(r"`(tests/[^`\s]+\.py(?:::[\w:]+)?)`")


def text(page: str) -> str:
    """A page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[str]:
    """The code blocks of these languages."""
    return [body for language, body in _FENCE.findall(text(page)) if language in languages]


def outside_code(page: str) -> str:
    """A page without its code."""
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text(page)))


def anchors(page: Path) -> set[str]:
    """The headings of a page as they are linked to."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text("utf-8")), re.M):
        plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
        found.add(plain.strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", NAMES)
def test_every_link_leads_somewhere(page: str) -> None:
    broken = []
    for target in _LINK.findall(outside_code(page)):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        path = ((ROOT / page).parent / place).resolve() if place else ROOT / page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert not broken


def test_every_page_is_linked_from_another() -> None:
    linked = set()
    for page in PAGES:
        for target in _LINK.findall(outside_code(str(page.relative_to(ROOT)))):
            linked.add((page.parent / target.partition("#")[0]).resolve())
    lonely = [page for page in PAGES if "docs" in page.parts and page.resolve() not in linked]
    assert not [str(page.relative_to(ROOT)) for page in lonely]


def test_pictures_are_there_and_small() -> None:
    for picture in (ROOT / "docs" / "screenshots").iterdir():
        assert picture.stat().st_size < LARGEST_PICTURE, picture.name


# commands


@cache
def root() -> Any:
    """The command line with all its commands."""
    for module in pkgutil.iter_modules(koppel.cli.__path__, "koppel.cli."):
        importlib.import_module(module.name)
    return typer.main.get_command(app)


def fault(line: str) -> str | None:
    """What is wrong with a call of `koppel`, None if such a command and its options exist."""
    words = shlex.split(line, comments=True)[1:]
    command, options = root(), _options(root())
    while words:
        word = words.pop(0)
        if word in ("|", ">", "&&", ";", "..."):
            break
        if word.startswith("-"):
            name = word.partition("=")[0]
            if name not in options:
                return f"{line!r}: no option {name}"
            if options[name] and "=" not in word and words:
                words.pop(0)
        elif hasattr(command, "commands"):
            if word not in command.commands:
                return f"{line!r}: no command {word}"
            command = command.commands[word]
            options |= _options(command)
    return None


def _options(command: Any) -> dict[str, bool]:
    """Option -> whether it takes a value."""
    found = {"--help": False, "-h": False, "--install-completion": False}
    for param in command.params:
        if param.param_type_name == "option":
            for word in (*param.opts, *param.secondary_opts):
                found[word] = not param.is_flag
    return found


@pytest.mark.parametrize("page", NAMES)
def test_every_command_shown_exists(page: str) -> None:
    lines = [
        line.strip()
        for body in blocks(page, "sh", "bash", "", "ini")
        for line in body.replace("\\\n", " ").splitlines()
    ]
    lines += re.findall(r"`(koppel [^`]*)`", _FENCE.sub("", text(page)).replace("\n", " "))
    faults = [fault(call[1]) for line in lines if (call := _CALL.match(line))]
    assert not [one for one in faults if one]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/quickstart.md"])
def test_every_make_target_shown_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.M))
    shown = set(re.findall(r"(?:^|`)make (?:[A-Z]+=\S+ )?([a-z]+)", text(page), re.M))
    assert shown
    assert shown <= targets


def test_the_log_ins_shown_are_those_of_the_demo() -> None:
    from lab import coupling, demo

    page = text("README.md")
    for word in (*coupling.LOGIN, *(str(port) for port in demo.PORTS.values())):
        assert word in page


# examples


@pytest.mark.parametrize("page", NAMES)
def test_every_example_in_toml_can_be_read(page: str) -> None:
    for body in blocks(page, "toml"):
        tomllib.loads(body)


def test_the_rules_in_the_how_to_are_rules() -> None:
    examples = blocks("docs/how-to/configure-a-rule.md", "toml")
    assert examples
    for number, body in enumerate(examples):
        load_rule(body, source=f"example {number + 1}")


def test_the_settings_of_orders_in_the_how_to_are_settings() -> None:
    records, steps, body = blocks("docs/how-to/hand-over-orders.md", "toml")
    assert parse_settings(steps).steps == parse_settings(shipped_settings()).steps
    assert parse_settings(body).incoming[0].decision == "hold"
    assert parse_settings(body).transfer.until == "quote"
    assert parse_settings(f"{body}\n{records}").records.credit_note


def test_the_overlay_in_the_how_to_fits_the_shipped_mapping() -> None:
    overlay = blocks("docs/how-to/map-your-own-fields.md", "toml")[0]
    document = load_mapping(
        shipped_mapping("creme", "partner"), source="creme/partner.toml", overlay=overlay
    )
    assert "x_credit_limit" in [field.name for field in document.fields]


@pytest.mark.parametrize("name", list(generate.PAGES))
def test_a_generated_page_is_current(name: str) -> None:
    written = (generate.FOLDER / name).read_text(encoding="utf-8")
    assert written == generate.PAGES[name](), "run: .venv/bin/python -m docs.generate"


# requirements


@cache
def defined(path: Path) -> set[str]:
    """`function`, `Class` and `Class::function` of a test file."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
            found |= {f"{node.name}::{method.name}" for method in methods}
        if isinstance(node, ast.Assign):
            found |= {name.id for name in node.targets if isinstance(name, ast.Name)}
    return found


def test_every_requirement_has_its_row() -> None:
    rows = re.findall(r"^\| E(\d+) \|", text("docs/requirements.md"), re.M)
    assert [int(row) for row in rows] == list(range(1, 59))


def test_a_requirement_without_a_test_says_so() -> None:
    for row in re.findall(r"^\| E\d+ \|.*$", text("docs/requirements.md"), re.M):
        _, _, _, state, shown, _ = row.split("|")
        assert _TEST.search(shown) or state.strip().startswith("not yet"), row


@pytest.mark.parametrize("page", NAMES)
def test_every_test_named_exists(page: str) -> None:
    missing = []
    for name in _TEST.findall(text(page)):
        file, _, function = name.partition("::")
        path = ROOT / file
        if "*" in file:
            continue
        if not path.is_file() or (function and function not in defined(path)):
            missing.append(name)
    assert not missing


@pytest.mark.parametrize("page", NAMES)
def test_every_file_named_exists(page: str) -> None:
    named = re.findall(r"`((?:koppel|lab|docs|addons|bench)/[\w./-]+)`", _FENCE.sub("", text(page)))
    assert not [name for name in named if not (ROOT / name).exists()]


# what must not stand in a page


@pytest.mark.parametrize("page", NAMES)
def test_a_page_names_no_place_of_one_machine(page: str) -> None:
    assert not re.findall(r"(?:/root|/tmp|/home)/\S*|pypi\.org|files\.pythonhosted\S*", text(page))
