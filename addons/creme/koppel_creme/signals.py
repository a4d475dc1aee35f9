"""What the add-on notices while people work in Creme: departures, merges, and what to hint at."""

from __future__ import annotations

import threading

from creme.creme_core.models import HistoryLine, history
from creme.creme_core.signals import pre_merge_related
from django.core.signals import request_finished
from django.db.models.signals import post_save, pre_delete

from . import hints
from .feed import TELLING
from .models import Departure
from .resources import resource_of, resources

_local = threading.local()


def connect() -> None:
    """Listen to Creme; called once, after Creme's own listeners are in place."""
    post_save.connect(_history_line_saved, sender=HistoryLine, dispatch_uid="koppel-history")
    pre_merge_related.connect(_merging, dispatch_uid="koppel-merge")
    request_finished.connect(_forget, dispatch_uid="koppel-forget")
    for kind in resources().values():
        # After Creme's own listener, which writes the history line of the deletion.
        pre_delete.connect(_leaving, sender=kind.model, dispatch_uid=f"koppel-leave-{kind.name}")


def _history_line_saved(sender, instance: HistoryLine, **kwargs) -> None:
    if instance.pk is None:  # Creme's history is switched off for this request.
        return
    if instance.type == history.TYPE_DELETION:
        _local.deletion = instance.pk
    elif instance.entity_id is not None and instance.type in TELLING:
        kind = resource_of(instance.entity_ctype.model_class())
        if kind is not None:
            hints.tell(kind.name, instance.entity_id)


def _merging(sender, other_entity, **kwargs) -> None:
    _pending()[other_entity.pk] = sender.pk


def _leaving(sender, instance, **kwargs) -> None:
    kind = resource_of(sender)
    if kind is None:
        return
    line, _local.deletion = getattr(_local, "deletion", None), None
    into = _pending().pop(instance.pk, None)
    Departure.objects.create(line=line, resource=kind.name, entity=instance.pk, merged_into=into)
    hints.tell(kind.name, instance.pk)
    if into is not None:
        hints.tell(kind.name, into)
        # Creme has moved the relations by now, without a line in the history of their other ends.
        for other in resources().values():
            for part in other.parts:
                for moved in part.touched_by_merge(into):
                    hints.tell(other.name, moved)


def _pending() -> dict[int, int]:
    """Merges announced by Creme whose second record is not deleted yet, in this thread."""
    if not hasattr(_local, "merges"):
        _local.merges = {}
    return _local.merges


def _forget(sender, **kwargs) -> None:
    _local.merges = {}
    _local.deletion = None
