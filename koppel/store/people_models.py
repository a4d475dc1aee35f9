"""Tables of how people prove who they are, and of whoever asked to be erased."""

from __future__ import annotations

from django.db import models


class SecondFactor(models.Model):
    """A person's authenticator: one-time codes by time (RFC 6238), and recovery codes.

    `secret` is encrypted like the secrets of connections. `last_step` is the time step of the last
    code that was taken, so that none counts twice.
    """

    user = models.OneToOneField("auth.User", on_delete=models.CASCADE)
    secret = models.BinaryField()
    last_step = models.BigIntegerField(default=-1)
    made_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)


class RecoveryCode(models.Model):
    """A code for whoever has lost the app; it counts once. Only its digest is kept."""

    factor = models.ForeignKey(SecondFactor, on_delete=models.CASCADE)
    digest = models.CharField(max_length=64)


class RoleDemand(models.Model):
    """A role whose people have to have a second factor."""

    role = models.OneToOneField("auth.Group", on_delete=models.CASCADE)


class Identity(models.Model):
    """Who a user is to a sign-in service: its own identifier for that person."""

    user = models.ForeignKey("auth.User", on_delete=models.CASCADE)
    issuer = models.CharField(max_length=300)
    subject = models.CharField(max_length=255)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="one_identity")]


class Erasure(models.Model):
    """That a person is to be taken out of both systems and of Koppel, and what came of it.

    It holds numbers of records and names of fields, never a value; `label` is the person's name
    until the plan is carried out, and a pseudonym from then on.
    """

    entity = models.CharField(max_length=40)
    records = models.JSONField(default=dict)
    label = models.TextField(default="")
    state = models.CharField(max_length=12, default="planned")
    steps = models.JSONField(default=list)
    kept = models.JSONField(default=list)
    store = models.JSONField(default=dict)
    made_by = models.CharField(max_length=120)
    made_at = models.DateTimeField()
    approved_by = models.CharField(max_length=120, default="")
    ended_at = models.DateTimeField(null=True)


class KeptReply(models.Model):
    """What was answered to a call of the interface, for when the same call comes again."""

    token = models.BigIntegerField()
    key = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)
    status = models.IntegerField(default=0)
    content_type = models.CharField(max_length=100, default="")
    body = models.BinaryField(default=b"")
    at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "key"], name="one_reply")]
