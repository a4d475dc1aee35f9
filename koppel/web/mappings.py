"""Set-up: a system's mapping of an entity, edited field by field, checked against what the system
says of itself, and previewed before it is kept as a version of the overlay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tomlkit.exceptions
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from koppel.connectors.base import Resource
from koppel.engine.foresee import Terms, foresee
from koppel.errors import KoppelError
from koppel.mapping import overlay as overlays
from koppel.mapping.building import GROUP_LENSES
from koppel.mapping.document import MappingDocument, load_mapping
from koppel.mapping.faults import DocumentFaults, Fault
from koppel.mapping.fit import unfit
from koppel.mapping.lenses import REGISTRY
from koppel.mapping.mapper import compile_mapping, lens_options
from koppel.model import ENTITIES
from koppel.sync.rule import SIDES, Rule, Side, other
from koppel.web.notes import note
from koppel.web.records import rule_of
from koppel.web.rights import looked, needs, who
from koppel.web.rulebook import Preview, difference, faults_of
from koppel.web.service import current

KIND = "overlay"
LENSES = tuple(sorted({*REGISTRY, *GROUP_LENSES}))
SETTLED = ("native", "lens", "readonly")
"""What stands in a field's table beside the options of its lens."""


@dataclass(frozen=True)
class Mapped:
    """One side of an entity: its rule, its mapping as it came along, and the live overlay."""

    rule: Rule
    side: Side
    text: str
    overlay: str

    @property
    def connection(self) -> str:
        """The connection's name."""
        return self.rule.connections[self.side]

    @property
    def name(self) -> str:
        """The overlay's name in the store."""
        return f"{self.connection}/{self.rule.entity}"

    @property
    def schema(self) -> Sequence[Resource]:
        """What the system said of itself last."""
        return current().store.connections.schema(self.connection)

    def document(self, overlay: str) -> MappingDocument:
        """The mapping with an overlay on it. Raises `DocumentFaults`."""
        return load_mapping(self.text, source=f"{self.name}.toml", overlay=overlay or None)

    def resource(self) -> Resource | None:
        """The kind of record that is mapped."""
        wanted = self.document("").resource
        return next((one for one in self.schema if one.name == wanted), None)


def _mapped(entity: str, side: str) -> Mapped:
    rule = rule_of(current(), entity)
    if rule is None or side not in SIDES:
        raise Http404
    here: Side = "crm" if side == "crm" else "erp"
    text, overlay = current().lines.mapping_text(rule.connections[here], entity)
    return Mapped(rule, here, text, overlay or "")


@require_GET
@needs("view")
def mapping(request: HttpRequest, entity: str, side: str) -> HttpResponse:
    """All fields of one side's mapping, what was changed of them, and the versions of that."""
    mapped = _mapped(entity, side)
    context = {
        "mapped": mapped,
        "fields": _fields(mapped),
        "versions": current().store.documents.versions(KIND, mapped.name),
    }
    return render(request, "web/setup/mapping.html", context)


def _fields(mapped: Mapped) -> list[dict[str, Any]]:
    try:
        shown = mapped.document(mapped.overlay).fields
    except DocumentFaults:
        shown = mapped.document("").fields  # an overlay with a fault is put right as text
    return [
        {
            "name": one.name,
            "native": one.native if isinstance(one.native, str) else ", ".join(one.native or ()),
            "lens": one.lens,
            "readonly": one.readonly,
            "options": ", ".join(f"{k} = {_short(v)}" for k, v in one.options.items()),
            "own": one.file.endswith("(overlay)"),
        }
        for one in shown
    ]


def _short(value: Any) -> str:
    """An option on one line; a table stands in the field's own form."""
    return "{ … }" if isinstance(value, Mapping) else overlays.inline(value)


@require_GET
@needs("configure", entity_in="entity")
def mapping_field(request: HttpRequest, entity: str, side: str, field: str) -> HttpResponse:
    """The form of one field; one that is not mapped yet starts empty."""
    mapped = _mapped(entity, side)
    table = overlays.field_table(mapped.text, mapped.overlay, field)
    if request.GET.get("lens"):  # another lens has other options
        table = {k: v for k, v in table.items() if k in SETTLED} | {"lens": request.GET["lens"]}
    resource = mapped.resource()
    context = {
        "mapped": mapped,
        "field": field,
        "table": table,
        "lens": table.get("lens", "text"),
        "native": _shown_native(table.get("native")),
        "natives": _natives(resource) if resource else [],
        "lenses": LENSES,
        "options": _options(mapped, field, table),
        "own": field in mapped.overlay,
    }
    return render(request, "web/setup/mapping_field.html", context)


def _shown_native(native: Any) -> str:
    return ", ".join(native) if isinstance(native, list) else str(native or "")


def _natives(resource: Resource) -> list[tuple[str, str]]:
    """Every native field with its type; parts of a whole under their path."""
    found: list[tuple[str, str]] = []
    for info in resource.fields:
        found.append((info.name, info.type))
        if info.type == "object":
            found += [(f"{info.name}.{child.name}", child.type) for child in info.fields]
    return found


