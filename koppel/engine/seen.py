"""Koppel seen from outside: figures for Prometheus, traces for OpenTelemetry, logs as JSON.

None of the three ever holds a value of a record, a name of a person or a firm, or a secret: labels
and attributes are connections, entities, kinds of calls and ids of couplings. What a log line may
hold is decided here, not where it is written: `JsonLines` drops texts that came from a system.

Traces are off unless `KOPPEL_OTLP` names where they go (`http://collector:4318/v1/traces`) and
the extra `telemetry` is installed. One trace goes from the hint, press or poll over the plan to the
writes in both systems, also where different workers do the parts.
"""

from __future__ import annotations

import contextvars
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    start_http_server,
)

from koppel.store import Store

registry = CollectorRegistry()

calls = Counter(
    "koppel_calls", "Calls of connectors by connection, call and outcome.",
    ("connection", "call", "outcome"), registry=registry,
)  # fmt: skip
call_seconds = Histogram(
    "koppel_call_seconds", "Seconds that a call of a connector took.",
    ("connection", "call"), registry=registry,
)  # fmt: skip
runs = Counter(
    "koppel_runs", "Runs by trigger and how they ended.", ("trigger", "state"), registry=registry
)
run_seconds = Histogram(
    "koppel_run_seconds", "Seconds from the begin of a run to its end.",
    ("trigger",), registry=registry, buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000),
)  # fmt: skip
writes = Counter("koppel_writes", "Writes that were read back.", registry=registry)
hints = Counter("koppel_hints", "Hints that were taken.", ("connection",), registry=registry)
refused = Counter(
    "koppel_refused_messages", "Messages from outside that were refused, by reason.",
    ("reason",), registry=registry,
)  # fmt: skip
jobs = Counter(
    "koppel_jobs", "Jobs that this worker has done.", ("job", "outcome"), registry=registry
)
_couplings = Gauge(
    "koppel_couplings", "Active couplings.", ("entity",), registry=registry
)  # fmt: skip
_waiting = Gauge("koppel_waiting", "What waits, by kind.", ("kind",), registry=registry)
_closed = Gauge(
    "koppel_closed_seconds", "Seconds until a connection is asked again; 0: it is asked now.",
    ("connection",), registry=registry,
)  # fmt: skip
_polled = Gauge(
    "koppel_seconds_since_look", "Seconds since a pair was looked at.", ("pair",), registry=registry
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(store: Store) -> bytes:
    """All figures as Prometheus reads them; what the store knows is read now."""
    for entity in store.documents.names("rule"):
        _couplings.labels(entity).set(store.couplings.count(entity, "active"))
    for kind, many in store.inbox.totals().items():
        _waiting.labels(kind).set(many)
    _waiting.labels("hints").set(store.hints.count())
    for gate in store.gates.all():
        _closed.labels(gate.name).set(store.gates.closed(gate.name)[0])
    now = store.clock()
    for pulse in store.pulses.all():
        if pulse.last_poll is not None:
            _polled.labels(pulse.pair).set((now - pulse.last_poll).total_seconds())
    return generate_latest(registry)


# Logs.

_about: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar(
    "about", default=MappingProxyType({})
)


@contextmanager
def about(**names: str) -> Iterator[None]:
    """What log lines of this block are about: `coupling`, `run`, `pair`, `job`, `process`."""
    token = _about.set({**_about.get(), **names})
    try:
        yield
    finally:
        _about.reset(token)


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, where, what happened, and what it is about.

    Of a message only the text that stands in Koppel's code is written, never what was filled in: a
    name, an address or a system's own sentence may be among that. Ids come by `about` and by the
    keys of `extra`; of an error its kind and place are written.
    """

    EXTRA = ("coupling", "run", "pair", "job", "process", "connection", "entity", "side")

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "where": record.name,
            "what": str(record.msg),
            **_about.get(),
        }
        for name in self.EXTRA:
            if (value := getattr(record, name, None)) is not None:
                line[name] = str(value)
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            trace = record.exc_info[2]
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            if trace is not None:
                line["line"] = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        span = current_trace()
        if span:
            line["trace"] = span
        return json.dumps(line, ensure_ascii=False)


def log_as(style: str) -> None:
    """Set logging up: `json` for a collector, anything else for people."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonLines()
        if style == "json"
        else logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


# Traces.

ENDPOINT = "KOPPEL_OTLP"


_parts: list[Any] = []
"""OpenTelemetry's parts, looked for once; tests put theirs here."""


def _tracing() -> Any:
    if not _parts:
        _parts.append(_set_up())
    return _parts[0]


def _set_up() -> Any:
    """The parts of OpenTelemetry, or None where traces are off."""
    endpoint = os.environ.get(ENDPOINT, "")
    if not endpoint:
        return None
    try:
        from opentelemetry import propagate, trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        logging.getLogger(__name__).warning("traces are off: install koppel[telemetry]")
        return None
    provider = TracerProvider(resource=Resource.create({"service.name": "koppel"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return trace, propagate, provider.get_tracer("koppel")


@contextmanager
def span(name: str, carrier: Mapping[str, str] | None = None, **about: str) -> Iterator[None]:
    """A span of the current trace, or the first one; `carrier` goes on with another process's."""
    parts = _tracing()
    if parts is None:
        yield
        return
    _, propagate, tracer = parts
    context = propagate.extract(dict(carrier)) if carrier else None
    attributes = {f"koppel.{key}": value for key, value in about.items()}
    with tracer.start_as_current_span(name, context=context, attributes=attributes):
        yield


def carried() -> dict[str, str]:
    """The current trace, for another process to go on with; empty where traces are off."""
    parts = _tracing()
    carrier: dict[str, str] = {}
    if parts is not None:
        parts[1].inject(carrier)
    return carrier


def current_trace() -> str:
    """The current trace's id, or nothing."""
    parts = _tracing()
    if parts is None:
        return ""
    context = parts[0].get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def listen(port: int) -> None:
    """Answer Prometheus on loopback, for a process without pages."""
    start_http_server(port, addr="127.0.0.1", registry=registry)
