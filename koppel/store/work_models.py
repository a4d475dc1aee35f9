"""Tables of the work itself: who does it, what calls for it, how much of it, and who is told."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Lease(models.Model):
    """Who may write at present; never two writers."""

    name = models.CharField(max_length=200, primary_key=True)
    holder = models.CharField(max_length=200)
    until = models.DateTimeField()


class Hint(models.Model):
    """A record that may have changed; `times` counts how often somebody said so since it was read.

    However many hints come for a record, it is one row, and one piece of work.
    """

    entity = models.CharField(max_length=40)
    side = models.CharField(max_length=3)
    record = models.CharField(max_length=120)
    times = models.BigIntegerField(default=1)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["entity", "side", "record"], name="one_hint")
        ]


class Gate(models.Model):
    """How much a connection has been asked for, by all processes together, and whether it answers.

    `second` and `day` are the windows (UTC) that `used` and `used_today` count; until
    `closed_until` nobody asks, because the system said so or failed `failures` times in a row.
    """

    name = models.CharField(max_length=60, primary_key=True)
    second = models.BigIntegerField(default=0)
    used = models.IntegerField(default=0)
    day = models.IntegerField(default=0)
    used_today = models.IntegerField(default=0)
    failures = models.IntegerField(default=0)
    closed_until = models.DateTimeField(null=True)
    why = models.TextField(default="")


class Pulse(models.Model):
    """When a pair is looked at next, by whichever worker: `every` seconds, longer while quiet."""

    pair = models.CharField(max_length=130, primary_key=True)
    every = models.FloatField()
    next_poll = models.DateTimeField()
    next_sweep = models.DateTimeField()
    last_poll = models.DateTimeField(null=True)
    trouble = models.TextField(default="")


class Agreement(models.Model):
    """Whether both bases of a coupling agree, as computed from them once, for the audit.

    It holds for these two versions and these documents (rules and mappings); `differs` is empty
    where every field agrees. So an unmoved coupling is proved without its content.
    """

    coupling = models.CharField(max_length=32, primary_key=True)
    entity = models.CharField(max_length=40)
    crm_version = models.CharField(max_length=200)
    erp_version = models.CharField(max_length=200)
    documents = models.IntegerField()
    differs = models.BinaryField(default=b"")


class CallCount(models.Model):
    """How many calls one connection has been asked on one day."""

    connection = models.CharField(max_length=60)
    day = models.DateField()
    calls = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "day"], name="one_call_count")]


class ScheduleState(models.Model):
    """When a scheduled job was due last, when it ran, and what came of it."""

    name = models.CharField(max_length=60, primary_key=True)
    due = models.DateTimeField(null=True)
    began = models.DateTimeField(null=True)
    ended = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=12, default="")
    text = models.TextField(default="")


class Webhook(models.Model):
    """An address that wants to be told of events; `secret` (sealed) signs what is sent to it.

    `seen_at`: events up to then were looked at for it. `stopped` says why nothing is sent any more.
    """

    address = models.TextField()
    events = models.JSONField(default=list)
    secret = models.BinaryField(default=b"")
    made_at = models.DateTimeField()
    by = models.CharField(max_length=120, default="")
    seen_at = models.DateTimeField()
    stopped = models.TextField(default="")


class WebhookMessage(models.Model):
    """One event for one address: waiting, sent, or given up; `key` makes it one however often."""

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE)
    event = models.CharField(max_length=40)
    key = models.CharField(max_length=200)
    body = models.TextField()
    state = models.CharField(max_length=10, default="waiting")
    attempts = models.IntegerField(default=0)
    next_at = models.DateTimeField(null=True)
    status = models.IntegerField(null=True)
    message = models.TextField(default="")
    made_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["webhook", "key"], name="one_webhook_message"),
        ]
        indexes = [
            models.Index(
                fields=["next_at"], condition=Q(state="waiting"), name="due_webhook_messages"
            ),
        ]
