"""The store's tables. Blobs are made and read by `koppel.store.codec` only."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from koppel.store import order_models as order_models
from koppel.store import people_models as people_models
from koppel.store import seen_models as seen_models
from koppel.store import work_models as work_models


class Connection(models.Model):
    """A configured system. `secrets` is encrypted; `config` holds nothing secret."""

    name = models.CharField(max_length=60, primary_key=True)
    side = models.CharField(max_length=3)
    type = models.CharField(max_length=60)
    config = models.JSONField(default=dict)
    secrets = models.BinaryField(default=b"")
    schema = models.BinaryField(default=b"")
    schema_digest = models.CharField(max_length=64, default="")
    described_at = models.DateTimeField(null=True)
    paused = models.TextField(default="")
    away_since = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)


class Document(models.Model):
    """One version of a sync rule, a mapping or an overlay; the newest of a name is live."""

    kind = models.CharField(max_length=20)
    name = models.CharField(max_length=120)
    version = models.IntegerField()
    content = models.TextField()
    author = models.CharField(max_length=120, default="")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "name", "version"], name="document_version")
        ]


class Coupling(models.Model):
    """A pair of records that belong together, with what each side returned last time."""

    id = models.CharField(max_length=32, primary_key=True)
    entity = models.CharField(max_length=40)
    crm_id = models.CharField(max_length=120, null=True)
    erp_id = models.CharField(max_length=120, null=True)
    state = models.CharField(max_length=12, default="active")
    label = models.TextField(default="")
    crm_version = models.CharField(max_length=200, default="")
    erp_version = models.CharField(max_length=200, default="")
    crm_base = models.BinaryField(null=True)
    erp_base = models.BinaryField(null=True)
    created_at = models.DateTimeField()
    in_step_at = models.DateTimeField(null=True)
    made_by = models.CharField(max_length=200, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["entity", "crm_id"], condition=Q(crm_id__isnull=False), name="one_crm"
            ),
            models.UniqueConstraint(
                fields=["entity", "erp_id"], condition=Q(erp_id__isnull=False), name="one_erp"
            ),
        ]
        # A sweep lays all versions beside what was seen, without a look at the rows themselves.
        indexes = [
            models.Index(fields=["entity", "crm_id", "crm_version", "state"], name="crm_versions"),
            models.Index(fields=["entity", "erp_id", "erp_version", "state"], name="erp_versions"),
        ]


class Former(models.Model):
    """A pair that was, and ended as one of its records was gone: who was with whom, and how.

    A record that comes back (out of the trash, or with a backup) is known by it, whatever became of
    its name meanwhile. `asked`: a person had the pair ended.
    """

    entity = models.CharField(max_length=40)
    crm_id = models.CharField(max_length=120)
    erp_id = models.CharField(max_length=120)
    coupling = models.CharField(max_length=32)
    crm_base = models.BinaryField(null=True)
    erp_base = models.BinaryField(null=True)
    asked = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["entity", "crm_id", "erp_id"], name="one_former")
        ]
        indexes = [models.Index(fields=["entity", "erp_id"], name="former_erp")]


class Cursor(models.Model):
    """How far a side has been read for an entity."""

    entity = models.CharField(max_length=40)
    side = models.CharField(max_length=3)
    value = models.TextField()
    moved_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["entity", "side"], name="one_cursor")]


class Run(models.Model):
    """One run: what it planned, whether it was held, and what came of it."""

    kind = models.CharField(max_length=12)
    state = models.CharField(max_length=12)
    trigger = models.CharField(max_length=40, default="")
    user = models.CharField(max_length=120, default="")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    counts = models.JSONField(default=dict)
    reasons = models.JSONField(default=list)
    cursors = models.JSONField(default=list)
    selection = models.JSONField(null=True)
    undoes = models.ForeignKey("self", null=True, on_delete=models.PROTECT)
    scope = models.TextField(default="")


class Step(models.Model):
    """One step of a run's plan."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE)
    number = models.IntegerField()
    entity = models.CharField(max_length=40)
    coupling = models.CharField(max_length=32)
    kind = models.CharField(max_length=12)
    state = models.CharField(max_length=12, default="planned")
    label = models.TextField(default="")
    crm_id = models.CharField(max_length=120, null=True)
    erp_id = models.CharField(max_length=120, null=True)
    body = models.BinaryField()
    message = models.TextField(default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="step_number")]
        indexes = [
            models.Index(fields=["run", "entity", "crm_id"], name="step_crm"),
            models.Index(fields=["run", "entity", "erp_id"], name="step_erp"),
        ]


