"""Webhooks out: programs that want to know are told what happened, signed, until they have it.

What happened is found in the store itself, from the time on up to which it was looked at for an
address; so nothing is lost where Koppel was off, and an event is one delivery however often it is
found. A message says *that* something happened, by numbers and the code's own words: what it was
about is asked for over the interface, by whoever may. Each is signed as what systems send to
Koppel: `Koppel-Timestamp`, and in `Koppel-Signature` an HMAC-SHA256 over time, method, path, body.

Messages go to public addresses over HTTPS, and elsewhere only where the host is named in
`KOPPEL_PRIVATE_HOSTS`. No redirect is followed, and of the answer only the status is read.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.db import DatabaseError

from koppel import __version__
from koppel.connectors.hosts import HostCheck, is_named
from koppel.errors import KoppelError, NeedsUser
from koppel.store import Store
from koppel.store.away import away
from koppel.store.models import Alarm, Conflict, Run
from koppel.store.order_models import OrderLink
from koppel.store.webhooks import Event
from koppel.store.work_models import Webhook, WebhookMessage

logger = logging.getLogger(__name__)

EVENTS = ("run.ended", "conflict.opened", "plan.held", "order.changed", "alarm.raised")
TEST = "test"
WAITS = (10.0, 60.0, 300.0, 1800.0, 7200.0, 21_600.0, 43_200.0, 86_400.0)
"""Seconds until the next try after each one that failed; after the last one it is given up."""
OVERLAP = timedelta(minutes=2)
"""Events are looked for so much further back: a transaction may have ended late."""
AT_ONCE = 50
"""Messages of one round."""
MOST_FOUND = 1000
"""Events of a kind that one round finds; the next round finds the others."""
TIMEOUT = httpx.Timeout(10.0, connect=5.0)
LEASE = "webhooks"
PAUSE = 2.0
"""Seconds between two rounds."""


def checked(address: str, events: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """The address and the events, as they can be used. `NeedsUser` says what is wrong."""
    chosen = tuple(dict.fromkeys(events)) or EVENTS
    for one in chosen:
        if one not in EVENTS:
            raise NeedsUser(
                f"there is no event '{one}'", remedy=f"Choose among {', '.join(EVENTS)}"
            )
    parts = urlsplit(address.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise NeedsUser(
            "this is no address for messages",
            place=parts.hostname or "",
            remedy="Write it as https://host/path, without a name or password in it",
        )
    _guard(address.strip())
    return address.strip(), chosen


def _guard(address: str) -> None:
    """Raises `NeedsUser` where messages must not go to that address."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme != "https" and not is_named(host):
        raise NeedsUser(
            "messages leave the company unencrypted over http",
            place=host,
            remedy="Use https, or name the host in KOPPEL_PRIVATE_HOSTS",
        )
    HostCheck(host, "webhook", named_only=True).check()


def subscribe(
    store: Store, address: str, events: Iterable[str], *, user: str, secret: str = ""
) -> tuple[Webhook, str]:
    """A new webhook and its secret, which is shown this once."""
    address, chosen = checked(address, events)
    secret = secret or secrets.token_urlsafe(32)
    if len(secret) < 16:
        raise NeedsUser("the secret is too short", remedy="Give at least 16 characters")
    row = store.webhooks.add(address, chosen, secret, by=user)
    store.audit_log.write(user, "add webhook", f"{row.id}", host=_host(address), events=chosen)
    return row, secret


def unsubscribe(store: Store, number: int, *, user: str) -> None:
    """Forget a webhook."""
    row = store.webhooks.remove(number)
    store.audit_log.write(user, "remove webhook", f"{number}", host=_host(row.address))


def _host(address: str) -> str:
    return urlsplit(address).hostname or ""


# What happened.


