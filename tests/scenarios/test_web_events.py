"""Progress as it happens: what a stream tells, whose it is, and that there are never too many."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from koppel.config import now
from koppel.engine.errand import Errand
from koppel.engine.runner import Engine
from koppel.store.models import Run
from koppel.web import events
from tests.scenarios.web_desk import Desk, until


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[events.Places]:
    found = events.Places(most=2, most_each=1)
    monkeypatch.setattr(events, "places", found)
    yield found
    assert found.taken() == 0


def told(line: bytes) -> tuple[str, str]:
    """Event and text of one message."""
    event, data = line.decode().strip().splitlines()
    return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))["text"]


def open_stream(web: Client, path: str) -> Any:
    answer = web.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    return answer


def errand(desk: Desk, go_on: threading.Event) -> Errand:
    def work(engine: Engine) -> str:
        engine.progress("writing partner", 7)
        go_on.wait(20)
        return "done"

    return desk.watch.errand(Errand(work, "anna", "Synchronise"))


def test_an_errand_is_told_as_it_goes_on_and_when_it_is_done(desk: Desk) -> None:
    go_on = threading.Event()
    found = errand(desk, go_on)
    until(lambda: found.doing)
    answer = open_stream(desk.web, f"/errands/{found.id}/events")
    lines = iter(answer.streaming_content)
    assert next(lines).startswith(b"retry: ")
    event, text = told(next(lines))
    assert (event, text) == ("progress", "writing partner · 7 records")
    go_on.set()
    assert told(next(lines))[0] == "done"
    assert list(lines) == []
    answer.close()


def test_the_page_of_an_errand_follows_its_stream_and_looks_by_itself_too(desk: Desk) -> None:
    go_on = threading.Event()
    found = errand(desk, go_on)
    page = desk.see(f"/errands/{found.id}")
    assert f'data-events="/errands/{found.id}/events"' in page
    assert f'hx-get="/errands/{found.id}"' in page
    assert "every 5s" in page
    go_on.set()


def test_nobody_follows_the_errand_of_somebody_else(desk: Desk) -> None:
    go_on = threading.Event()
    found = errand(desk, go_on)
    desk.pair.store.people.add("ben", "a password of five words", ["administrator"])
    other = Client(SERVER_NAME="127.0.0.1")
    other.force_login(get_user_model().objects.get(username="ben"))
    assert other.get(f"/errands/{found.id}/events").status_code == 404
    go_on.set()


def test_there_are_never_more_streams_than_there_are_places(desk: Desk) -> None:
    run = Run.objects.create(kind="sync", state="applying", started_at=now())
    path = f"/runs/{run.id}/events"
    first = open_stream(desk.web, path)
    refused = desk.web.get(path)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    first.close()  # it was never read: its place is free all the same
    second = open_stream(desk.web, path)
    second.close()


def test_a_run_under_way_is_followed_until_it_has_ended(desk: Desk) -> None:
    run = Run.objects.create(kind="sync", state="planning", started_at=now())
    assert f'data-events="/runs/{run.id}/events"' in desk.see(f"/runs/{run.id}")
    answer = open_stream(desk.web, f"/runs/{run.id}/events")
    lines = iter(answer.streaming_content)
    next(lines)
    assert told(next(lines)) == ("progress", "being planned")
    Run.objects.filter(id=run.id).update(state="done")
    assert told(next(lines)) == ("done", "done")
    answer.close()
    assert "data-events" not in desk.see(f"/runs/{run.id}")


def test_a_stream_ends_after_a_while_and_gives_its_place_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LONGEST", 0.0)
    run = Run.objects.create(kind="sync", state="applying", started_at=now())
    answer = open_stream(desk.web, f"/runs/{run.id}/events")
    assert len(list(answer.streaming_content)) == 1
    answer.close()
