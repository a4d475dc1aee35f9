"""Writing sales: an order made, changed, acted upon or deleted, each in one transaction of Tryton.

A create is recognised by its key, which the sale keeps. Tryton's questions ("are you sure?") are
refusals here, unless the action's `accept` names them: a credit limit is not Koppel's to overrule.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from koppel.connectors.base import (
    Act,
    Create,
    Delete,
    Fields,
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
from koppel.connectors.http import ReplyLost
from koppel.connectors.tryton.documents import Documents
from koppel.connectors.tryton.orders import EXPECTED, OrderBuilder
from koppel.connectors.tryton.rpc import (
    CallRefused,
    ChangedMeanwhile,
    Overloaded,
    RuleBroken,
    TrytonSession,
    WarningRaised,
)
from koppel.connectors.tryton.values import FieldRefused
from koppel.errors import TryLater

SALES = "sale.sale"
ACTIONS = frozenset({"quote", "confirm", "process", "cancel", "draft"})
ACCEPT = "accept"
_AFTER = {
    "quote": ("quotation",),
    "confirm": ("confirmed", "processing", "done"),
    "process": ("processing", "done"),
    "cancel": ("cancelled",),
    "draft": ("draft",),
}
"""The states in which an action can be said to have happened."""
_BUSY_WAITS = (0.1, 0.3, 0.9)
_QUESTIONS = 5


class Seller:
    """Writes the sales of one session. `sleep` waits out a busy database."""

    def __init__(
        self,
        session: TrytonSession,
        documents: Documents,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._session = session
        self._documents = documents
        self._orders = OrderBuilder(documents.codes)
        self._sleep = sleep

    def write(self, batch: Sequence[Write]) -> list[Outcome]:
        """One outcome for each write, in the same order."""
        outcomes: list[Outcome] = []
        for write in batch:
            try:
                outcomes.append(self._one(write))
            except TryLater as error:
                if not outcomes:
                    raise
                missing = len(batch) - len(outcomes)
                return outcomes + [Unknown(message=str(error)) for _ in range(missing)]
        return outcomes

    def recover(self, write: Write) -> Outcome | None:
        """What became of a write whose answer was lost; None where it did not happen."""
        if isinstance(write, Create):
            made = self._documents.find(SALES, {"koppel_key": write.key}, 1)
            return Written(after=made[0]) if made else None
        seen = self._documents.fetch(write.resource, [write.id])[write.id]
        if isinstance(write, Delete):
            return Written(after=seen) if isinstance(seen, Gone) else None
        if isinstance(seen, Gone) or seen.version == write.expected:
            return None
        if isinstance(write, Act):
            return Written(after=seen) if seen.fields["state"] in _AFTER[write.action] else None
        return Written(after=seen) if _holds(seen, write.fields) else None

    def compare(self, fields: Fields) -> Mapping[str, Any]:
        """What a create would make, as Tryton's module tells it; nothing is kept."""
        order = self._orders.build(fields, new=True)
        answer: Mapping[str, Any] = self._session.call(
            SALES, "koppel_transfer", None, order, False, effect=True
        )
        return answer

    def _one(self, write: Write) -> Outcome:
        if write.resource != SALES:
            return Refused(reason="forbidden", message=f"{write.resource} is Tryton's alone")
        try:
            match write:
                case Create():
                    return self._create(write)
                case Update():
                    order = self._orders.build(write.fields, new=False)
                    asked = self._documents.asked(SALES)
                    answer = self._call("koppel_amend", int(write.id), write.expected, order, asked)
                    return _differing(answer) or self._made(write.id, answer["whole"])
                case Act():
                    return self._act(write)
                case Delete():
                    self._call("koppel_remove", int(write.id), write.expected)
                    return Written(after=Gone(resource=SALES, id=write.id))
        except FieldRefused as refused:
            return Refused(reason="invalid", message=refused.message, fields=refused.fields)
        except ReplyLost as lost:
            return Unknown(message=lost.message)
        except CallRefused as refused:
            return self._refusal(write, refused)

    def _create(self, write: Create) -> Outcome:
        order = self._orders.build(write.fields, new=True)
        asked = self._documents.asked(SALES)
        answer = self._call("koppel_transfer", write.key, order, True, asked)
        return _differing(answer) or self._made(str(answer["id"]), answer["whole"])

    def _act(self, write: Act) -> Outcome:
        if write.action not in ACTIONS:
            message = f"sales have no action {write.action!r}"
            return Refused(reason="invalid", message=message)
        accepted = tuple(write.fields.get(ACCEPT) or ())
        asked = self._documents.asked(SALES)
        answer = self._call(
            "koppel_act", int(write.id), write.expected, write.action, asked, accepted=accepted
        )
        return self._made(write.id, answer)

    def _call(self, method: str, *args: Any, accepted: Sequence[str] = ()) -> Any:
        """One changing call; a busy database is waited out, accepted questions are answered."""
        waits, asked = list(_BUSY_WAITS), 0
        while True:
            try:
                return self._session.call(SALES, method, *args, effect=True)
            except WarningRaised as question:
                asked += 1
                if _kind(question) not in accepted or asked > _QUESTIONS:
                    raise
                self._session.call("res.user.warning", "skip", question.name, False, effect=True)
            except Overloaded as busy:
                if not waits:
                    raise TryLater(busy.message, place=self._session.name) from None
                self._sleep(waits.pop(0))

    def _made(self, id: str, answer: Mapping[str, Any] | None) -> Outcome:
        """The sale as the changing call itself read it back, or read where it could not."""
        told = self._documents.told(SALES, answer) if answer is not None else {}
        return Written(after=told[id]) if id in told else self._read_back(id)

    def _read_back(self, id: str) -> Outcome:
        try:
            return Written(after=self._documents.fetch(SALES, [id])[id])
        except (TryLater, ReplyLost) as error:
            return Unknown(message=f"it was written, but could not be read back: {error.message}")

    def _refusal(self, write: Write, refused: CallRefused) -> Outcome:
        if isinstance(write, Create):
            # Somebody else may have made it under the same key a moment ago.
            made = self.recover(write)
            return made or _said(refused, "invalid", write)
        seen = self._documents.fetch(SALES, [write.id])[write.id]
        if isinstance(seen, Gone):
            return Refused(reason="missing", message=f"Tryton has no sale {write.id}")
        if isinstance(refused, ChangedMeanwhile):
            message = f"sale {write.id} was changed in Tryton meanwhile"
            return Refused(reason="stale", message=message)
        frozen = isinstance(write, Update | Delete) and seen.fields["state"] != "draft"
        return _said(refused, "locked" if frozen else "invalid", write)


