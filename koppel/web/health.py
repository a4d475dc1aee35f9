"""What machines ask: does the process live, is it ready, and its figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from koppel.errors import NeedsUser
from koppel.web.rights import OPEN, declare
from koppel.web.service import Service, current


@declare(OPEN)
def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives."""
    return JsonResponse({"ok": True})


@declare(OPEN)
def readyz(request: HttpRequest) -> HttpResponse:
    """The store answers and the watch has polled; 503 until then. Systems away do not count."""
    try:
        service = current()
        service.store.documents.newest()
    except (DatabaseError, NeedsUser):
        return JsonResponse({"ok": False, "message": "the store does not answer"}, status=503)
    if service.watch.last_poll is None:
        return JsonResponse({"ok": False, "message": "not polled yet"}, status=503)
    return JsonResponse({"ok": True})


@declare(OPEN)
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus: numbers only, nothing of any record. For this machine or a proxy."""
    registry = CollectorRegistry()
    registry.register(_Figures(current()))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Figures(Collector):
    """Gauges, read from the store when they are asked for."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        yield from self._couplings()
        yield from self._systems()
        waits = GaugeMetricFamily("koppel_waiting", "What waits, by kind.", labels=["kind"])
        for kind, many in self.service.store.inbox.totals().items():
            waits.add_metric([kind], many)
        yield waits
        oldest = self.service.store.standing.oldest_unsynchronised()
        now = self.service.clock()
        yield GaugeMetricFamily(
            "koppel_oldest_unsynchronised_seconds",
            "Age of the oldest change that did not reach the other system; 0 where there is none.",
            value=(now - oldest).total_seconds() if oldest else 0,
        )
        polled = self.service.watch.last_poll
        yield GaugeMetricFamily(
            "koppel_last_poll_timestamp_seconds",
            "When both systems were last asked for changes.",
            value=polled.timestamp() if polled else 0,
        )

    def _couplings(self) -> Iterator[Metric]:
        store = self.service.store
        active = GaugeMetricFamily("koppel_couplings", "Active couplings.", labels=["entity"])
        step = GaugeMetricFamily(
            "koppel_couplings_in_step", "Active couplings in step.", labels=["entity"]
        )
        for one in store.standing.shares(store.documents.names("rule")):
            active.add_metric([one.entity], one.active)
            step.add_metric([one.entity], one.in_step)
        yield active
        yield step

    def _systems(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "koppel_system_up", "1 where the system answers.", labels=["connection", "side"]
        )
        for row in self.service.store.connections.all():
            up.add_metric([row.name, row.side], float(not (row.paused or row.away_since)))
        yield up