def _options(mapped: Mapped, field: str, table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the lens takes: name, present value, and the words to choose from."""
    known: Mapping[str, Any] = {}
    if table:
        try:
            text = overlays.with_field(mapped.text, "", field, table)
            known = lens_options(mapped.document(text), mapped.schema, field)
        except DocumentFaults:
            known = {}
    given = {name: value for name, value in table.items() if name not in SETTLED}
    told = []
    for name in dict.fromkeys((*known, *given)):
        types, words = known.get(name, ((), ()))
        value = given.get(name)
        shown = "" if value is None else value if _plain_text(value, types) else None
        told.append(
            {
                "name": name,
                "words": ("true", "false") if types == (bool,) else words,
                "plain": bool(words),
                "text": overlays.inline(value) if shown is None else shown,
            }
        )
    return told


def _plain_text(value: Any, types: tuple[type, ...]) -> bool:
    """Does it stand in the form as it is, without quotes?"""
    return isinstance(value, str) and str in types


@require_POST
@needs("configure", entity_in="entity")
def check_mapping(request: HttpRequest, entity: str, side: str) -> HttpResponse:
    """What is wrong with a change as far as it is typed."""
    mapped = _mapped(entity, side)
    _overlay, faults = _changed(mapped, request.POST)
    return render(request, "web/parts/schedule_check.html", {"faults": faults})


@require_POST
@needs("configure", entity_in="entity")
def change_mapping(request: HttpRequest, entity: str, side: str) -> HttpResponse:
    """What a changed mapping would do; kept where the person is sure."""
    mapped, service = _mapped(entity, side), current()
    overlay, faults = _changed(mapped, request.POST)
    if not faults and overlay == mapped.overlay:
        note(request, _("Nothing was changed."))
        return redirect("mapping", entity=entity, side=side)
    if request.POST.get("sure") and not faults:
        version = service.store.documents.put(KIND, mapped.name, overlay, author=who(request))
        service.store.audit_log.write(who(request), "change mapping", mapped.name, version=version)
        note(request, _("Saved as version %(version)d; it is live.") % {"version": version})
        return redirect("mapping", entity=entity, side=side)
    found = Preview(overlay, faults)
    if not faults:
        found.foreseen = foresee(service.store, *_terms(mapped, overlay))
    context = {
        "entity": entity,
        "preview": found,
        "lines": difference(mapped.overlay, overlay, (_("live"), _("changed"))),
        "action": reverse("change_mapping", kwargs={"entity": entity, "side": side}),
        "back": reverse("mapping", kwargs={"entity": entity, "side": side}),
    }
    looked(request, len(found.foreseen.effects))
    return render(request, "web/setup/preview.html", context)


@require_GET
@needs("view")
def mapping_version(request: HttpRequest, entity: str, side: str, number: int) -> HttpResponse:
    """A version of the overlay against the live one; it can be made live again."""
    mapped = _mapped(entity, side)
    old = current().store.documents.get(KIND, mapped.name, number)
    if old is None:
        raise Http404
    context = {
        "mapped": mapped,
        "number": number,
        "text": old,
        "same": old == mapped.overlay,
        "lines": difference(old, mapped.overlay, (str(number), _("live"))),
    }
    return render(request, "web/setup/mapping_version.html", context)


# A change.


def _changed(mapped: Mapped, form: QueryDict) -> tuple[str, Sequence[Fault]]:
    """The overlay with what the form says, and all that is wrong with it then."""
    overlay = ""
    try:
        overlay = _overlay(mapped, form)
        _before, after = _terms(mapped, overlay)
        faults = unfit(after.rule, after.mappers, source=f"rules/{mapped.rule.entity}.toml")
    except KoppelError as error:
        return overlay, faults_of(error)
    except tomlkit.exceptions.TOMLKitError as error:
        return overlay, (Fault(f"{mapped.name}.toml", "", f"it is not TOML: {error}"),)
    return overlay, faults


def _overlay(mapped: Mapped, form: QueryDict) -> str:
    does, field = form.get("does", "text"), form.get("field", "").strip()
    if does == "text":
        return form.get("text", "").replace("\r\n", "\n")
    if does == "shipped":
        return overlays.without_field(mapped.overlay, field)
    if does == "remove":
        return overlays.removed(mapped.text, mapped.overlay, field)
    return overlays.with_field(mapped.text, mapped.overlay, field, _table(mapped, form))


def _table(mapped: Mapped, form: QueryDict) -> dict[str, Any]:
    """The field's table as the form says it; what is left empty stays out of it."""
    table: dict[str, Any] = {}
    natives = [one.strip() for one in form.get("native", "").split(",") if one.strip()]
    if natives:
        table["native"] = natives[0] if len(natives) == 1 else natives
    lens = form.get("lens", "text")
    before = overlays.field_table(mapped.text, mapped.overlay, form.get("field", ""))
    if lens != "text" or "lens" in before:
        table["lens"] = lens
    kinds = {one["name"]: one for one in _options(mapped, form.get("field", ""), table | before)}
    names = [key.removeprefix("option-") for key in form if key.startswith("option-")]
    more = form.get("more-name", "").strip()
    for name, typed in [(one, form.get(f"option-{one}", "")) for one in names] + [
        (more, form.get("more-value", ""))
    ]:
        if name and typed.strip():
            plain = (name in kinds and kinds[name]["plain"]) or isinstance(before.get(name), str)
            table[name] = typed.strip() if plain else overlays.from_inline(typed.strip())
    if form.get("readonly"):
        table["readonly"] = True
    return table


def _terms(mapped: Mapped, overlay: str) -> tuple[Terms, Terms]:
    """The terms with the live overlay and with the changed one. Raises `DocumentFaults`."""
    lines, rule = current().lines, mapped.rule
    far = other(mapped.side)
    there = lines.mapper(rule.connections[far], rule.entity, offline=True)
    struct = ENTITIES[rule.entity]
    after = compile_mapping(mapped.document(overlay), mapped.schema, entity_type=struct)
    try:
        before = compile_mapping(mapped.document(mapped.overlay), mapped.schema, entity_type=struct)
    except DocumentFaults:
        before = after  # what is live has a fault, which must not keep anybody from mending it
    return (
        Terms(rule=rule, mappers={mapped.side: before, far: there}),
        Terms(rule=rule, mappers={mapped.side: after, far: there}),
    )
