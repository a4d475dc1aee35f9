"""Reading for Koppel: by ids, by content, and the sweep over everything."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .errors import BadCall
from .models import Departure
from .resources import Resource
from .session import Session

MAX_FETCH = 500
MAX_SWEEP = 2000
MAX_FIND = 500
_MAX_LOOK = 2000


def fetch(session: Session, resource: Resource, ids: Sequence[str]) -> dict[str, Any]:
    """One answer for each id: the record, or that and how it is gone.

    A record that is there but that the user may not see is no departure: the whole call is
    refused, so that nobody takes a missing right for a deletion.
    """
    if len(ids) > MAX_FETCH:
        raise BadCall(400, "too_many", f"At most {MAX_FETCH} records per call.")
    numbers = {text: int(text) for text in ids if text.isascii() and text.isdigit()}
    there = dict(
        resource.model.objects.filter(pk__in=numbers.values()).values_list("pk", "is_deleted")
    )
    seen = set(resource.living(session).filter(pk__in=there).values_list("pk", flat=True))
    hidden = sorted(pk for pk, trashed in there.items() if not trashed and pk not in seen)
    if hidden:
        raise BadCall(
            403,
            "hidden",
            f"The Creme user {session.user} may not see {resource.name} "
            f"{', '.join(map(str, hidden[:5]))}; give its role the right to view them.",
        )
    records = resource.read(session, seen)
    absent = [pk for pk in numbers.values() if pk not in records]
    merged = merged_into(resource, [pk for pk in absent if pk not in there])
    return {
        "records": [records[pk] for pk in dict.fromkeys(numbers.values()) if pk in records],
        "gone": [
            gone(resource, text, merged.get(numbers.get(text, -1)), numbers.get(text) in there)
            for text in dict.fromkeys(ids)
            if numbers.get(text) not in records
        ],
    }


def gone(resource: Resource, pk: Any, into: int | None = None, trashed: bool = False) -> dict:
    """How the wire says that a record is not there."""
    return {
        "resource": resource.name,
        "id": str(pk),
        "merged_into": None if into is None else str(into),
        "trashed": trashed,
    }


def merged_into(resource: Resource, ids: Collection[int]) -> dict[int, int]:
    """For deleted records: the one that took them in, followed to the end of a chain of merges."""
    steps = dict(
        Departure.objects.filter(resource=resource.name, merged_into__isnull=False)
        .filter(entity__in=ids)
        .order_by("pk")
        .values_list("entity", "merged_into")
    )
    if not steps:
        return {}
    further = merged_into(resource, set(steps.values()) - set(steps))
    chain = {**further, **steps}
    found = {}
    for pk in steps:
        last, seen = chain[pk], {pk}
        while last in chain and last not in seen:
            seen.add(last)
            last = chain[last]
        found[pk] = last
    return found


def sweep(session: Session, resource: Resource, after: int, limit: int) -> dict[str, Any]:
    """All living records with their versions, by id; `next` is where the next page begins."""
    limit = max(1, min(limit, MAX_SWEEP))
    ids = list(
        resource.living(session)
        .filter(pk__gt=after)
        .order_by("pk")
        .values_list("pk", flat=True)[: limit + 1]
    )
    page = ids[:limit]
    records = resource.read(session, page)
    return {
        "items": [[str(pk), records[pk]["version"]] for pk in page if pk in records],
        "next": str(page[-1]) if len(ids) > limit else None,
    }


def find(
    session: Session, resource: Resource, match: Mapping[str, Any], limit: int
) -> list[dict[str, Any]]:
    """Living records whose fields equal all of `match`; inside an object only the fields given."""
    limit = max(1, min(limit, MAX_FIND))
    unknown = sorted(match.keys() - resource.writable(session).keys())
    if unknown:
        raise BadCall(400, "unknown_field", f"{resource.name} has no field {unknown[0]}.")
    queryset = resource.living(session)
    for part in resource.parts:
        queryset = part.narrow(session, queryset, match)
    ids = queryset.order_by("pk").values_list("pk", flat=True).distinct()[:_MAX_LOOK]
    found: list[dict[str, Any]] = []
    remaining = list(ids)
    while remaining and len(found) < limit:
        some, remaining = remaining[:200], remaining[200:]
        records = resource.read(session, some)
        found += [
            records[pk] for pk in some if pk in records and equals(records[pk]["fields"], match)
        ]
    return found[:limit]


def equals(here: Any, wanted: Any) -> bool:
    """Does a wire value equal the one looked for? Empty text is no value; objects are partial."""
    if isinstance(wanted, Mapping):
        return isinstance(here, Mapping) and all(
            equals(here.get(name), value) for name, value in wanted.items()
        )
    if isinstance(wanted, list) and isinstance(here, list):
        if all(isinstance(item, str) for item in (*wanted, *here)):
            return sorted(wanted) == sorted(here)
        return len(wanted) == len(here) and all(map(equals, here, wanted))
    return (here or None) == (wanted or None) if isinstance(wanted, str) else here == wanted
