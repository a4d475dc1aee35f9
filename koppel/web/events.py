"""Server-sent events: how far an errand or a run is, told as it happens.

A stream costs the server a thread while it lasts, so there are few at once, a person has fewer
still, and each ends after half a minute; the browser asks again by itself. Whoever finds none free
looks now and then instead, as every page does that has no stream.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET

from koppel.engine.errand import Errand
from koppel.store.models import Run
from koppel.web import words
from koppel.web.rights import needs, who
from koppel.web.runs import UNDER_WAY, run_or_404
from koppel.web.sentences import in_language
from koppel.web.service import current
from koppel.web.templatetags.show import number

MOST = 6
"""Streams at once; `koppel serve` has more threads than that."""
MOST_EACH = 2
"""Streams of one person at once."""
LONGEST = 30.0
"""Seconds after which a stream ends; the browser opens the next one."""
QUIET = 2.0
"""Seconds without news after which a line is sent all the same: a browser that went is noticed."""
AGAIN_MS = 1000
"""Milliseconds after which the browser opens the next stream."""

Told = tuple[str, bool]
"""A sentence, and whether that was the last one."""


class Places:
    """The streams that there may be."""

    def __init__(self, most: int = MOST, most_each: int = MOST_EACH) -> None:
        self._most = most
        self._most_each = most_each
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, user: str) -> bool:
        """A place for this person, where one is free."""
        with self._lock:
            if self._taken.total() >= self._most or self._taken[user] >= self._most_each:
                return False
            self._taken[user] += 1
            return True

    def leave(self, user: str) -> None:
        """The place is free again."""
        with self._lock:
            self._taken[user] -= 1
            if self._taken[user] <= 0:
                del self._taken[user]

    def taken(self) -> int:
        """How many there are."""
        return self._taken.total()


places = Places()


class Stream:
    """The lines of one stream; `close` gives its place back, however it ends."""

    def __init__(
        self, look: Callable[[], Told], user: str, *, pause: float, clock: Callable[[], float]
    ) -> None:
        self._user = user
        self._closed = False
        self._lines = self._tell(look, pause, clock)

    def _tell(
        self, look: Callable[[], Told], pause: float, clock: Callable[[], float]
    ) -> Iterator[bytes]:
        language = translation.get_language()
        began = last = clock()
        before: Told | None = None
        yield f"retry: {AGAIN_MS}\n\n".encode()
        while clock() - began < LONGEST:
            with translation.override(language):
                told = look()
            if told != before:
                before, last = told, clock()
                event = "done" if told[1] else "progress"
                yield f"event: {event}\ndata: {json.dumps({'text': told[0]})}\n\n".encode()
                if told[1]:
                    return
            elif clock() - last > QUIET:
                last = clock()
                yield b": still there\n\n"
            time.sleep(pause)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._lines)

    def close(self) -> None:
        """End it."""
        if not self._closed:
            self._closed = True
            places.leave(self._user)


def stream(request: HttpRequest, look: Callable[[], Told], *, pause: float) -> Any:
    """An answer that tells what `look` finds, every `pause` seconds; 503 where no place is free."""
    user = who(request)
    if not places.take(user):
        answer = HttpResponse(_("There are too many streams."), status=503)
        answer.headers["Retry-After"] = "5"
        return answer
    lines = Stream(look, user, pause=pause, clock=time.monotonic)
    told = StreamingHttpResponse(lines, content_type="text/event-stream; charset=utf-8")
    told.headers["X-Accel-Buffering"] = "no"  # nginx hands each line on at once
    return told


@require_GET
@needs("view")
def errand_events(request: HttpRequest, errand: str) -> Any:
    """How far an errand is."""
    found = current().watch.errands.get(errand)
    if found is None or found.user != who(request):
        raise Http404
    return stream(request, lambda: _errand(found), pause=0.2)


def _errand(errand: Errand) -> Told:
    if errand.done.is_set():
        return _("It is done."), True
    if not errand.doing:
        return _("Waiting for its turn"), False
    text = in_language(errand.doing)
    if errand.many:
        many = ngettext("%(shown)s record", "%(shown)s records", errand.many)
        text = f"{text} · {many % {'shown': number(errand.many)}}"
    return text, False


@require_GET
@needs("view")
def run_events(request: HttpRequest, number: int) -> Any:
    """How far a run is."""
    row = run_or_404(number)
    return stream(request, lambda: progress(row.id), pause=1.0)


def progress(run: int) -> Told:
    """What a run is at, and how many of its steps are behind it."""
    state = Run.objects.filter(id=run).values_list("state", flat=True).first() or "failed"
    told = words.word(words.STATES, state)
    if state not in UNDER_WAY:
        return told, True
    counts = current().store.runs.count_steps(run)
    whole = sum(many for name, many in counts.items() if ":" not in name)
    left = sum(many for name, many in counts.items() if name.endswith(":planned"))
    if state == "applying" and whole:
        steps = _("%(done)s of %(whole)s steps") % {
            "done": number(whole - left),
            "whole": number(whole),
        }
        return f"{told}: {steps}", False
    return told, False
