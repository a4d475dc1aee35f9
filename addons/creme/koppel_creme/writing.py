"""Writing for Koppel: done once, answered with what is there afterwards.

What it promises:

* A refused write changes nothing, and never stops the others of its batch.
* The key is stored in the transaction of the change. A repeat of a key answers what the first one
  answered, and does nothing; that holds as well while the first one is still under way.
* An expected version is compared under a lock on the record.
* Everything goes through Creme's own models: validation, history, workflows, trash, and the
  credentials of the user behind the token.

Writes to different records share a transaction, each in a savepoint of its own, since locking and
reading back many at once costs little more than one. Whatever upsets such a transaction as a whole
makes its writes be done again one by one.
"""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from creme.creme_core.core.exceptions import ConflictError
from creme.creme_core.core.workflow import run_workflow_engine
from creme.creme_core.global_info import get_per_request_cache
from creme.creme_core.models import CremeEntity, Workflow
from creme.persons import get_address_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, OperationalError
from django.db.models import ProtectedError
from django.db.transaction import atomic

from . import deeds, hints, reading
from .errors import BadCall, Invalid, Refusal
from .models import DoneWrite
from .parts.columns import refused
from .resources import Resource, resource, resource_for
from .session import Session

logger = logging.getLogger(__name__)

MAX_WRITE = 200
TOGETHER = 25
"""So many writes at most share a transaction: other users wait no longer than that for SQLite."""
_TRIES = 5

Wish = Mapping[str, Any]
Told = dict[str, Any]


def write(session: Session, batch: Sequence[Wish]) -> list[Told]:
    """One outcome for each write, in the same order."""
    if len(batch) > MAX_WRITE:
        raise BadCall(400, "too_many", f"At most {MAX_WRITE} writes per call.")
    for wish in batch:
        _check_shape(session, wish)
    # A workflow may change other records of the same batch: then each goes alone.
    ours = [resource(name).content_type for name in {wish["resource"] for wish in batch}]
    alone = Workflow.objects.filter(enabled=True, content_type__in=ours).exists()
    outcomes: list[Told] = []
    with hints.quiet():
        for wishes in _groups(batch, 1 if alone else TOGETHER):
            outcomes += _settled(session, wishes)
    return outcomes


def recover(session: Session, wish: Wish) -> Told | None:
    """What became of a write; None: it did not happen.

    A write with the same key that is still under way is waited for: taking the key blocks until
    that one's transaction ends.
    """
    _check_shape(session, wish)
    try:
        with atomic():
            DoneWrite.objects.create(**_named(wish))
            raise _NotDone
    except _NotDone:
        return None
    except IntegrityError:
        return _repeated(session, DoneWrite.objects.get(key=wish["key"]), wish)


class _NotDone(Exception):
    """Leaves a transaction without a trace."""


def _check_shape(session: Session, wish: Any) -> None:
    if not isinstance(wish, Mapping) or wish.get("kind") not in deeds.KINDS:
        raise BadCall(400, "bad_write", f"A write has one of the kinds {', '.join(deeds.KINDS)}.")
    key = wish.get("key")
    if not isinstance(key, str) or not 0 < len(key) <= 200:
        raise BadCall(400, "bad_write", "A write needs a key of 1 to 200 characters.")
    if not isinstance(wish.get("fields", {}), Mapping):
        raise BadCall(400, "bad_write", "The fields of a write are an object.")
    resource_for(session, wish.get("resource", ""))


def _groups(batch: Sequence[Wish], most: int) -> Iterator[list[Wish]]:
    """Consecutive writes, no record and no key twice in a group."""
    group: list[Wish] = []
    taken: set[Any] = set()
    for wish in batch:
        marks = {("key", wish["key"])}
        if wish["kind"] != "create":
            marks.add(("record", deeds.record_id(wish)))
        if group and (len(group) >= most or marks & taken):
            yield group
            group, taken = [], set()
        group.append(wish)
        taken |= marks
    if group:
        yield group


def _settled(session: Session, wishes: list[Wish]) -> list[Told]:
    """The outcomes of a group; what upsets it as a whole is tried again, one by one."""
    last: Exception | None = None
    for attempt in range(1, _TRIES + 1):
        try:
            with atomic():
                return _Group(session, wishes).run()
        except (OperationalError, IntegrityError) as error:
            if len(wishes) > 1:
                return [told for wish in wishes for told in _settled(session, [wish])]
            last = error
            time.sleep(0.05 * 2**attempt)
    logger.warning("A write of Koppel was given up after %s tries: %s", _TRIES, last)
    if isinstance(last, IntegrityError):
        return [_refusal(Invalid("Creme's database does not accept this record."))]
    return [_refusal(Refusal("locked", "Creme's database is busy; try again later."))]


