"""Writing parties in batches; one outcome for each write, and one refusal stops no other.

* All creates of a chunk go out in one call, all updates in another. Tryton works a call in one
  transaction, so where it refuses a call, nothing was written, and the chunk is halved until the
  refusal stands alone. The same where the database rolls back a call that is too large for it.
* With the server's module `koppel` a create answers with the records as they are then: no second
  call reads them back.
* A create carries its key (`koppel_key`, unique in the database): a repeat is refused there, and
  then answered with the record that the first one made. Without the server's module `koppel` there
  is no key: then the one record that holds all fields of the create is taken for it.
* An update reads first, compares the version, and sends Tryton the time stamps of the party and of
  all its children, so that Tryton itself refuses what was changed in between.
* An update that changes nothing is not sent.
* A lost answer makes all writes of its call `Unknown`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from koppel.connectors.base import (
    Act,
    Create,
    Delete,
    Gone,
    Outcome,
    Reason,
    Record,
    Refused,
    Unknown,
    Update,
    Write,
    Written,
)
from koppel.connectors.http import ReplyLost, Unauthorized
from koppel.connectors.tryton.reading import Reader
from koppel.connectors.tryton.records import Snapshot
from koppel.connectors.tryton.rpc import (
    CallRefused,
    ChangedMeanwhile,
    Overloaded,
    TrytonSession,
    WarningRaised,
)
from koppel.connectors.tryton.schema import CONTACT, PARTY, Schema
from koppel.connectors.tryton.tables import ValueTables
from koppel.connectors.tryton.values import Builder, FieldRefused, holds, ibans
from koppel.errors import TryLater

MAX_WRITE = 80
"""SQLite 3.40 gives up on a create of 90 records with children in one call; 80 pass."""

_WARNINGS = 5
_BUSY_WAITS = (0.1, 0.3, 0.9)
_T = TypeVar("_T")
Outcomes = dict[int, Outcome]


class Writer:
    """Writes the parties of one session. `sleep` waits out a busy database."""

    def __init__(
        self,
        session: TrytonSession,
        reader: Reader,
        schema: Schema,
        tables: ValueTables,
        *,
        hard_delete: bool,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._session = session
        self._reader = reader
        self._schema = schema
        self._tables = tables
        self._hard = hard_delete
        self._sleep = sleep
        self._at_once = True

    def write(self, batch: Sequence[Write]) -> list[Outcome]:
        """One outcome for each write, in the same order."""
        outcomes: Outcomes = {}
        try:
            for chunk in _chunks(batch):
                self._run(chunk, outcomes)
        except TryLater as error:
            if not outcomes:
                raise
            for index in range(len(batch)):
                outcomes.setdefault(index, Unknown(message=str(error)))
        return [outcomes[index] for index in range(len(batch))]

    def recover(self, write: Write) -> Outcome | None:
        """What became of a write whose answer was lost; None where it did not happen."""
        if isinstance(write, Create):
            made = self._made([write])[0]
            return None if made is None else Written(after=made)
        seen = self._reader.fetch(write.resource, [write.id])[write.id]
        if isinstance(write, Delete):
            return Written(after=seen) if isinstance(seen, Gone) else None
        if isinstance(seen, Gone) or isinstance(write, Act):
            return None
        if seen.version != write.expected and holds(seen, write.fields):
            return Written(after=seen)
        return None

    def _run(self, chunk: Sequence[tuple[int, Write]], outcomes: Outcomes) -> None:
        creates = [(index, write) for index, write in chunk if isinstance(write, Create)]
        updates = [(index, write) for index, write in chunk if isinstance(write, Update)]
        deletes = [(index, write) for index, write in chunk if isinstance(write, Delete)]
        for index, write in chunk:
            if isinstance(write, Act):
                message = f"parties have no action {write.action!r}"
                outcomes[index] = Refused(reason="invalid", message=message)
        if not self._schema.module:
            creates = self._without_made(creates, outcomes)
        self._create(creates, outcomes)
        self._changes(updates, outcomes)
        self._changes(deletes, outcomes)

    # Creates.

    def _create(
        self, items: Sequence[tuple[int, Create]], outcomes: Outcomes, *, fresh: bool = True
    ) -> None:
        """`fresh`: nobody has asked yet whether some of these were made before."""
        builder = self._builder([write for _, write in items])
        ready: list[tuple[int, Create]] = []
        values: list[dict[str, Any]] = []
        for index, write in items:
            try:
                values.append(builder.create(write.resource, write.key, write.fields))
                ready.append((index, write))
            except FieldRefused as refused:
                outcomes[index] = _invalid(refused)
        if not ready:
            return
        try:
            rows = self._make(ready[0][1].resource, values)
        except ReplyLost as lost:
            outcomes.update({index: Unknown(message=lost.message) for index, _ in ready})
        except CallRefused as refused:
            self._create_refused(ready, refused, outcomes, fresh)
        else:
            ids = [str(row["id"]) for row in rows]
            self._read_back(list(zip(ready, ids, strict=True)), outcomes, rows)

    def _make(self, resource: str, values: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One call that creates; with the module `koppel` the rows come back whole."""
        alone = len(values) == 1
        if self._schema.module and self._at_once:
            names = self._reader.wanted(resource)
            try:
                rows: list[dict[str, Any]] = self._effect(
                    "koppel_create", values, names, alone=alone
                )
                return rows
            except Unauthorized as error:
                if error.status != 403:
                    raise
                # An older module has no such method; Tryton refused before it did anything.
                self._at_once = False
        return [{"id": number} for number in self._effect("create", values, alone=alone)]

    def _create_refused(
        self,
        items: Sequence[tuple[int, Create]],
        refused: CallRefused,
        outcomes: Outcomes,
        fresh: bool,
    ) -> None:
        """Nothing of the call was written: find those made before, then the one to blame."""
        left = self._without_made(items, outcomes) if fresh else items
        if len(left) < len(items):
            self._create(left, outcomes, fresh=False)
        elif len(left) > 1:
            for half in _halves(left):
                self._create(half, outcomes, fresh=False)
        else:
            index, write = left[0]
            code = write.fields.get("code")
            if code and self._reader.has_code(code):
                outcomes[index] = Refused(
                    reason="duplicate", message=refused.message, fields=("code",)
                )
            else:
                outcomes[index] = self._refusal(write, refused)

    def _made(self, writes: Sequence[Create]) -> list[Record | Gone | None]:
        """For each create the record that it made before, as far as Tryton can tell."""
        resource = writes[0].resource
        if not self._schema.module:
            return list(self._reader.by_fields(resource, [write.fields for write in writes]))
        made = self._reader.by_keys(resource, [write.key for write in writes])
        return [made.get(write.key) for write in writes]

    def _without_made(
        self, items: Sequence[tuple[int, Create]], outcomes: Outcomes
    ) -> list[tuple[int, Create]]:
        """The creates that are still to be made; the others get their outcome."""
        if not items:
            return []
        left = []
        for (index, write), made in zip(
            items, self._made([write for _, write in items]), strict=True
        ):
            if made is None:
                left.append((index, write))
            else:
                outcomes[index] = Written(after=made)
        return left

    # Updates and deletes.

    def _changes(self, items: Sequence[tuple[int, Update | Delete]], outcomes: Outcomes) -> None:
        """Updates or deletes, never both at once."""
        if not items:
            return
        found = self._present(items, outcomes)
        builder = self._builder([write for _, write in items])
        ready: list[tuple[int, Update | Delete]] = []
        kept: list[tuple[int, Update | Delete]] = []
        args: list[Any] = []
        stamps: dict[str, str] = {}
        for index, write in items:
            if index not in found:
                continue
            try:
                values = self._values(builder, write, found[index])
            except FieldRefused as refused:
                outcomes[index] = _invalid(refused)
                continue
            if values is not None and not values:
                kept.append((index, write))
                continue
            ready.append((index, write))
            args += [[int(write.id)]] if values is None else [[int(write.id)], values]
            stamps.update(found[index].stamps if write.expected is not None else {})
        self._send(ready, args, stamps, outcomes)
        self._read_back([(item, item[1].id) for item in kept], outcomes)

    def _present(
        self, items: Sequence[tuple[int, Update | Delete]], outcomes: Outcomes
    ) -> dict[int, Snapshot]:
        """The records as they are now, with the fields to be written, where the write may go on."""
        ids = [write.id for _, write in items]
        resource = items[0][1].resource
        names = {name for _, write in items if isinstance(write, Update) for name in write.fields}
        found = self._reader.living(resource, ids, names)
        gone = self._reader.gone(resource, [id for id in ids if id not in found])
        present = {}
        for index, write in items:
            snapshot = found.get(write.id)
            if snapshot is None:
                outcomes[index] = _not_there(write, gone[write.id])
            elif write.expected is not None and write.expected != snapshot.record.version:
                outcomes[index] = _stale(write)
            else:
                present[index] = snapshot
        return present

    def _values(
        self, builder: Builder, write: Update | Delete, snapshot: Snapshot
    ) -> dict[str, Any] | None:
        """What to write; None for a true delete."""
        if isinstance(write, Update):
            return builder.update(write.fields, snapshot.record, snapshot.relations)
        return None if self._hard else {"active": False}

    def _send(
        self,
        ready: Sequence[tuple[int, Update | Delete]],
        args: Sequence[Any],
        stamps: Mapping[str, str],
        outcomes: Outcomes,
    ) -> None:
        if not ready:
            return
        deleting = isinstance(ready[0][1], Delete)
        alone = len(ready) == 1
        method = "write"
        if deleting and self._hard:
            method, args = "delete", [[number for ids in args for number in ids]]
        try:
            self._effect(method, *args, stamps=stamps, alone=alone, confirm=not deleting)
        except ReplyLost as lost:
            outcomes.update({index: Unknown(message=lost.message) for index, _ in ready})
        except CallRefused as refused:
            if not alone:
                for half in _halves(ready):
                    self._changes(half, outcomes)
            else:
                outcomes[ready[0][0]] = self._refusal(ready[0][1], refused)
        else:
            self._read_back([(item, item[1].id) for item in ready], outcomes)

    # Together.

    def _builder(self, writes: Sequence[Write]) -> Builder:
        wanted: set[str] = set()
        for write in writes:
            if not isinstance(write, Delete):
                wanted |= ibans(write.fields)
        return Builder(self._schema, self._tables, self._reader.accounts(sorted(wanted)))

    def _effect(
        self,
        method: str,
        *args: Any,
        stamps: Mapping[str, str] | None = None,
        alone: bool,
        confirm: bool = True,
    ) -> Any:
        """One changing call. A busy database is waited out; a call that is too large for it is
        refused so that it can be halved, unless it is `alone`: one record, nothing to halve.

        `confirm`: answer Tryton's questions ("are you sure?") with yes.
        """
        waits = list(_BUSY_WAITS)
        asked = 0
        while True:
            context = {"_timestamp": dict(stamps)} if stamps else {}
            try:
                return self._session.call(PARTY, method, *args, effect=True, context=context)
            except WarningRaised as question:
                asked += 1
                if not confirm or asked > _WARNINGS:
                    raise
                self._session.call("res.user.warning", "skip", question.name, False, effect=True)
            except Overloaded as busy:
                if not alone and (busy.too_large or not waits):
                    raise
                if not waits:
                    raise TryLater(busy.message, place=self._session.name) from None
                self._sleep(waits.pop(0))

    def _read_back(
        self,
        done: Sequence[tuple[tuple[int, Write], str]],
        outcomes: Outcomes,
        rows: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """`rows`: what the write's own answer said of the records already, if it did."""
        if not done:
            return
        resource = done[0][0][1].resource
        try:
            whole = [row for row in rows if len(row) > 1]
            found: dict[str, Record | Gone] = {}
            if whole:
                found.update(self._reader.made(resource, whole))
            left = [id for _, id in done if id not in found]
            if left:
                found.update(self._reader.fetch(resource, left))
        except TryLater as error:
            message = f"it was written, but could not be read back: {error.message}"
            outcomes.update({item[0]: Unknown(message=message) for item, _ in done})
            return
        outcomes.update({index: Written(after=found[id]) for (index, _), id in done})

    def _refusal(self, write: Write, refused: CallRefused) -> Refused:
        if isinstance(refused, ChangedMeanwhile):
            return _stale(write)
        reason: Reason = "in_use" if isinstance(write, Delete) else "invalid"
        fields = () if isinstance(write, Delete) else self._blamed(write.fields, refused.message)
        return Refused(reason=reason, message=refused.message, fields=fields)

    def _blamed(self, fields: Mapping[str, Any], message: str) -> tuple[str, ...]:
        """The fields of the write whose label or value Tryton's sentence quotes."""
        blamed = []
        for name, value in fields.items():
            if name in self._schema.children:
                leaves = self._schema.children[name].leaves
                for item in value or ():
                    blamed += [
                        f"{name}.{key}"
                        for key, part in item.items()
                        if key in leaves and _quoted(message, leaves[key].info.label, part)
                    ]
            elif name in self._schema.leaves:
                if _quoted(message, self._schema.leaves[name].info.label, value):
                    blamed.append(name)
            elif any(iban in "".join(message.split()) for iban in ibans({name: value})):
                blamed.append(name)
        # Nearly every sentence of Tryton quotes the name of the party that it is about.
        named = [name for name in dict.fromkeys(blamed) if name != "name"]
        return tuple(named or dict.fromkeys(blamed))


def _quoted(message: str, label: str, value: Any) -> bool:
    if f'"{label}"' in message:
        return True
    return isinstance(value, str) and len(value) > 1 and f'"{value}"' in message


def _not_there(write: Update | Delete, gone: Gone) -> Outcome:
    if isinstance(write, Delete) and gone.trashed:
        return Written(after=gone)
    kind = "contact" if write.resource == CONTACT else "party"
    return Refused(reason="missing", message=f"Tryton has no active {kind} {write.id}")


def _stale(write: Write) -> Refused:
    id = "" if isinstance(write, Create) else f" {write.id}"
    return Refused(reason="stale", message=f"party{id} was changed in Tryton meanwhile")


def _invalid(refused: FieldRefused) -> Refused:
    return Refused(reason="invalid", message=refused.message, fields=refused.fields)


def _halves(items: Sequence[_T]) -> tuple[Sequence[_T], Sequence[_T]]:
    middle = len(items) // 2
    return items[:middle], items[middle:]


def _chunks(batch: Sequence[Write]) -> Iterator[list[tuple[int, Write]]]:
    """Parts of the batch: of one resource, and no record and no key occurs twice in it."""
    chunk: list[tuple[int, Write]] = []
    seen: set[str] = set()
    for index, write in enumerate(batch):
        mark = f"key {write.key}" if isinstance(write, Create) else f"id {write.id}"
        other = bool(chunk) and chunk[0][1].resource != write.resource
        if other or mark in seen or len(chunk) == MAX_WRITE:
            yield chunk
            chunk, seen = [], set()
        chunk.append((index, write))
        seen.add(mark)
    if chunk:
        yield chunk
