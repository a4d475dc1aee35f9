"""Charts in a browser: drawn from the table, read by mouse and keys, there without a script."""

from __future__ import annotations

from typing import Any

import pytest

from koppel.store.seen_models import Customer
from tests.browser.chromium import violations
from tests.browser.house import House

pytestmark = pytest.mark.xdist_group("browser")

DRAWN = """() => [...document.querySelectorAll("figure.chart")].map(figure => {
    const chart = Chart.getChart(figure.querySelector("canvas"));
    return chart.data.datasets.map(set => [set.data.length, set.backgroundColor]);
})"""
TABLE = """figure => [...figure.querySelectorAll("tbody tr")].map(
    row => [...row.children].map(cell => cell.textContent))"""


@pytest.fixture(scope="module")
def german(served: House, running: Any) -> Any:
    return served.person(running, "de")


def opened(served: House, page: Any, path: str = "/insight") -> Any:
    page.goto(served.url + path)
    page.wait_for_function("() => window.Chart && Object.keys(Chart.instances).length > 0")
    return page.locator("figure.chart").first


def test_every_chart_is_drawn_in_the_colours_of_the_style_sheet(served: House, german: Any) -> None:
    opened(served, german)
    drawn = german.evaluate(DRAWN)
    assert drawn[0] == [[12, "#8fa3b8"], [12, "#0b5cad"]]
    assert [len(one) for one in drawn] == [2, 2, 1]
    opened(served, german, "/")
    assert german.evaluate(DRAWN) == [[[30, "#0b5cad"], [30, "#c77700"]]]
    opened(served, german, f"/customers/{Customer.objects.get(number='K1').id}")
    assert german.evaluate(DRAWN)[0][0][0] == 12
    assert not german.troubles


def test_pointing_at_a_month_tells_it_as_the_table_does(served: House, german: Any) -> None:
    figure = opened(served, german)
    rows = figure.evaluate(TABLE)
    place = figure.locator("canvas").bounding_box()
    german.mouse.move(place["x"] + place["width"] - 20, place["y"] + place["height"] / 2)
    told = german.wait_for_function(
        """() => {
            const tip = Chart.getChart(document.querySelector("figure.chart canvas")).tooltip;
            return tip.opacity > 0 && [...tip.title, ...tip.body.flatMap(one => one.lines)];
        }"""
    ).json_value()
    assert told[0] == rows[-1][0]
    assert told[2].endswith(rows[-1][2])
    assert rows[-1][2].endswith("\xa0€")


def test_the_arrow_keys_read_a_chart_aloud(served: House, german: Any) -> None:
    figure = opened(served, german)
    rows = figure.evaluate(TABLE)
    figure.locator("canvas").focus()
    spoken = figure.locator("[aria-live]")
    german.keyboard.press("ArrowRight")
    assert spoken.text_content().startswith(f"{rows[0][0]}. ")
    german.keyboard.press("End")
    assert rows[-1][2] in spoken.text_content()
    german.keyboard.press("Escape")
    assert spoken.text_content() == ""


def test_a_chart_that_htmx_brings_anew_is_drawn_and_the_old_one_let_go(
    served: House, german: Any
) -> None:
    opened(served, german, "/")
    before = german.evaluate("Object.keys(Chart.instances)")
    german.evaluate("htmx.ajax('GET', '/', {target: '#main', select: '#main', swap: 'outerHTML'})")
    german.wait_for_function(
        "before => { const now = Object.keys(Chart.instances);"
        "            return now.length === 1 && now[0] !== before[0]; }",
        arg=before,
    )
    assert german.evaluate(DRAWN) == [[[30, "#0b5cad"], [30, "#c77700"]]]
    assert not german.troubles


def test_without_a_script_the_numbers_are_there(served: House, running: Any) -> None:
    page = served.person(running, "en", java_script_enabled=False)
    page.goto(f"{served.url}/insight")
    assert not page.locator("figure.chart canvas").first.is_visible()
    page.locator("figure.chart summary").first.click()
    cells = page.locator("figure.chart").first.locator("td data")
    assert cells.count() == 24
    assert cells.last.is_visible()


def test_motion_stops_where_a_person_wants_none(served: House, running: Any) -> None:
    page = served.person(running, "en", reduced_motion="reduce")
    opened(served, page)
    moves = "Chart.getChart(document.querySelector('canvas')).options.animation"
    assert page.evaluate(moves) is False


def test_charts_break_no_rule_of_accessibility_and_fit_a_phone(served: House, running: Any) -> None:
    page = served.person(running, "de", width=390)
    opened(served, page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not violations(page)


def test_a_page_with_charts_weighs_less_than_300_kilobytes(served: House, running: Any) -> None:
    page = served.person(running, "en")
    asked = page.context.new_cdp_session(page)
    sizes: list[int] = []
    asked.on("Network.loadingFinished", lambda told: sizes.append(told["encodedDataLength"]))
    asked.send("Network.enable")
    asked.send("Network.setCacheDisabled", {"cacheDisabled": True})
    opened(served, page)
    page.wait_for_load_state("networkidle")
    assert 100_000 < sum(sizes) < 300_000
