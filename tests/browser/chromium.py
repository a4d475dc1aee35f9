"""A real browser: where Chromium is, and what axe and the catalogue find on a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from koppel.web import catalogue

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text("utf-8")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
FLAGS = [
    "--no-sandbox",
    "--no-proxy-server",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
"""It runs as whoever tests, asks nobody else on the network, and needs no screen."""
LONG = 14
"""English strings shorter than this may be words of a record or German as well."""


def chromium() -> str:
    """The browser of this machine; skips where there is none."""
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    pytest.skip("no Chromium on this machine: apt-get install chromium")


@contextmanager
def browser() -> Iterator[Any]:
    """A running browser."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield running
        finally:
            running.close()


@contextmanager
def browser_beside_django() -> Iterator[Any]:
    """A running browser in a thread in which the tests ask Django's store, too."""
    with pytest.MonkeyPatch.context() as patch:
        # The browser's library runs a loop in this thread; Django asks nothing from within it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        with browser() as found:
            yield found


def violations(page: Any) -> list[str]:
    """What axe finds against WCAG 2.1 AA."""
    found = page.evaluate(
        """async ([source, rules]) => {
            if (!window.axe) { (0, eval)(source); }
            const told = await axe.run(document, {runOnly: rules});
            return {passes: told.passes.length, wrong: told.violations.map(
                one => one.id + ": " + one.nodes.map(node => node.html.slice(0, 160)).join(" | "))};
        }""",
        [AXE, RULES],
    )
    assert found["passes"] > 5
    return list(found["wrong"])


def english_left(page: Any) -> list[str]:
    """Strings of the catalogue that stand on a German page in English.

    But for documents that are shown as they are, such as a rule with its comments.
    """
    text = page.evaluate(
        """() => [...document.querySelectorAll("body, pre, .diff")].reduce(
            (text, one) => one === document.body ? one.innerText
                : text.replace(one.innerText, ""), "")"""
    )
    left = []
    for message in catalogue.load("de"):
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        left += [
            one
            for one in ids
            if len(one) >= LONG and not any(c in one for c in "%{") and one != message.string
            if one in text
        ]
    return left
