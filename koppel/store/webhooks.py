"""Webhooks: who wants to be told of what, and what was sent to them. Durable: nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count

from koppel.errors import NeedsUser
from koppel.store.opening import Clock
from koppel.store.secrets import seal, unseal
from koppel.store.work_models import Webhook, WebhookMessage

MOST_WAITING = 5000
"""Deliveries that wait for one address; beyond that the oldest are given up."""
KEPT = 500
"""Ended deliveries of one address that are kept to look at."""

Event = tuple[str, str, str, datetime]
"""Kind, key (the same event has the same), body, when it happened."""


class WebhookStore:
    """Reads and writes webhooks and their deliveries."""

    def __init__(
        self, clock: Clock, key: bytes, find_key: Callable[[], bytes] | None = None
    ) -> None:
        self._clock = clock
        self._key = key
        self._find_key = find_key

    def add(self, address: str, events: Iterable[str], secret: str, *, by: str) -> Webhook:
        """A new one; it is told of what happens from now on."""
        now = self._clock()
        return Webhook.objects.create(
            address=address,
            events=list(events),
            secret=seal({"secret": secret}, self._newest_key()),
            made_at=now,
            seen_at=now,
            by=by,
        )

    def all(self) -> list[Webhook]:
        """All of them, in the order in which they were made."""
        return list(Webhook.objects.order_by("id"))

    def get(self, number: int) -> Webhook:
        """One; `NeedsUser` where there is none of that number."""
        row = Webhook.objects.filter(id=number).first() if number < 2**62 else None
        if row is None:
            raise NeedsUser(f"there is no webhook {number}", remedy="koppel webhook list")
        return row

    def secret(self, row: Webhook) -> str:
        """What signs the messages to it."""
        return unseal(bytes(row.secret), self._newest_key())["secret"]

    def remove(self, number: int) -> Webhook:
        """Forget one with all its deliveries."""
        row = self.get(number)
        Webhook.objects.filter(id=number).delete()
        return row

    def stop(self, row: Webhook, why: str) -> None:
        """Send nothing to it until somebody starts it again; an empty reason starts it."""
        Webhook.objects.filter(id=row.id).update(stopped=why)

    def line_up(self, row: Webhook, events: Sequence[Event], seen_at: datetime) -> int:
        """Keep events for it, each once, and note up to when they were looked at."""
        now = self._clock()
        with transaction.atomic():
            made = [
                WebhookMessage(
                    webhook=row, event=kind, key=key, body=body, made_at=now, next_at=now
                )
                for kind, key, body, _at in events
            ]
            WebhookMessage.objects.bulk_create(made, ignore_conflicts=True)
            Webhook.objects.filter(id=row.id).update(seen_at=seen_at)
            self._bound(row, now)
        return len(made)

    @staticmethod
    def _bound(row: Webhook, now: datetime) -> None:
        waiting = WebhookMessage.objects.filter(webhook=row, state="waiting").order_by("-id")
        over = list(waiting.values_list("id", flat=True)[MOST_WAITING:])
        WebhookMessage.objects.filter(id__in=over).update(
            state="given up", ended_at=now, next_at=None, message="too many were waiting"
        )
        ended = WebhookMessage.objects.filter(webhook=row).exclude(state="waiting").order_by("-id")
        WebhookMessage.objects.filter(
            id__in=list(ended.values_list("id", flat=True)[KEPT:])
        ).delete()

    def due(self, limit: int) -> list[WebhookMessage]:
        """What is to be sent now, oldest first."""
        rows = WebhookMessage.objects.filter(
            state="waiting", next_at__lte=self._clock(), webhook__stopped=""
        )
        return list(rows.select_related("webhook").order_by("id")[:limit])

    def sent(self, row: WebhookMessage, status: int) -> None:
        """It arrived."""
        self._end(row, "sent", status, "")

    def failed(
        self, row: WebhookMessage, status: int | None, message: str, wait: float | None
    ) -> None:
        """It did not; again in `wait` seconds, or given up where that is None."""
        if wait is None:
            self._end(row, "given up", status, message)
            return
        WebhookMessage.objects.filter(id=row.id).update(
            attempts=row.attempts + 1,
            status=status,
            message=message,
            next_at=self._clock() + timedelta(seconds=wait),
        )

    def _end(self, row: WebhookMessage, state: str, status: int | None, message: str) -> None:
        WebhookMessage.objects.filter(id=row.id).update(
            state=state,
            attempts=row.attempts + 1,
            status=status,
            message=message,
            next_at=None,
            ended_at=self._clock(),
        )

    def again(self, row: Webhook) -> int:
        """Try what was given up once more, and what waits at once. How many that is."""
        rows = WebhookMessage.objects.filter(webhook=row, state__in=("waiting", "given up"))
        return rows.update(state="waiting", next_at=self._clock(), attempts=0, ended_at=None)

    def deliveries(self, number: int, limit: int = 100) -> list[WebhookMessage]:
        """The newest deliveries of one."""
        return list(WebhookMessage.objects.filter(webhook_id=number).order_by("-id")[:limit])

    def counts(self) -> dict[int, dict[str, int]]:
        """Webhook -> state -> how many deliveries."""
        found: dict[int, dict[str, int]] = {}
        rows = WebhookMessage.objects.values_list("webhook_id", "state").annotate(many=Count("id"))
        for number, state, many in rows:
            found.setdefault(number, {})[state] = many
        return found

    def _newest_key(self) -> bytes:
        return self._find_key() if self._find_key is not None else self._key