def collect(store: Store) -> int:
    """Line up what happened since, for everybody who wants to know. How many deliveries."""
    many = 0
    for row in store.webhooks.all():
        if row.stopped:
            continue
        now = store.clock()
        since = max(row.made_at, row.seen_at - OVERLAP)
        found = list(_happened(store, row.events, since))
        full = [events for events in found if len(events) >= MOST_FOUND]
        until = min((events[-1][3] for events in full), default=now)
        many += store.webhooks.line_up(row, [one for events in found for one in events], until)
    return many


def _happened(store: Store, kinds: Iterable[str], since: datetime) -> Iterator[list[Event]]:
    for kind in kinds:
        find = _FIND.get(kind)
        if find is not None:
            yield [_event(store, kind, *one) for one in find(since)]


_Found = tuple[str, datetime, Mapping[str, Any]]
"""Key, when, what is told."""


def _event(store: Store, kind: str, key: str, at: datetime, told: Mapping[str, Any]) -> Event:
    body = json.dumps({"event": kind, "id": f"{kind}:{key}", "at": at.isoformat(), **told})
    return kind, f"{kind}:{key}", body, at


def _runs(since: datetime) -> Iterator[_Found]:
    for run in Run.objects.filter(ended_at__gte=since).order_by("ended_at")[:MOST_FOUND]:
        if run.ended_at is not None:
            told = {"run": run.id, "kind": run.kind, "state": run.state, "trigger": run.trigger,
                    "writes": run.counts.get("writes", 0)}  # fmt: skip
            yield f"{run.id}:{run.state}", run.ended_at, told


def _held(since: datetime) -> Iterator[_Found]:
    rows = Run.objects.filter(state="held", started_at__gte=since - timedelta(days=1))
    for run in rows.order_by("id")[:MOST_FOUND]:
        told = {"run": run.id, "kind": run.kind, "trigger": run.trigger}
        yield f"{run.id}", max(run.started_at, since), told


def _conflicts(since: datetime) -> Iterator[_Found]:
    for row in Conflict.objects.filter(opened_at__gte=since).order_by("opened_at")[:MOST_FOUND]:
        told = {"conflict": row.id, "entity": row.entity, "field": row.field,
                "coupling": row.coupling}  # fmt: skip
        yield f"{row.id}", row.opened_at, told


def _orders(since: datetime) -> Iterator[_Found]:
    for row in OrderLink.objects.filter(changed_at__gte=since).order_by("changed_at")[:MOST_FOUND]:
        told = {"order": row.id, "crm_id": row.crm_id, "erp_id": row.erp_id,
                "number": row.number, "state": row.state}  # fmt: skip
        yield f"{row.id}:{row.state}:{row.changed_at.isoformat()}", row.changed_at, told


def _alarms(since: datetime) -> Iterator[_Found]:
    rows = Alarm.objects.filter(at__gte=since).exclude(kind=_KIND).order_by("at")
    for row in rows[:MOST_FOUND]:
        told = {"alarm": row.id, "kind": row.kind, "subject": row.subject, "state": row.state}
        yield f"{row.id}:{row.at.isoformat()}", row.at, told


_KIND = "webhook"
"""The kind of the alarms about webhooks themselves: nobody is told of those by a webhook."""

_FIND: Mapping[str, Callable[[datetime], Iterator[_Found]]] = {
    "run.ended": _runs,
    "plan.held": _held,
    "conflict.opened": _conflicts,
    "order.changed": _orders,
    "alarm.raised": _alarms,
}


# Sending.


def signed(secret: str, address: str, body: bytes, at: datetime) -> dict[str, str]:
    """The headers that prove where a message comes from, and when it was sent."""
    stamp = str(int(at.timestamp()))
    path = urlsplit(address).path or "/"
    made = hmac.new(secret.encode(), f"{stamp}.POST {path}\n".encode() + body, hashlib.sha256)
    return {"Koppel-Timestamp": stamp, "Koppel-Signature": f"sha256={made.hexdigest()}"}


