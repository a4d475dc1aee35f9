"""Set-up: connections, rules as a matrix of fields, versions, users and roles, the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.connectors.base import Health
from koppel.engine.runner import Engine
from koppel.errors import KoppelError
from koppel.mapping.rule_document import load_rule
from koppel.store.people import ACTIONS, ANY
from koppel.sync.rule import Rule
from koppel.web import audited, rulebook
from koppel.web.errands import begin
from koppel.web.notes import note, trouble
from koppel.web.rights import looked, needs, who
from koppel.web.service import current

LINES = 200


@needs("view")
def setup(request: HttpRequest) -> HttpResponse:
    """Connections and rules: what is coupled with what, and where to change it."""
    service = current()
    connections = [
        {
            "row": row,
            "resources": len(service.store.connections.schema(row.name)),
        }
        for row in service.store.connections.all()
    ]
    rules = []
    for rule in service.lines.rules():
        versions = service.store.documents.versions("rule", rule.entity)
        rules.append({"rule": rule, "newest": versions[0] if versions else None})
    context = {"connections": connections, "rules": rules, **rulebook.steps(service)}
    return render(request, "web/setup/setup.html", context)


@require_POST
@needs("configure")
def check(request: HttpRequest, connection: str) -> HttpResponse:
    """Ask a connection how it is; a paused one that answers well is used again."""
    current().store.connections.get(connection)
    user = who(request)

    def work(engine: Engine) -> str:
        health: Health = engine.check([connection])[connection]
        said = " ".join(health.messages)
        if not health.ok:
            return f"{connection}: {said}"
        return f"{connection}: {health.system} {health.version} ✓ {said}"

    current().store.audit_log.write(user, "check", connection)
    return begin(request, work, _("Check the connection"), "/setup")


@needs("view")
def schema(request: HttpRequest, connection: str) -> HttpResponse:
    """What a system says of itself: its kinds of records with their fields."""
    service = current()
    if connection not in {row.name for row in service.store.connections.all()}:
        raise Http404
    resources = service.store.connections.schema(connection)
    asked = request.GET.get("resource", resources[0].name if resources else "")
    shown = next((one for one in resources if one.name == asked), None)
    context = {
        "connection": service.store.connections.get(connection),
        "resources": [one.name for one in resources],
        "shown": shown,
    }
    return render(request, "web/setup/schema.html", context)


def _rule(entity: str) -> tuple[Rule, str]:
    text = current().store.documents.get("rule", entity)
    if text is None:
        raise Http404
    return load_rule(text, source=f"rules/{entity}.toml"), text


@needs("view")
def rule(request: HttpRequest, entity: str) -> HttpResponse:
    """The rule of an entity as a matrix; a change is checked and previewed before it is saved."""
    live, text = _rule(entity)
    context: dict[str, Any] = {
        "rule": live,
        "fields": rulebook.matrix(current(), live),
        "owners": rulebook.OWNERS,
        "policies": rulebook.POLICIES,
        "directions": rulebook.DIRECTIONS,
        "deletes": rulebook.DELETES,
        "records": rulebook.records_of(live),
        "text": text,
        "versions": current().store.documents.versions("rule", entity),
    }
    return render(request, "web/setup/rule.html", context)


@require_POST
@needs("configure", entity_in="entity")
def change_rule(request: HttpRequest, entity: str) -> HttpResponse:
    """What a changed rule would do; saved where the person is sure."""
    service = current()
    _live, text = _rule(entity)
    wanted = request.POST.get("text")
    if wanted is None:
        wanted = rulebook.changed_text(text, request.POST)
    wanted = wanted.replace("\r\n", "\n")
    if wanted == text:
        note(request, _("Nothing was changed."))
        return redirect("rule", entity=entity)
    found = rulebook.preview(service, entity, wanted)
    if request.POST.get("sure") and not found.faults:
        version = rulebook.save(service, entity, wanted, by=who(request))
        note(request, _("Saved as version %(version)d; it is live.") % {"version": version})
        return redirect("rule", entity=entity)
    context = {
        "entity": entity,
        "preview": found,
        "lines": rulebook.difference(text, wanted, (_("live"), _("changed"))),
        "deletions": rulebook.deletions(text, wanted) if not found.faults else (),
        "action": reverse("change_rule", kwargs={"entity": entity}),
        "back": reverse("rule", kwargs={"entity": entity}),
    }
    looked(request, len(found.foreseen.effects))
    return render(request, "web/setup/preview.html", context)


@needs("view")
def version(request: HttpRequest, entity: str, number: int) -> HttpResponse:
    """A version of a rule against the live one; it can be made live again."""
    documents = current().store.documents
    old, live = documents.get("rule", entity, number), documents.get("rule", entity)
    if old is None or live is None:
        raise Http404
    context = {
        "entity": entity,
        "number": number,
        "text": old,
        "same": old == live,
        "lines": rulebook.difference(old, live, (str(number), _("live"))),
    }
    return render(request, "web/setup/version.html", context)


@needs("view")
def interface(request: HttpRequest) -> HttpResponse:
    """The interface documentation of what is live; `?as=markdown` and `?as=pdf` as a file."""
    context: dict[str, Any] = {
        "parts": rulebook.interface(current()),
        "made_at": datetime.now().astimezone(),
        **rulebook.steps(current()),
    }
    if request.GET.get("as") == "pdf":
        # What draws PDFs is large, and few processes ever do.
        from koppel.web.interface_pdf import interface_pdf

        answer = HttpResponse(interface_pdf(**context), content_type="application/pdf")
        answer.headers["Content-Disposition"] = 'attachment; filename="interface.pdf"'
        return answer
    if request.GET.get("as") == "markdown":
        text = render_to_string("web/setup/interface.txt", context)
        answer = HttpResponse(text, content_type="text/markdown; charset=utf-8")
        answer.headers["Content-Disposition"] = 'attachment; filename="interface.md"'
        return answer
    return render(request, "web/setup/interface.html", context)


@require_POST
@needs("configure", entity_in="entity")
def check_rule(request: HttpRequest, entity: str) -> HttpResponse:
    """What is wrong with a changed rule as far as it is chosen or typed."""
    _live, text = _rule(entity)
    wanted = request.POST.get("text")
    if wanted is None:
        wanted = rulebook.changed_text(text, request.POST)
    faults = rulebook.checked(current(), entity, wanted.replace("\r\n", "\n"))
    return render(request, "web/parts/schedule_check.html", {"faults": faults})


# users and roles


@needs("people")
def users(request: HttpRequest) -> HttpResponse:
    """Users with their roles, and what each role may."""
    people = current().store.people
    factors = current().store.second_factors
    entities, demands = current().store.documents.names("rule"), factors.demands()
    roles = [
        {
            "name": name,
            "fixed": name == "administrator",
            "demand": name in demands,
            "rows": [
                {
                    "action": action,
                    "all": (action, ANY) in rights,
                    "some": [(entity, (action, entity) in rights) for entity in entities],
                }
                for action in ACTIONS
            ],
        }
        for name, rights in people.roles().items()
    ]
    context = {
        "people": people.all(),
        "factors": factors.confirmed(),
        "roles": roles,
        "entities": entities,
    }
    return render(request, "web/setup/users.html", context)


@require_POST
@needs("people")
def change_user(request: HttpRequest) -> HttpResponse:
    """Add a user, change roles or password, let in or keep out, remove."""
    people, form = current().store.people, request.POST
    name, does = form.get("name", "").strip(), form.get("does", "")
    try:
        if does == "add":
            people.add(name, form.get("password", ""), form.getlist("role"))
        elif does == "roles":
            people.set_roles(name, form.getlist("role"))
        elif does == "password":
            people.set_password(name, form.get("password", ""))
        elif does in ("let in", "keep out"):
            people.set_active(name, does == "let in")
        elif does == "remove":
            people.remove(name)
        else:
            raise Http404
    except KoppelError as error:
        trouble(request, error)
    else:
        current().store.audit_log.write(who(request), f"user: {does}", name)
        note(request, _("Done: %(name)s.") % {"name": name})
    return redirect("users")


@require_POST
@needs("people")
def change_role(request: HttpRequest) -> HttpResponse:
    """Replace what a role may; a new name makes a new role."""
    role = request.POST.get("role", "").strip()
    rights = {tuple(one.split(":", 1)) for one in request.POST.getlist("right") if ":" in one}
    try:
        if not role:
            raise Http404
        current().store.people.set_rights(role, {(a, e) for a, e in rights})
    except KoppelError as error:
        trouble(request, error)
    else:
        said = sorted(":".join(one) for one in rights)
        current().store.audit_log.write(who(request), "change role", role, rights=said)
        note(request, _("Done: %(name)s.") % {"name": role})
    return redirect("users")


@needs("people")
def audit(request: HttpRequest) -> HttpResponse:
    """The audit log, and whether it holds together."""
    log = current().store.audit_log
    current().looks.settle(everything=True)
    before = request.GET.get("before", "")
    asked = {name: request.GET.get(name, "").strip() for name in ("user", "action")}
    rows = log.recent(
        LINES + 1, before=int(before) if before.isdigit() else 0, user=asked["user"],
        actions=audited.alike(asked["action"]),
    )  # fmt: skip
    context = {
        "rows": rows[:LINES],
        "next": rows[LINES - 1].id if len(rows) > LINES else None,
        "asked": asked,
        "actions": audited.offered(),
        "verdict": log.verify() if request.GET.get("verify") else None,
    }
    return render(request, "web/setup/audit.html", context)