class _Group:
    """Some writes to different records in one transaction."""

    def __init__(self, session: Session, wishes: Sequence[Wish]) -> None:
        self.session = session
        self.wishes = wishes
        self.done: dict[int, tuple[Resource, deeds.Done]] = {}
        self.outcomes: dict[int, Told] = {}

    def run(self) -> list[Told]:
        known = DoneWrite.objects.in_bulk([w["key"] for w in self.wishes], field_name="key")
        fresh = [i for i, wish in enumerate(self.wishes) if wish["key"] not in known]
        for index, wish in enumerate(self.wishes):
            if wish["key"] in known:
                self.outcomes[index] = _repeated(self.session, known[wish["key"]], wish)
        if fresh:
            # First of all the keys: they make a twin of one of these writes wait.
            rows = DoneWrite.objects.bulk_create(
                [DoneWrite(**_named(self.wishes[index])) for index in fresh]
            )
            locked = self._lock(fresh)
            for index in fresh:
                self._do(index, locked)
            self._read_back(dict(zip(fresh, rows, strict=True)))
        return [self.outcomes[index] for index in range(len(self.wishes))]

    def _lock(self, fresh: Sequence[int]) -> dict[str, deeds.Locked]:
        """Lock and read what is to be changed; a row of an entity stands for its children too."""
        ids: dict[str, set[int]] = defaultdict(set)
        guarded: dict[str, set[int]] = defaultdict(set)
        for wish in (self.wishes[index] for index in fresh):
            if wish["kind"] != "create":
                ids[wish["resource"]].add(deeds.record_id(wish))
                if wish.get("expected") is not None:
                    guarded[wish["resource"]].add(deeds.record_id(wish))
        if not ids:
            return {}
        every = set().union(*ids.values())
        for name, some in ids.items():
            for part in resource(name).parts:
                every.update(part.hanging(some))
        _locked(CremeEntity.objects.filter(pk__in=every))
        _locked(get_address_model().objects.filter(object__in=every))
        found = {}
        for name, some in ids.items():
            kind = resource(name)
            records = kind.read(self.session, guarded[name]) if guarded[name] else {}
            found[name] = deeds.Locked(
                kind.model.objects.select_related("user").in_bulk(some),
                {pk: record["version"] for pk, record in records.items()},
            )
        return found

    def _do(self, index: int, locked: Mapping[str, deeds.Locked]) -> None:
        wish = self.wishes[index]
        kind = resource(wish["resource"])
        _forget_open_lines()
        try:
            with atomic(), run_workflow_engine(user=self.session.user):
                done = deeds.do(self.session, kind, wish, locked.get(kind.name) or deeds.Locked())
        except Refusal as error:
            self.outcomes[index] = _refusal(error)
        except ValidationError as error:
            faults = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
            self.outcomes[index] = _refusal(refused(faults))
        except PermissionDenied as error:
            self.outcomes[index] = _refusal(Refusal("forbidden", _sentence(error)))
        except (ProtectedError, ConflictError) as error:
            self.outcomes[index] = _refusal(Refusal("in_use", _sentence(error)))
        except OperationalError:
            raise
        except Exception as error:
            logger.exception("A write of Koppel failed inside Creme.")
            name = type(error).__name__
            self.outcomes[index] = _refusal(
                Invalid(f"Creme failed on this record ({name}); its log tells more.")
            )
        else:
            self.done[index] = (kind, done)

    def _read_back(self, rows: Mapping[int, DoneWrite]) -> None:
        """What is there now becomes the outcome; the keys of refused writes are given back."""
        there: dict[str, set[int]] = defaultdict(set)
        for kind, done in self.done.values():
            if not done.gone:
                there[kind.name].add(done.pk)
        records = {name: resource(name).read(self.session, ids) for name, ids in there.items()}
        for index, (kind, done) in self.done.items():
            after = (
                {"gone": reading.gone(kind, done.pk, trashed=True)}
                if done.gone
                else {"record": records[kind.name][done.pk]}
            )
            self.outcomes[index] = {"kind": "written", "after": after}
            rows[index].outcome = json.dumps(self.outcomes[index], ensure_ascii=False)
        DoneWrite.objects.bulk_update([rows[index] for index in self.done], ["outcome"])
        unused = [row.pk for index, row in rows.items() if index not in self.done]
        if unused:
            DoneWrite.objects.filter(pk__in=unused).delete()


def _locked(queryset) -> None:
    """Lock rows in one order, so that two calls never wait for each other crosswise."""
    list(queryset.select_for_update().order_by("pk").values_list("pk"))


def _forget_open_lines() -> None:
    """Creme goes on writing to one history line per record and request: each write gets its own."""
    cache = get_per_request_cache()
    for key in [k for k in cache if str(k).startswith("creme_core-history_lines-")]:
        del cache[key]


def _named(wish: Wish) -> dict[str, str]:
    return {"key": wish["key"], "kind": wish["kind"], "resource": wish["resource"]}


def _repeated(session: Session, row: DoneWrite, wish: Wish) -> Told:
    if (row.kind, row.resource) != (wish["kind"], wish["resource"]):
        return _refusal(
            Invalid(f"The key {row.key} belongs to another write ({row.kind} {row.resource}).")
        )
    outcome = json.loads(row.outcome)
    return outcome if "kind" in outcome else _as_it_is(session, outcome["id"], row.resource)


def _as_it_is(session: Session, pk: int, name: str) -> Told:
    """The outcome of a creation so old that only the id of its record was kept."""
    found = reading.fetch(session, resource(name), [str(pk)])
    after = {"record": found["records"][0]} if found["records"] else {"gone": found["gone"][0]}
    return {"kind": "written", "after": after}


def _refusal(error: Refusal) -> Told:
    return {
        "kind": "refused",
        "reason": error.reason,
        "message": error.message,
        "fields": list(error.fields),
    }


def _sentence(error: Exception) -> str:
    return str(error.args[0]) if error.args else "Creme refused without a reason."