class Journal(models.Model):
    """One write: the intent before it, the outcome after it, and both contents."""

    key = models.CharField(max_length=100, unique=True)
    run = models.ForeignKey(Run, on_delete=models.PROTECT)
    step = models.IntegerField()
    entity = models.CharField(max_length=40)
    coupling = models.CharField(max_length=32, db_index=True)
    side = models.CharField(max_length=3)
    resource = models.CharField(max_length=120)
    record = models.CharField(max_length=120, default="")
    state = models.CharField(max_length=10, default="intent")
    write = models.BinaryField()
    before = models.BinaryField(null=True)
    after = models.BinaryField(null=True)
    changes = models.BinaryField(default=b"")
    message = models.TextField(default="")
    intent_at = models.DateTimeField()
    outcome_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["state"], condition=Q(state="intent"), name="open_intents"),
        ]


class Conflict(models.Model):
    """Both sides moved: a person decides, for this field alone."""

    coupling = models.CharField(max_length=32)
    entity = models.CharField(max_length=40)
    field = models.CharField(max_length=120)
    label = models.TextField(default="")
    values = models.BinaryField()
    why = models.TextField()
    state = models.CharField(max_length=10, default="open")
    resolution = models.BinaryField(null=True)
    by = models.CharField(max_length=120, default="")
    run = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["coupling", "field", "state"], name="conflict_field")]


class Notice(models.Model):
    """A value that was put back because its side does not own the field."""

    coupling = models.CharField(max_length=32)
    entity = models.CharField(max_length=40)
    field = models.CharField(max_length=120)
    side = models.CharField(max_length=3)
    label = models.TextField(default="")
    values = models.BinaryField()
    why = models.TextField()
    run = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL)
    at = models.DateTimeField()


class Quarantine(models.Model):
    """A record that failed with a non-transient error; `open` from the second time on."""

    entity = models.CharField(max_length=40)
    side = models.CharField(max_length=3)
    record = models.CharField(max_length=120)
    coupling = models.CharField(max_length=32, default="")
    label = models.TextField(default="")
    reason = models.TextField()
    remedy = models.TextField(default="")
    fingerprint = models.CharField(max_length=64)
    version = models.CharField(max_length=200, default="")
    failures = models.IntegerField(default=1)
    state = models.CharField(max_length=10, default="watched")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["entity", "side", "record"], name="one_quarantine")
        ]


class Pending(models.Model):
    """A record to be looked at again in the next pass: stale, parent missing, system away."""

    entity = models.CharField(max_length=40)
    side = models.CharField(max_length=3)
    record = models.CharField(max_length=120)
    reason = models.TextField(default="")
    waits_for = models.CharField(max_length=200, default="", db_index=True)
    attempts = models.IntegerField(default=0)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["entity", "side", "record"], name="one_pending")
        ]


class Replica(models.Model):
    """What Koppel last read of a record, for matching and for the views; never a source of truth.

    `fresh`: read but not settled yet, so the next plan looks at it again. `content` is dropped
    once the record is coupled: the base of the coupling has it.
    """

    entity = models.CharField(max_length=40)
    side = models.CharField(max_length=3)
    record = models.CharField(max_length=120)
    version = models.CharField(max_length=200, default="")
    label = models.TextField(default="")
    content = models.BinaryField(null=True)
    features = models.BinaryField(default=b"")
    fresh = models.BooleanField(default=True)
    coupled = models.BooleanField(default=False)
    read_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["entity", "side", "record"], name="one_replica")
        ]
        indexes = [
            models.Index(
                fields=["entity", "side"],
                condition=Q(fresh=True, coupled=False),
                name="fresh_replicas",
            ),
            models.Index(
                fields=["entity", "side", "record"],
                condition=Q(coupled=False),
                name="uncoupled_replicas",
            ),
        ]


