"""Creme CRM as a connector, over HTTP with the add-on `koppel_creme` inside Creme.

Creme's own history is the feed, every key is remembered inside Creme for ever, and versions are
digests of the content. So changes and deletes come from a log, a repeated write is recognised
natively, and an expected version is compared under a lock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import httpx
import msgspec

from koppel import typed
from koppel.connectors.base import (
    Capabilities,
    ChangePage,
    Choice,
    Cursor,
    FieldInfo,
    Fields,
    Gone,
    Health,
    IdPage,
    Option,
    Outcome,
    Record,
    Resource,
    Unknown,
    Write,
)
from koppel.connectors.creme import wire
from koppel.connectors.http import HttpSession, Patience, Reply, ReplyLost, Timeouts, Unauthorized
from koppel.errors import Defect, NeedsUser, TryLater

PARTNERS = ("persons.organisation", "persons.contact")
SALES = (
    "products.product",
    "products.service",
    "billing.quote",
    "billing.salesorder",
    "billing.invoice",
    "billing.creditnote",
    "opportunities.opportunity",
)
"""Only where Creme's apps for them are installed; whoever couples no sales does without."""
READ_ONLY = frozenset(("opportunities.opportunity",))
RESOURCES = (*PARTNERS, *SALES)
_PAGES = {"salesorder": "sales_order", "creditnote": "credit_note"}
"""What Creme calls a model in the address of its page, where that is another word."""
MAX_FETCH = 200
MAX_WRITE = 100
_SWEEP = 1000
_TOKEN_REMEDY = (
    "Make a new token with Creme's command koppel_token and enter it in this connection's settings"
)
_ADDON_REMEDY = "Install the add-on koppel-creme in Creme, or correct the address"
_OWN_STATUSES = (400, 403, 404, 405, 409, 413)

T = TypeVar("T")


