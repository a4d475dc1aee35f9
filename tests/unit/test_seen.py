"""Koppel seen from outside: traces from change to change, figures, and logs without a name."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from koppel.engine import seen
from koppel.errors import NeedsUser
from koppel.testing.generated import crm_fields, erp_fields, partners
from tests.scenarios.conftest import pair, store_template
from tests.scenarios.pair import PairOfSystems

__all__ = ["pair", "store_template"]


@pytest.fixture
def spans() -> Iterator[Any]:
    """The spans that are ended, in memory."""
    from opentelemetry import propagate, trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    seen._parts[:] = [(trace, propagate, provider.get_tracer("koppel"))]
    yield kept
    seen._parts.clear()


def one(pair: PairOfSystems) -> str:
    partner = next(iter(partners(1)))
    crm = pair.crm_human.create("organisation", crm_fields(partner))
    pair.erp_human.create("party", erp_fields(partner))
    pair.sync()
    return crm


def test_a_change_is_one_trace_from_the_hint_to_the_write_in_the_other_system(
    pair: PairOfSystems, spans: Any
) -> None:
    crm = one(pair)
    pair.crm_human.edit("organisation", crm, {"phone": "+49 221 5550100"})
    spans.clear()
    with seen.span("hint", connection="crm"):
        carrier = seen.carried()
    assert set(carrier) >= {"traceparent"}
    # Another process goes on with it.
    with seen.span("job", carrier, job="hinted"):
        pair.sync(selection={"partner": {"crm": [crm]}}, trigger="hint")
    found = spans.get_finished_spans()
    assert len({span.context.trace_id for span in found}) == 1
    by_name = {span.name: span for span in found}
    assert {"hint", "job", "sync", "crm.fetch", "erp.write"} <= set(by_name)
    (coupling,) = pair.store.couplings.each("partner")
    assert coupling.id in by_name["send"].attributes["koppel.couplings"]
    text = json.dumps([dict(span.attributes or {}) for span in found])
    partner = next(iter(partners(1)))
    for value in (partner.name, "5550100", partner.vat_id):
        assert value not in text


def test_a_log_line_is_json_and_holds_no_value_of_a_record(
    pair: PairOfSystems, caplog: pytest.LogCaptureFixture
) -> None:
    record = logging.LogRecord(
        "koppel.engine.watch", logging.WARNING, "watch.py", 1, "a system is away: %s",
        ("Müller & Co refused +49 221 5550100",), None,
    )  # fmt: skip
    with seen.about(coupling="c0ffee", run="7"):
        line = json.loads(seen.JsonLines().format(record))
    assert line["what"] == "a system is away: %s"
    assert (line["coupling"], line["run"], line["level"]) == ("c0ffee", "7", "warning")
    assert "Müller" not in json.dumps(line, ensure_ascii=False)
    assert "5550100" not in json.dumps(line)


def test_an_error_in_a_log_line_is_its_kind_and_place_in_the_code_only() -> None:
    try:
        raise NeedsUser("Müller & Co has no VAT number", place="Müller & Co")
    except NeedsUser as error:
        record = logging.LogRecord(
            "koppel",
            logging.ERROR,
            "x.py",
            1,
            "stopped",
            (),
            (NeedsUser, error, error.__traceback__),
        )
    line = json.loads(seen.JsonLines().format(record))
    assert line["error"] == "NeedsUser"
    assert "test_seen.py" in line["line"]
    assert "Müller" not in json.dumps(line, ensure_ascii=False)


def test_the_figures_tell_calls_runs_and_what_waits_without_a_name(pair: PairOfSystems) -> None:
    one(pair)
    text = seen.exposition(pair.store).decode()
    assert 'koppel_couplings{entity="partner"} 1.0' in text
    assert 'koppel_waiting{kind="conflicts"} 0.0' in text
    assert 'koppel_calls_total{call="fetch",connection="crm",outcome="answered"}' in text
    assert 'koppel_runs_total{state="done",trigger="manual"}' in text
    assert next(iter(partners(1))).name not in text


def test_without_an_endpoint_there_are_no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(seen.ENDPOINT, raising=False)
    seen._parts.clear()
    with seen.span("nothing"):
        assert seen.carried() == {}
        assert seen.current_trace() == ""
    seen._parts.clear()
