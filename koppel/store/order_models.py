"""Tables of orders on their way from a quote to what became of it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Process(models.Model):
    """One process across both systems, such as the transfer of an order, with its memory.

    `subject` is what it is about; at most one live process of a kind has it. `memo` holds the
    results of the steps that are done, `snapshot` the document as it was read.
    """

    id = models.CharField(max_length=32, primary_key=True)
    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    key = models.CharField(max_length=200)
    label = models.TextField(default="")
    state = models.CharField(max_length=12)
    step = models.CharField(max_length=80, default="")
    since = models.DateTimeField()
    why = models.TextField(default="")
    remedy = models.TextField(default="")
    details = models.JSONField(default=list)
    trace = models.CharField(max_length=32)
    attempts = models.IntegerField(default=0)
    user = models.CharField(max_length=120, default="")
    accepted = models.JSONField(default=list)
    memo = models.BinaryField(default=b"")
    snapshot = models.BinaryField(null=True)
    next_at = models.DateTimeField(null=True)
    made_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"],
                condition=Q(state__in=["running", "waiting", "held"]),
                name="one_live_process",
            )
        ]
        indexes = [
            models.Index(
                fields=["next_at"],
                condition=Q(state__in=["running", "waiting"]),
                name="due_processes",
            ),
            models.Index(fields=["subject"], name="process_subject"),
        ]


class ProcessEntry(models.Model):
    """One line of a process's log, in a sentence for people."""

    process = models.ForeignKey(Process, on_delete=models.CASCADE, related_name="entries")
    at = models.DateTimeField()
    step = models.CharField(max_length=80, default="")
    text = models.TextField()


class OrderLink(models.Model):
    """An order of the CRM and the ERP's order, or one that only the ERP has (`crm_id` is None).

    `key` is what the ERP keeps of the order's origin; `status` is the ERP's order as last seen.
    """

    id = models.CharField(max_length=32, primary_key=True)
    key = models.CharField(max_length=200, unique=True)
    trace = models.CharField(max_length=32, default="")
    crm_resource = models.CharField(max_length=120, default="")
    crm_id = models.CharField(max_length=120, null=True)
    crm_version = models.CharField(max_length=200, default="")
    erp_id = models.CharField(max_length=120, null=True)
    erp_version = models.CharField(max_length=200, default="")
    erp_party = models.CharField(max_length=120, default="", db_index=True)
    number = models.CharField(max_length=120, default="")
    state = models.CharField(max_length=20, default="")
    written_back = models.TextField(default="")
    status = models.BinaryField(null=True)
    seen_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    note = models.TextField(default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["erp_id"], condition=Q(erp_id__isnull=False), name="one_erp_order"
            ),
        ]
        indexes = [
            models.Index(fields=["crm_resource", "crm_id"], name="order_of_crm"),
            models.Index(fields=["state"], name="order_state"),
            models.Index(fields=["-changed_at"], condition=~Q(note=""), name="noted_orders"),
        ]


class KeptAnswer(models.Model):
    """What a system answered to a question, for when it is away."""

    question = models.CharField(max_length=300, primary_key=True)
    answer = models.BinaryField()
    at = models.DateTimeField(db_index=True)
