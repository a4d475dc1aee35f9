"""What changed since a cursor, from Creme's own history.

The feed reads the lines of Creme's history in the order of their ids: creations, edits, edits of
addresses and custom fields, relations, trash and restore, deletions. A deletion line has forgotten
its record; the add-on's `Departure` knows it. The feed tells the state a record has *now*, so
several lines about one record become one change.

A cursor is `log:<line>[:<gaps>]`, or `all:<id>:<line>[:<gaps>]` while a first pass over all living
records goes on. PostgreSQL hands out ids before it commits: a line may appear below the cursor
later. So a cursor carries the ids that were missing (`<first>-<last>@<minute>`), which are looked
at again for an hour. SQLite has one writer at a time and needs none of this.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any

from creme.creme_core.models import HistoryLine, history
from django.db import connection
from django.db.models import Max, Q

from .errors import BadCall
from .models import Departure
from .reading import merged_into
from .resources import Resource
from .session import Session

MAX_CHANGES = 1000
TELLING = (
    history.TYPE_CREATION, history.TYPE_EDITION, history.TYPE_DELETION, history.TYPE_RELATION,
    history.TYPE_SYM_RELATION, history.TYPE_RELATION_DEL, history.TYPE_SYM_REL_DEL,
    history.TYPE_AUX_CREATION, history.TYPE_AUX_EDITION, history.TYPE_AUX_DELETION,
    history.TYPE_TRASH, history.TYPE_CUSTOM_EDITION, history.TYPE_PROP_ADD,
    history.TYPE_PROP_DEL,
)  # fmt: skip
_GAP_MINUTES = 60
_GAP_LOOK = 5000
_MOST_GAPS = 40


@dataclass(frozen=True)
class Gap:
    """Ids of history lines that were missing when first looked for, at that minute since 1970."""

    first: int
    last: int
    minute: int


@dataclass(frozen=True)
class Cursor:
    """Where a reader stands: after this line; `after` is set during the first pass."""

    line: int
    gaps: tuple[Gap, ...] = ()
    after: int | None = None

    def __str__(self) -> str:
        head = f"log:{self.line}" if self.after is None else f"all:{self.after}:{self.line}"
        gaps = ",".join(f"{gap.first}-{gap.last}@{gap.minute}" for gap in self.gaps)
        return f"{head}:{gaps}" if gaps else head


def parse(text: str) -> Cursor:
    """The cursor in a text that `str(cursor)` made; `BadCall` for any other."""
    try:
        kind, *rest = text.split(":")
        after = int(rest.pop(0)) if kind == "all" else None
        if kind not in ("all", "log") or not 1 <= len(rest) <= 2:
            raise ValueError
        gaps = []
        for part in filter(None, rest[1].split(",") if len(rest) == 2 else ()):
            span, _, minute = part.partition("@")
            first, _, last = span.partition("-")
            gaps.append(Gap(int(first), int(last), int(minute)))
        return Cursor(int(rest[0]), tuple(gaps), after)
    except ValueError:
        raise BadCall(400, "bad_cursor", f"{text!r} is not a cursor of this system.") from None


def now() -> Cursor:
    """A cursor after which every later change is told."""
    last = _last_line()
    return Cursor(last, _new_gaps(max(0, last - _GAP_LOOK), last, _minute()))


def changes(session: Session, resource: Resource, since: str | None, limit: int) -> dict[str, Any]:
    """The changes after a cursor, oldest first, and the cursor after them.

    A cursor beyond the last line there is comes from a database that was since put back from a
    backup; the reader then gets all living records again, as with no cursor.
    """
    limit = max(1, min(limit, MAX_CHANGES))
    cursor = parse(since) if since else None
    if cursor is None or cursor.line > _last_line():
        cursor = replace(now(), after=0)
    if cursor.after is not None:
        return _first_pass(session, resource, cursor, limit)
    return _log(session, resource, cursor, limit)


def _first_pass(session: Session, resource: Resource, cursor: Cursor, limit: int) -> dict[str, Any]:
    ids = list(
        resource.living(session)
        .filter(pk__gt=cursor.after)
        .order_by("pk")
        .values_list("pk", flat=True)[: limit + 1]
    )
    page, more = ids[:limit], len(ids) > limit
    records = resource.read(session, page)
    return {
        "changes": [_change(pk, version=records[pk]["version"]) for pk in page if pk in records],
        "cursor": str(replace(cursor, after=page[-1] if more else None)),
        # The log since the pass began may hold more; the next call tells.
        "more": more,
    }


def _change(pk: int, **told: Any) -> dict[str, Any]:
    return {
        "id": str(pk), "gone": False, "merged_into": None, "version": None, "at": None, "by": None,
        **told,
    }  # fmt: skip


def _log(session: Session, resource: Resource, cursor: Cursor, limit: int) -> dict[str, Any]:
    ceiling = _last_line()
    minute = _minute()
    open_gaps = [gap for gap in cursor.gaps if minute - gap.minute <= _GAP_MINUTES]
    places = Q(pk__gt=cursor.line, pk__lte=ceiling)
    for gap in open_gaps:
        places |= Q(pk__range=(gap.first, gap.last))
    lines = list(
        HistoryLine.objects.filter(places, type__in=TELLING)
        .filter(_concerns(resource))
        .order_by("pk")
        .values("pk", "entity_id", "entity_ctype_id", "type", "date", "username")[: limit + 1]
    )
    seen, used = _collect(resource, lines[:limit], limit)
    more = used < len(lines)
    reached = max(lines[used - 1]["pk"], cursor.line) if more else ceiling
    gaps = _still_open(open_gaps) + _new_gaps(cursor.line, reached, minute)
    if more:
        # A page that ends inside an old gap leaves the rest of it open.
        gaps = _merged([*gaps, *(gap for gap in open_gaps if gap.last >= lines[used - 1]["pk"])])
    return {
        "changes": _states(session, resource, seen),
        "cursor": str(Cursor(reached, tuple(_merged(gaps)))),
        "more": more,
    }


def _concerns(resource: Resource) -> Q:
    """Lines about the resource, and deletions of others: a merge may move what ours refer to."""
    return Q(entity_ctype=resource.content_type) | Q(type=history.TYPE_DELETION)


def _collect(
    resource: Resource, lines: list[dict[str, Any]], limit: int
) -> tuple[dict[int, dict[str, Any]], int]:
    """The records that the lines are about, latest line last, and how many lines were used."""
    deletions = [line["pk"] for line in lines if line["type"] == history.TYPE_DELETION]
    departures = {row.line: row for row in Departure.objects.filter(line__in=deletions)}
    ours = resource.content_type.pk
    seen: dict[int, dict[str, Any]] = {}
    for used, line in enumerate(lines):
        departed = departures.get(line["pk"])
        about = list(_about(resource, line, departed, ours))
        if seen and len(seen.keys() | set(about)) > limit:
            return seen, used
        for pk in about:
            seen.pop(pk, None)
            seen[pk] = line
    return seen, len(lines)


def _about(
    resource: Resource, line: dict[str, Any], departed: Departure | None, ours: int
) -> Iterable[int]:
    if line["type"] != history.TYPE_DELETION:
        if line["entity_id"] is not None:
            yield line["entity_id"]
        return
    if departed is None:
        return
    if line["entity_ctype_id"] == ours:
        yield departed.entity
    if departed.merged_into is not None:
        if line["entity_ctype_id"] == ours:
            yield departed.merged_into
        for part in resource.parts:
            yield from part.touched_by_merge(departed.merged_into)


def _states(
    session: Session, resource: Resource, seen: dict[int, dict[str, Any]]
) -> list[dict[str, Any]]:
    there = dict(resource.model.objects.filter(pk__in=seen).values_list("pk", "is_deleted"))
    visible = set(resource.living(session).filter(pk__in=there).values_list("pk", flat=True))
    records = resource.read(session, visible)
    merged = merged_into(resource, [pk for pk in seen if pk not in there])
    told = []
    for pk, line in seen.items():
        who = {"at": line["date"].astimezone(UTC).isoformat(), "by": line["username"] or None}
        if pk in records:
            told.append(_change(pk, version=records[pk]["version"], **who))
        elif pk not in there:
            into = merged.get(pk)
            told.append(
                _change(pk, gone=True, merged_into=None if into is None else str(into), **who)
            )
        elif there[pk]:
            told.append(_change(pk, gone=True, **who))
    return told


def _last_line() -> int:
    return HistoryLine.objects.aggregate(last=Max("pk"))["last"] or 0


def _minute() -> int:
    return int(time.time() // 60)


def _new_gaps(after: int, upto: int, minute: int) -> list[Gap] | tuple[Gap, ...]:
    """The ids between that no line has (yet)."""
    if connection.vendor == "sqlite":
        return ()
    low = max(after, upto - _GAP_LOOK)
    there = HistoryLine.objects.filter(pk__gt=low, pk__lte=upto).values_list("pk", flat=True)
    return missing(there, low, upto, minute)


def missing(there: Collection[int], low: int, high: int, minute: int) -> tuple[Gap, ...]:
    """The stretches of ids above `low`, up to and with `high`, that are not in `there`."""
    gaps = []
    expected = low + 1
    for pk in [*sorted(there), high + 1]:
        if pk > expected:
            gaps.append(Gap(expected, pk - 1, minute))
        expected = pk + 1
    return tuple(_merged(gaps))


def _still_open(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    found: list[Gap] = []
    for gap in gaps:
        there = HistoryLine.objects.filter(pk__range=(gap.first, gap.last)).values_list(
            "pk", flat=True
        )
        found += missing(there, gap.first - 1, gap.last, gap.minute)
    return tuple(found)


def _merged(gaps: Iterable[Gap]) -> list[Gap]:
    """Few gaps: where there are too many, neighbours become one, and lines between come twice."""
    found = sorted(set(gaps), key=lambda gap: (gap.first, gap.last))
    while len(found) > _MOST_GAPS:
        at = min(range(len(found) - 1), key=lambda i: found[i + 1].first - found[i].last)
        one, two = found[at], found[at + 1]
        found[at : at + 2] = [Gap(one.first, max(one.last, two.last), max(one.minute, two.minute))]
    return found
