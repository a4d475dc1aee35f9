"""The kinds of record that Koppel may read and write here, each put together from parts.

A further kind is one more entry in `_make`, with parts of its own. Those of Creme's apps that are
not installed are left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from creme.creme_core.auth.entity_credentials import EntityCredentials
from creme.creme_core.models import CremeEntity
from creme.persons import get_contact_model, get_organisation_model
from django.apps import apps
from django.contrib.contenttypes.models import ContentType

from . import extras
from .errors import BadCall, Invalid
from .parts import Part
from .parts.addresses import Addresses, DocumentAddresses
from .parts.columns import Columns
from .parts.custom import CustomFields
from .parts.properties import Properties
from .parts.relations import Employer, Roles
from .session import Session


class Resource:
    """One kind of record. `name` stays the same where an installation swaps the model."""

    def __init__(
        self,
        name: str,
        model: type[CremeEntity],
        parts: Iterable[Part],
        *,
        read_only: bool = False,
    ) -> None:
        self.name = name
        self.model = model
        self.parts = tuple(parts)
        self.read_only = read_only

    @property
    def app(self) -> str:
        """The app of Creme to which a user needs access for this kind of record."""
        return self.model._meta.app_label

    @property
    def content_type(self) -> ContentType:
        """Creme's own name for the model, as its history uses it."""
        return ContentType.objects.get_for_model(self.model)

    def living(self, session: Session):
        """All records that are not in the trash and that the user may see."""
        return EntityCredentials.filter(
            session.user, self.model.objects.filter(is_deleted=False), EntityCredentials.VIEW
        )

    def describe(self, session: Session) -> dict[str, Any]:
        """Name, label and fields, for people and for programs."""
        fields = [field for part in self.parts for field in part.describe(session)]
        if self.read_only:
            fields = [{**field, "writable": False, "required": False} for field in fields]
        return {
            "name": self.name,
            "label": str(self.model._meta.verbose_name),
            "fields": fields,
        }

    def read(self, session: Session, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        """The records with these ids, in the trash or not, as wire records with their versions."""
        ids = list(ids)
        fields: dict[int, dict[str, Any]] = {}
        for index, part in enumerate(self.parts):
            for pk, found in part.read(session, ids).items():
                if index == 0:
                    fields[pk] = found
                elif pk in fields:
                    fields[pk].update(found)
        return {
            pk: {"resource": self.name, "id": str(pk), "version": version(told), "fields": told}
            for pk, told in fields.items()
        }

    def writable(self, session: Session) -> dict[str, bool]:
        """All field names, and whether Koppel may write them."""
        return session.keep(
            ("writable", self.name),
            lambda: {
                name: may for part in self.parts for name, may in part.writable(session).items()
            },
        )

    def check_names(self, session: Session, fields: Mapping[str, Any]) -> None:
        """Refuse unknown and read-only fields; nothing is ever dropped in silence."""
        writable = self.writable(session)
        for name in fields:
            if name not in writable:
                raise Invalid(f"{self.name} has no field {name}.", name)
            if not writable[name]:
                raise Invalid(f"{name} is kept by Creme itself and cannot be written.", name)


def version(fields: Mapping[str, Any]) -> str:
    """A digest of the content: equal versions mean equal content, whoever changed what and how.

    Fields without a value do not count, so that a new custom field moves no version.
    """
    held = {name: value for name, value in fields.items() if value is not None and value != []}
    text = json.dumps(held, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _make() -> dict[str, Resource]:
    organisation, contact = get_organisation_model(), get_contact_model()
    found = [
        Resource(
            "persons.organisation",
            organisation,
            (
                Columns(organisation),
                Addresses(organisation),
                Roles(),
                Properties(),
                CustomFields(organisation),
            ),
        ),
        Resource(
            "persons.contact",
            contact,
            (Columns(contact), Addresses(contact), Roles(), Employer(), CustomFields(contact)),
        ),
    ]
    if apps.is_installed("creme.products"):
        found += _catalog()
    if apps.is_installed("creme.billing"):
        found += _documents()
    if apps.is_installed("creme.opportunities"):
        found += _opportunities()
    return {resource.name: resource for resource in found}


def _catalog() -> Iterable[Resource]:
    from creme.products import get_product_model, get_service_model

    from .parts.catalog import ItemColumns

    for name, model in (
        ("products.product", get_product_model()),
        ("products.service", get_service_model()),
    ):
        yield Resource(name, model, (ItemColumns(model, extras.CATEGORIES), CustomFields(model)))


def _documents() -> Iterable[Resource]:
    from creme import billing
    from creme.billing.constants import REL_SUB_BILL_ISSUED, REL_SUB_BILL_RECEIVED

    from .copies import ORDER, ConvertedFrom
    from .parts.lines import Lines
    from .parts.origin import MadeFrom
    from .parts.parties import Parties

    for name, model in (
        ("billing.quote", billing.get_quote_model()),
        ("billing.salesorder", billing.get_sales_order_model()),
        ("billing.invoice", billing.get_invoice_model()),
        ("billing.creditnote", billing.get_credit_note_model()),
    ):
        parts = (
            Columns(model),
            Parties(model, REL_SUB_BILL_ISSUED, REL_SUB_BILL_RECEIVED),
            DocumentAddresses(model),
            Lines(model),
            CustomFields(model),
        )
        if name == ORDER:
            parts = (*parts, ConvertedFrom(model))
        if name != "billing.quote":
            parts = (*parts, MadeFrom())
        yield Resource(name, model, parts)


def _opportunities() -> Iterable[Resource]:
    from creme.opportunities import get_opportunity_model
    from creme.opportunities.constants import REL_OBJ_EMIT_ORGA, REL_SUB_TARGETS

    from .parts.parties import Parties

    model = get_opportunity_model()
    parts = (
        Columns(model),
        Parties(model, REL_OBJ_EMIT_ORGA, REL_SUB_TARGETS),
        CustomFields(model),
    )
    yield Resource("opportunities.opportunity", model, parts, read_only=True)


_resources: dict[str, Resource] = {}


def resources() -> dict[str, Resource]:
    """All kinds of record, by name."""
    if not _resources:
        _resources.update(_make())
    return _resources


def resource(name: str) -> Resource:
    """The kind of that name; `BadCall` for an unknown one."""
    found = resources().get(name)
    if found is None:
        raise BadCall(404, "unknown_resource", f"There is no resource named {name!r}.")
    return found


def resource_for(session: Session, name: str) -> Resource:
    """The kind of that name for this user, who needs access to its app."""
    found = resource(name)
    session.user.has_perm_to_access_or_die(found.app)
    return found


def resource_of(model: type[CremeEntity]) -> Resource | None:
    """The kind to which a model belongs, if Koppel knows it."""
    return next((found for found in resources().values() if found.model is model), None)