class Sender:
    """Sends what is due. `transport` stands in for the network in tests."""

    def __init__(self, store: Store, transport: httpx.BaseTransport | None = None) -> None:
        self._store = store
        self._transport = transport

    def round(self) -> int:
        """One message after the other; how many arrived.

        Of an address that does not answer no second message is tried in the same round.
        """
        arrived, away = 0, set()
        for row in self._store.webhooks.due(AT_ONCE):
            if row.webhook_id in away:
                continue
            status, message = self._post(row.webhook, row.event, row.key, row.body.encode())
            if status is None:
                away.add(row.webhook_id)
            arrived += self._settle(row, status, message)
        return arrived

    def test(self, hook: Webhook) -> tuple[int | None, str]:
        """Send a test message at once: (status, trouble)."""
        at = self._store.clock()
        body = json.dumps({"event": TEST, "id": f"{TEST}:{at.isoformat()}", "at": at.isoformat()})
        return self._post(hook, TEST, f"{TEST}:{at.isoformat()}", body.encode())

    def _settle(self, row: WebhookMessage, status: int | None, message: str) -> bool:
        webhooks = self._store.webhooks
        if status is not None and 200 <= status < 300:
            webhooks.sent(row, status)
            self._store.alarms.clear(_KIND, str(row.webhook_id), by="webhook")
            return True
        if status == 410:
            webhooks.failed(row, status, message, None)
            webhooks.stop(row.webhook, "the address says that it wants no more messages (410)")
            return False
        wait = WAITS[row.attempts] if row.attempts < len(WAITS) else None
        webhooks.failed(row, status, message, wait)
        if wait is None:
            text = f"Messages to {_host(row.webhook.address)} do not arrive: {message}"
            self._store.alarms.raise_(
                _KIND, str(row.webhook_id), text, remedy="koppel webhook deliveries"
            )
        return False

    def _post(self, hook: Webhook, event: str, key: str, body: bytes) -> tuple[int | None, str]:
        try:
            _guard(hook.address)
            secret = self._store.webhooks.secret(hook)
        except KoppelError as error:
            return None, str(error)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"Koppel/{__version__}",
            "Koppel-Event": event,
            "Koppel-WebhookMessage": key,
            **signed(secret, hook.address, body, self._store.clock()),
        }
        try:
            with (
                httpx.Client(
                    timeout=TIMEOUT, follow_redirects=False, transport=self._transport
                ) as client,
                client.stream("POST", hook.address, content=body, headers=headers) as answer,
            ):
                # The body is not read: it may be without end, and says nothing that counts.
                status = answer.status_code
        except httpx.TimeoutException:
            return None, "no answer in time"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return None, f"not reached: {type(error).__name__}"
        return status, "" if 200 <= status < 300 else f"answered with {status}"


class Bell:
    """The thread that finds what happened and tells it. Of several processes one at a time does."""

    def __init__(self, make_store: Callable[[], Store], *, pause: float = PAUSE) -> None:
        self._make_store = make_store
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="koppel-bell", daemon=True)
        self.last_error = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Finish the message that is under way, then stop. `timeout` in seconds."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        store = self._make_store()
        sender = Sender(store)
        try:
            while not self._stop.wait(self._pause):
                self._one(store, sender)
        finally:
            store.lease.give_back(LEASE)
            store.close()

    def _one(self, store: Store, sender: Sender) -> None:
        try:
            if store.webhooks.all() and store.lease.take(LEASE):
                collect(store)
                sender.round()
            self.last_error = ""
        except KoppelError as error:
            self.last_error = str(error)
            logger.warning("webhooks: %s", error)
        except DatabaseError as error:
            self.last_error = away(error).message
            logger.warning("webhooks: %s", self.last_error)
        except Exception as error:
            # A defect here must end neither the thread nor anything else; it is told, and repeated.
            self.last_error = f"a defect stopped the webhooks: {error}"
            logger.exception("a defect stopped the webhooks")