def _said(refused: CallRefused, reason: Reason, write: Write) -> Refused:
    fields: tuple[str, ...] = ()
    if isinstance(refused, WarningRaised):
        fields = (f"{ACCEPT}:{_kind(refused)}",)
    elif isinstance(write, Create | Update):
        fields = tuple(
            name for name in ("party", "lines") if name in write.fields and _about(refused, name)
        )
    return Refused(reason=reason, message=refused.message, fields=fields)


def _about(refused: CallRefused, name: str) -> bool:
    """Is it about the lines, or the customer? Tryton itself has but a sentence to tell by."""
    part = refused.part if isinstance(refused, RuleBroken) else ""
    return part == name or (not part and name == "party" and "customer" in refused.message)


def _kind(question: WarningRaised) -> str:
    """What Tryton asks: its name is a digest of the records, then the kind."""
    return question.name.rpartition(".")[2]


def _differing(answer: Mapping[str, Any]) -> Refused | None:
    """The refusal of an order that Tryton reckons otherwise."""
    found = answer["differences"]
    if not found:
        return None
    told = "; ".join(
        f"{what.replace('_', ' ')}: {_shown(expected)} against {_shown(reckoned)}"
        for what, expected, reckoned in found
    )
    names = {_blamed(what): None for what, _, _ in found}
    return Refused(
        reason="invalid",
        message=f"Tryton reckons otherwise (asked for, then Tryton's). {told}.",
        fields=tuple(names),
    )


def _blamed(what: str) -> str:
    if what in EXPECTED:
        return what
    return "lines" if what.startswith("line ") else "taxes"


def _shown(amount: Any) -> str:
    return f"{amount:f}" if isinstance(amount, Decimal) else "nothing"


def _holds(record: Record, wanted: Fields) -> bool:
    """Does the record say what was to be written?"""
    for name, value in wanted.items():
        now = record.fields.get(name)
        if name == "lines":
            if len(now or ()) != len(value):
                return False
            if not all(
                now_line.get(key) == one
                for line, now_line in zip(value, now or (), strict=True)
                for key, one in line.items()
                if key != "taxes"
            ):
                return False
        elif name != "taxes" and (now or None) != (value or None):
            return False
    return True