class CremeConnector:
    """A connection to one Creme. `timeout` is the wait for an answer, in seconds."""

    options: tuple[Option, ...] = (
        Option(
            name="url",
            label="Address of Creme",
            required=True,
            help="As in the browser, like https://crm.example.com",
        ),
        Option(
            name="token",
            label="Token",
            required=True,
            secret=True,
            help="From Creme's command koppel_token; all is done as the user behind it",
        ),
        Option(name="timeout", label="Longest wait for an answer, in seconds", default="60"),
        Option(
            name="hint_secret",
            label="Secret that signs hints",
            secret=True,
            help="The same as KOPPEL_HINT_SECRET in Creme's settings; hints are refused without it",
        ),
    )

    def __init__(
        self,
        url: str,
        token: str,
        timeout: float = 60.0,
        *,
        name: str = "creme",
        patience: Patience | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.name = name
        self._session = HttpSession(
            url,
            name=name,
            headers={"Authorization": f"Bearer {token}"},
            secrets=(token,),
            timeouts=Timeouts(read=timeout),
            patience=patience,
            login_remedy=_TOKEN_REMEDY,
            dump=wire.dump,
            transport=transport,
        )
        self._described: dict[str, Resource] | None = None

    def link(self, resource: str, id: str) -> str | None:
        """The page of a record in Creme, as `Linking` says."""
        app, _, model = resource.partition(".")
        page = _PAGES.get(model, model)
        return f"{self._session.address}/{app}/{page}/{id}"

    @classmethod
    def from_config(cls, config: Mapping[str, str]) -> CremeConnector:
        """A connector from its settings; `NeedsUser` for a timeout that is no number."""
        text = config.get("timeout") or "60"
        try:
            timeout = float(text)
        except ValueError:
            timeout = 0.0
        if not 0 < timeout <= 3600:
            raise NeedsUser(
                f"{text!r} is no time in seconds",
                place="creme: timeout",
                remedy="Enter a number between 1 and 3600",
            )
        return cls(url=config["url"], token=config["token"], timeout=timeout)

    def __repr__(self) -> str:
        return f"CremeConnector({self._session.address})"

    @property
    def calls(self) -> int:
        """How many calls have gone out so far."""
        return self._session.calls

    def close(self) -> None:
        self._session.close()

    def check(self) -> Health:
        answer = self._get("health", {}, wire.HealthAnswer)
        messages = [*answer.messages, *self._missing(PARTNERS, answer)]
        return Health(
            ok=not messages,
            system=answer.system,
            version=answer.version,
            user=answer.user,
            messages=(*messages, *answer.notes, *self._missing(SALES, answer)),
        )

    def _missing(self, wanted: Sequence[str], answer: wire.HealthAnswer) -> list[str]:
        missing = [name for name in wanted if name not in answer.resources]
        if not missing:
            return []
        return [f"This Creme or its add-on ({answer.addon}) does not offer {', '.join(missing)}."]

    def capabilities(self, resource: str) -> Capabilities:
        self._known(resource)
        writable = resource not in READ_ONLY
        return Capabilities(
            changes="log",
            deletes="log",
            create_key="native",
            lock="version",
            actions=frozenset({"restore"} if writable else ()),
            webhooks="hint",
            writable=writable,
            max_fetch=MAX_FETCH,
            max_write=MAX_WRITE,
        )

    def describe(self) -> Sequence[Resource]:
        answer = self._get("describe", {}, wire.DescribeAnswer)
        self._described = {
            told.name: wire.resource(told) for told in answer.resources if told.name in RESOURCES
        }
        return tuple(self._described.values())

    def now(self, resource: str) -> Cursor:
        self._known(resource)
        return self._get("now", {"resource": resource}, wire.NowAnswer).cursor

    def changes(self, resource: str, since: Cursor | None, limit: int) -> ChangePage:
        self._known(resource)
        params = {"resource": resource, "limit": limit} | ({"since": since} if since else {})
        return wire.change_page(self._get("changes", params, wire.ChangesAnswer), since)

    def ids(self, resource: str, page: str | None = None) -> IdPage:
        self._known(resource)
        params = {"resource": resource, "after": page or "0", "limit": _SWEEP}
        return wire.id_page(self._get("ids", params, wire.IdsAnswer))

    def fetch(self, resource: str, ids: Sequence[str]) -> Mapping[str, Record | Gone]:
        self._known(resource)
        found: dict[str, Record | Gone] = {}
        wanted = list(dict.fromkeys(ids))
        for start in range(0, len(wanted), MAX_FETCH):
            some = wanted[start : start + MAX_FETCH]
            answer = self._post("fetch", {"resource": resource, "ids": some}, wire.FetchAnswer)
            for record in self._records(resource, answer.records):
                found[record.id] = record
            found.update((told.id, wire.gone(told)) for told in answer.gone)
            lost = [id for id in some if id not in found]
            if lost:
                raise self._misread(f"no answer for {resource} {lost[0]}")
        return {id: found[id] for id in wanted}

    def find(self, resource: str, match: Fields, limit: int = 5) -> Sequence[Record]:
        self._known(resource)
        payload = {"resource": resource, "match": match, "limit": limit}
        answer = self._post("find", payload, wire.FindAnswer)
        return tuple(self._records(resource, answer.records))

    def write(self, batch: Sequence[Write]) -> Sequence[Outcome]:
        for write in batch:
            # Asked for beforehand, so that no failure of this can hide what a write did.
            self._known(write.resource)
            self._fields(write.resource)
        outcomes: list[Outcome] = []
        for start in range(0, len(batch), MAX_WRITE):
            some = batch[start : start + MAX_WRITE]
            try:
                outcomes += self._write(some)
            except TryLater as later:
                if not outcomes:
                    raise
                outcomes += [Unknown(message=later.message)] * len(some)
        return tuple(outcomes)

    def _write(self, batch: Sequence[Write]) -> list[Outcome]:
        payload = {"writes": [wire.wish(write) for write in batch]}
        try:
            answer = self._post("write", payload, wire.WriteAnswer, effect=True)
        except ReplyLost as lost:
            return [Unknown(message=lost.message)] * len(batch)
        if len(answer.outcomes) != len(batch):
            raise self._misread(f"{len(answer.outcomes)} outcomes for {len(batch)} writes")
        outcomes: list[Outcome] = []
        for write, told in zip(batch, answer.outcomes, strict=True):
            try:
                outcomes.append(self._outcome(write, told))
            except TryLater as later:
                outcomes.append(Unknown(message=later.message))
        return outcomes

    def recover(self, write: Write) -> Outcome | None:
        self._known(write.resource)
        answer = self._post("recover", {"write": wire.wish(write)}, wire.RecoverAnswer)
        return None if answer.outcome is None else self._outcome(write, answer.outcome)

    # Beside records.

    def value_lists(self) -> Mapping[str, Sequence[Choice]]:
        """The lists that people choose from, by name; their values are names, codes or rates."""
        answer = self._get("lists", {}, wire.ListsAnswer)
        return {
            name: tuple(Choice(value, value) for value in values)
            for name, values in answer.lists.items()
        }

    def keep_values(self, name: str, values: Sequence[Choice]) -> Sequence[str]:
        """Add to a list what it lacks; the values that are new. `NeedsUser` without the right."""
        told = [{"code": one.value, "label": one.label} for one in values]
        payload = {"list": name, "values": told}
        return tuple(self._post("keep", payload, wire.KeepAnswer, effect=True).made)

    # The wire.

    def _known(self, resource: str) -> None:
        if resource not in RESOURCES:
            raise NeedsUser(
                f"Creme has no resource {resource!r} for Koppel",
                place=self.name,
                remedy=f"There are: {', '.join(RESOURCES)}",
            )

    def _get(self, path: str, params: Mapping[str, Any], answer: type[T]) -> T:
        reply = self._session.get(f"{wire.API}/{path}", params=params, expected=_OWN_STATUSES)
        return self._answer(reply, answer)

    def _post(self, path: str, payload: Any, answer: type[T], *, effect: bool = False) -> T:
        reply = self._session.request(
            "POST",
            f"{wire.API}/{path}",
            effect=effect,
            payload=payload,
            expected=_OWN_STATUSES,
        )
        return self._answer(reply, answer)

    def _answer(self, reply: Reply, answer: type[T]) -> T:
        if reply.status >= 400:
            raise self._refused(reply)
        try:
            return typed.convert(reply.body, answer)
        except msgspec.ValidationError as error:
            raise self._misread(str(error)) from None

    def _refused(self, reply: Reply) -> Exception:
        try:
            trouble = typed.convert(reply.body, wire.ErrorAnswer).error
        except msgspec.ValidationError:
            if reply.status == 403:
                return Unauthorized(
                    f"{self._session.address} denies us this call (HTTP 403)",
                    status=403,
                    place=self.name,
                    remedy="Check what stands between Koppel and Creme",
                )
            return NeedsUser(
                f"{self._session.address} has no add-on of Koppel (HTTP {reply.status})",
                place=self.name,
                remedy=_ADDON_REMEDY,
            )
        message = self._session.redact(trouble.message)
        match trouble.code:
            case "forbidden" | "hidden":
                return Unauthorized(
                    message,
                    status=reply.status,
                    place=self.name,
                    remedy="Give the role of Koppel's user in Creme this right",
                )
            case "unknown_resource" | "unknown_field":
                return NeedsUser(
                    message,
                    place=self.name,
                    remedy="Update the add-on, or take the name out of the mapping",
                )
            case "bad_cursor":
                return NeedsUser(
                    message,
                    place=self.name,
                    remedy="Let this connection read all changes anew, from the beginning",
                )
            case _:
                return Defect(f"Creme's add-on refused the call: {message}", place=self.name)

    def _misread(self, what: str) -> Defect:
        return Defect(
            f"Creme's add-on answered otherwise than agreed: {what}",
            place=self.name,
            remedy="Bring Koppel and its add-on in Creme to versions that fit",
        )

    def _records(self, resource: str, told: Sequence[wire.WireRecord]) -> list[Record]:
        return self._typed(resource, lambda known: [wire.record(one, known) for one in told])

    def _outcome(self, write: Write, told: wire.WireOutcome) -> Outcome:
        return self._typed(write.resource, lambda known: wire.outcome(told, known))

    def _typed(self, resource: str, read: Callable[[Mapping[str, FieldInfo]], T]) -> T:
        """Read with the description at hand; a field that is new in Creme is asked for once."""
        try:
            try:
                return read(self._fields(resource))
            except wire.UnknownField:
                self._described = None
                return read(self._fields(resource))
        except wire.Misread as error:
            raise self._misread(str(error)) from None

    def _fields(self, resource: str) -> Mapping[str, FieldInfo]:
        if self._described is None:
            self.describe()
        described = (self._described or {}).get(resource)
        if described is None:
            raise NeedsUser(
                f"the add-on in Creme does not offer {resource}",
                place=self.name,
                remedy="Update the add-on koppel-creme in Creme",
            )
        return {info.name: info for info in described.fields}
