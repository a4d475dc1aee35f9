"""Tables of how people prove who they are, beside Django's own users and groups."""

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
