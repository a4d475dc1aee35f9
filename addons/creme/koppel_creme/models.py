"""The add-on's own three tables: tokens, departures, and the keys of writes that were done."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Token(models.Model):
    """A token of Koppel and the Creme user who acts behind it. Only its digest is stored."""

    digest = models.CharField(max_length=64, unique=True, editable=False)
    label = models.CharField(_("Label"), max_length=100, blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("Koppel token")
        verbose_name_plural = _("Koppel tokens")

    def __str__(self) -> str:
        return self.label or f"#{self.pk}"


class Departure(models.Model):
    """A record that was deleted or merged into another.

    Creme's own history keeps the line of a deletion but forgets which record it was about; `line`
    is the id of that line, and this row keeps what it forgot.
    """

    line = models.BigIntegerField(null=True, db_index=True)
    resource = models.CharField(max_length=60)
    entity = models.BigIntegerField(db_index=True)
    merged_into = models.BigIntegerField(null=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("Departure")

    def __str__(self) -> str:
        return f"{self.resource} {self.entity}"


class DoneWrite(models.Model):
    """A write of Koppel that was done, under the key that Koppel gave it for ever.

    It is written in the transaction of the change itself: either both are there or neither.
    """

    key = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=10)
    resource = models.CharField(max_length=60)
    outcome = models.TextField(default="")
    at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        verbose_name = _("Write that was done")

    def __str__(self) -> str:
        return self.key
