"""One call of Koppel: the Creme user who acts, and small tables kept for as long as it lasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from creme.creme_core.models import CremeEntity, Currency
from creme.persons import get_organisation_model
from django.contrib.auth import get_user_model


@dataclass
class Session:
    """The acting user, and what is worth reading only once per call."""

    user: Any
    _kept: dict[Any, Any] = field(default_factory=dict)

    def keep(self, key: Any, make: Callable[[], Any]) -> Any:
        """The value made for this key the first time."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def forget(self) -> None:
        """Read everything anew: a table has got a new value."""
        self._kept.clear()

    def outward(self, model) -> dict[int, str]:
        """For a small table behind a choice: its primary keys, each with the stable wire value.

        Users go by their name, currencies by their ISO code; all else by the uuid that Creme itself
        keeps when a configuration is moved from one installation to another.
        """
        return self.keep(("outward", model), lambda: _outward(model))

    def inward(self, model) -> dict[str, int]:
        """The other way round."""
        return self.keep(
            ("inward", model), lambda: {value: pk for pk, value in self.outward(model).items()}
        )

    def managed(self) -> list[int]:
        """The ids of the user's own companies ("managed organisations"), oldest first."""
        return self.keep(
            "managed",
            lambda: list(
                get_organisation_model()
                .objects.filter(is_managed=True, is_deleted=False)
                .order_by("pk")
                .values_list("pk", flat=True)
            ),
        )


def _outward(model) -> dict[int, str]:
    if issubclass(model, get_user_model()):
        return dict(model.objects.values_list("pk", "username"))
    if model is Currency:
        return _currencies()
    if any(column.name == "uuid" for column in model._meta.concrete_fields):
        return {pk: str(uuid) for pk, uuid in model.objects.values_list("pk", "uuid")}
    return {pk: str(pk) for pk in model.objects.values_list("pk", flat=True)}


def _currencies() -> dict[int, str]:
    """ISO codes; where two currencies have the same one, the older has it."""
    found: dict[int, str] = {}
    for pk, code, uuid in Currency.objects.order_by("pk").values_list(
        "pk", "international_symbol", "uuid"
    ):
        found[pk] = str(uuid) if code in found.values() else code
    return found


def choices(session: Session, model) -> list[dict[str, str]]:
    """The values of a small table with their labels."""
    outward = session.outward(model)
    return [
        {"value": outward[row.pk], "label": str(row)}
        for row in model.objects.all()
        if row.pk in outward
    ]


def is_entity(model) -> bool:
    """Does a reference to this model point to a record of its own?"""
    return issubclass(model, CremeEntity)