class BlockKey(models.Model):
    """One blocking key of a replica: records that share one are compared.

    `key`: a number (`koppel.store.blocking`). `replica`: the id of one. No foreign key, which would
    look up the replica of each of a dozen rows; who deletes a replica deletes its keys.
    """

    pk = models.CompositePrimaryKey("key", "side", "replica")
    key = models.BigIntegerField()
    side = models.CharField(max_length=3)
    replica = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["replica"], name="block_replica")]


class Review(models.Model):
    """A proposed pair that a person decides on."""

    entity = models.CharField(max_length=40)
    crm_id = models.CharField(max_length=120)
    erp_id = models.CharField(max_length=120)
    score = models.FloatField()
    reasons = models.JSONField(default=list)
    state = models.CharField(max_length=10, default="open")
    by = models.CharField(max_length=120, default="")
    at = models.DateTimeField()
    evidence = models.JSONField(default=list)
    """Of an answered pair: (kind, points) of what spoke for and against it."""
    teaches = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["entity", "crm_id", "erp_id"], name="one_review")
        ]


class Event(models.Model):
    """The audit log: who did or saw what, and where; each line is bound to the one before it."""

    at = models.DateTimeField()
    user = models.CharField(max_length=120)
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=200, default="")
    detail = models.JSONField(default=dict)
    previous = models.CharField(max_length=64, default="")
    digest = models.CharField(max_length=64, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["previous"], condition=~Q(digest=""), name="one_successor"
            )
        ]


class RoleRight(models.Model):
    """One thing that a role may; `entity` is `*` for all."""

    role = models.ForeignKey("auth.Group", on_delete=models.CASCADE)
    action = models.CharField(max_length=20)
    entity = models.CharField(max_length=40, default="*")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["role", "action", "entity"], name="one_right")
        ]


class ApiToken(models.Model):
    """A token of the interface; `digest` is all that is kept of it."""

    user = models.ForeignKey("auth.User", on_delete=models.CASCADE)
    name = models.CharField(max_length=120)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    made_at = models.DateTimeField()
    until = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class SignInFailure(models.Model):
    """A sign-in that failed; `name` is a digest of what was typed."""

    name = models.CharField(max_length=64)
    address = models.CharField(max_length=60)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["address", "at"], name="failures_of_address")]


class GuideEntry(models.Model):
    """One thing done in the guided introduction; the newest of a step says where that step is."""

    step = models.CharField(max_length=20)
    state = models.CharField(max_length=10)
    at = models.DateTimeField()
    by = models.CharField(max_length=120, default="")
    result = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["step", "id"], name="guide_step")]


class AuditResult(models.Model):
    """What one audit came to. `findings` holds the first of them; `counts` tells of all."""

    began = models.DateTimeField()
    ended = models.DateTimeField()
    trigger = models.CharField(max_length=20, default="")
    by = models.CharField(max_length=120, default="")
    in_step = models.BooleanField()
    counts = models.JSONField(default=dict)
    findings = models.JSONField(default=list)


class Alarm(models.Model):
    """Something a person should know of that no list shows by itself; open until dealt with.

    At most one alarm of a kind and subject is open: a repeat renews it.
    """

    kind = models.CharField(max_length=20)
    subject = models.CharField(max_length=120, default="")
    text = models.TextField()
    remedy = models.TextField(default="")
    state = models.CharField(max_length=10, default="open")
    at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    by = models.CharField(max_length=120, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=Q(state="open"), name="one_open_alarm"
            )
        ]
