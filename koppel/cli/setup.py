"""`koppel init | check | describe | connections | export | import`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import tomlkit
import typer

from koppel.cli import offers
from koppel.cli.app import Json, app, session
from koppel.cli.guide import lead, lead_if_asked
from koppel.cli.session import out, plain, table
from koppel.connectors import registry
from koppel.engine import Engine, budget, naming
from koppel.engine.guide import Guide
from koppel.engine.lines import HINT_SECRET
from koppel.errors import NeedsUser
from koppel.mapping.document import default_rule, load_mapping, load_rule
from koppel.mapping.schedule import load_schedules
from koppel.processes import settings
from koppel.store import Store
from koppel.sync.rule import SIDES, Side

Setting = Annotated[
    list[str] | None, typer.Option(help="A setting as name=value; secrets better by environment.")
]


@app.command()
def init(
    context: typer.Context,
    crm: Annotated[str, typer.Option(help="The CRM's connector type.")] = "creme",
    erp: Annotated[str, typer.Option(help="The ERP's connector type.")] = "tryton",
    crm_name: Annotated[
        str, typer.Option(help="What to call the CRM's connection; default: its type.")
    ] = "",
    erp_name: Annotated[
        str, typer.Option(help="What to call the ERP's connection; default: its type.")
    ] = "",
    crm_set: Setting = None,
    erp_set: Setting = None,
    entities: Annotated[
        str,
        typer.Option(help="What to couple; else partner, contact, and product if both have it."),
    ] = "",
    continue_: Annotated[
        bool, typer.Option("--continue", help="Go on with the introduction where it stands.")
    ] = False,
    pages: Annotated[
        bool,
        typer.Option("--pages", help="Lead through the rest on the pages of koppel serve."),
    ] = False,
    json: Json = False,
) -> None:
    """Configure both connections and the sync rules; asks for what is missing, then leads on.

    A setting may also come from the environment: KOPPEL_CRM_URL, KOPPEL_ERP_PASSWORD and so on.
    """
    here = session(context, json)
    if continue_:
        lead(here)
        return
    store = here.store(create=True)
    types: dict[Side, str] = {"crm": crm, "erp": erp}
    names = _names(store, types, {"crm": crm_name, "erp": erp_name})
    given: dict[Side, list[str]] = {"crm": crm_set or [], "erp": erp_set or []}
    settled = {side: _settings(side, types[side], given[side]) for side in SIDES}
    for side in SIDES:
        before = naming.of_side(store, side)
        if before is not None:
            naming.rename(store, before, names[side], user=here.user)
        config, secrets = settled[side]
        store.connections.put(
            names[side], side=side, type=types[side], config=config, secrets=secrets
        )
    store.second_factors.seal_anew()
    wanted = [name for one in entities.split(",") if (name := one.strip())] or list(offers.ALWAYS)
    for entity in wanted:
        _put_rule(store, entity, names, here.user)
    if store.documents.get(settings.KIND, settings.NAME) is None:
        text = naming.named(settings.shipped_settings(), names)
        store.documents.put(settings.KIND, settings.NAME, text, author=here.user)
    store.inbox.log(here.user, "init", f"{names['crm']} {names['erp']}", entities=",".join(wanted))
    engine = Engine(store)
    try:
        guide = Guide(engine, user=here.user)
        systems = guide.connect().result["systems"]
        more = [] if entities else offers.offered(engine.lines, list(names.values()))
        for entity in more:
            _put_rule(store, entity, names, here.user)
            wanted.append(entity)
        if more:
            guide.connect()
    finally:
        engine.close()
    here.print(
        {"home": str(here.home), "connections": list(systems), "entities": wanted},
        lambda _: here.say(
            f"Ready: {names['crm']} and {names['erp']} answer. Next: koppel guide run assess"
        ),
    )
    if pages:
        store.guide.add("assess", "open", by=here.user, result={})
        here.say("Start koppel serve and open its page Set-up. Nothing runs by itself meanwhile.")
    else:
        lead_if_asked(here)


def _put_rule(store: Store, entity: str, names: Mapping[Side, str], user: str) -> None:
    """The rule that Koppel brings along, where there is none yet."""
    if store.documents.get("rule", entity) is None:
        text = naming.named(default_rule(entity), names)
        load_rule(text, source=f"rules/{entity}.toml")
        store.documents.put("rule", entity, text, author=user)


def _names(store: Store, types: Mapping[Side, str], given: Mapping[Side, str]) -> dict[Side, str]:
    """What the connections are called: as given, as before, as answered, or by their types.

    A side that has a connection already keeps it: another name renames it.
    """
    names: dict[Side, str] = {}
    for side in SIDES:
        before = naming.of_side(store, side)
        name = given[side] or before or naming.proposed(side, types)
        if not given[side] and before is None and sys.stdin.isatty():
            name = typer.prompt(f"A name for the {side.upper()}'s connection", default=name)
        names[side] = naming.checked(name)
    if names["crm"] == names["erp"]:
        raise NeedsUser(
            f"both connections would be called '{names['crm']}'",
            remedy="Name them with --crm-name and --erp-name",
        )
    return names


def _settings(side: str, type_name: str, given: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Settings and secrets: as given, from the environment, by asking, or the default."""
    values: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise NeedsUser(f"'{pair}' is no setting", remedy="Write it as name=value")
        values[name] = value
    options = registry.options(type_name)
    prefix = f"KOPPEL_{side.upper()}_"
    for option in options:
        value = os.environ.get(f"{prefix}{option.name.upper()}", "")
        if value:
            values.setdefault(option.name, value)
        if option.required and option.name not in values and sys.stdin.isatty():
            values[option.name] = typer.prompt(
                f"{type_name}: {option.label}", hide_input=option.secret
            )
    hidden = {option.name for option in options if option.secret} | {HINT_SECRET}
    secret = os.environ.get(f"{prefix}HINT_SECRET") or values.pop(HINT_SECRET, "")
    registry.complete(options, values, place=type_name)
    secrets = {name: value for name, value in values.items() if name in hidden}
    if secret:
        secrets[HINT_SECRET] = secret
    return {name: value for name, value in values.items() if name not in hidden}, secrets


@app.command()
def check(context: typer.Context, json: Json = False) -> None:
    """Ask both systems how they are, and check rules and mappings against them."""
    here = session(context, json)
    with here.engine("asking the systems") as engine:
        health = engine.check()
        if all(answer.ok for answer in health.values()):
            engine.lines.all()
    here.print(
        health,
        lambda found: table(
            "Connections",
            ("name", "answers", "system", "version", "user", "remarks"),
            [
                (name, "yes" if h.ok else "NO", h.system, h.version, h.user, " ".join(h.messages))
                for name, h in found.items()
            ],
        ),
    )
    if not all(answer.ok for answer in health.values()):
        raise typer.Exit(3)


@app.command()
def describe(
    context: typer.Context,
    connection: Annotated[str, typer.Argument(help="Which system; default: all.")] = "",
    json: Json = False,
) -> None:
    """Print the record types and fields as the systems themselves describe them."""
    here = session(context, json)
    with here.engine("asking the systems") as engine:
        names = [connection] if connection else [c.name for c in engine.store.connections.all()]
        found = {name: engine.lines.describe(name) for name in names}
    here.print(found, lambda _: _show_resources(found))


def _show_resources(found: dict[str, Any]) -> None:
    for name, resources in found.items():
        for resource in resources:
            table(
                f"{name}: {resource.name} ({resource.label})",
                ("field", "type", "must", "may be written", "limit", "choices"),
                [
                    (
                        info.name,
                        info.type,
                        "yes" if info.required else "",
                        "yes" if info.writable else "no",
                        info.max_length or info.scale or "",
                        ", ".join(choice.value for choice in info.choices[:8])
                        or ", ".join(child.name for child in info.fields),
                    )
                    for info in resource.fields
                ],
            )


connections = typer.Typer(help="The two systems by name.", no_args_is_help=True)
app.add_typer(connections, name="connections")


@connections.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """Which connections there are, of what type, on which side, and what they are set to."""
    here = session(context, json)
    rows = [
        {"name": c.name, "side": c.side, "type": c.type, "settings": plain(c.config)}
        for c in here.store().connections.all()
    ]
    here.print(
        rows,
        lambda found: table(
            "Connections",
            ("name", "side", "type", "settings"),
            [(c["name"], c["side"].upper(), c["type"], c["settings"]) for c in found],
        ),
    )


@connections.command()
def rename(
    context: typer.Context,
    old: Annotated[str, typer.Argument(help="The name that it has.")],
    new: Annotated[str, typer.Argument(help="The name that it gets.")],
    json: Json = False,
) -> None:
    """Give a connection another name, in all rules and mappings too. Couplings stay as they are."""
    here = session(context, json)
    naming.rename(here.store(), old, new, user=here.user)
    here.print(
        {"name": new, "before": old},
        lambda _: here.say(
            f"{old} is called {new} now. A system that sends hints has to send them to "
            f"/hints/{new} from now on."
        ),
    )


KINDS = ("rule", "mapping", "overlay", "process", "schedule", budget.KIND)


@app.command()
def export(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Where to; default: standard output.")] = None,
) -> None:
    """Write rules, mappings and connections (never a secret) as one TOML document."""
    here = session(context)
    values = exported(here.store())
    for kind in KINDS:
        values[kind] = {name: _readable(text) for name, text in values[kind].items()}
    text = tomlkit.dumps(values)
    if file is None:
        sys.stdout.write(text)
    else:
        file.write_text(text, encoding="utf-8")
        here.say(f"Written to {file}.")


def _readable(text: str) -> Any:
    """A document inside the document, line by line, so that a person can edit it in place."""
    if "\r" in text:
        return text
    return tomlkit.string(text, literal="'''" not in text, multiline=True)


def exported(store: Store) -> dict[str, Any]:
    """The configuration as plain values."""
    documents: dict[str, Any] = {
        kind: {name: store.documents.get(kind, name) or "" for name in store.documents.names(kind)}
        for kind in KINDS
    }
    connections = {
        row.name: {"side": row.side, "type": row.type, "settings": plain(row.config)}
        for row in store.connections.all()
    }
    return {"koppel": 1, "connections": connections, **documents}


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A document that `koppel export` wrote.")],
    json: Json = False,
) -> None:
    """Read rules and mappings back; each becomes a new version where it differs."""
    here = session(context, json)
    try:
        read = tomlkit.parse(file.read_text(encoding="utf-8")).unwrap()
    except (OSError, tomlkit.exceptions.ParseError) as error:
        raise NeedsUser(f"cannot be read: {error}", place=str(file)) from error
    for name, text in read.get("rule", {}).items():
        load_rule(text, source=f"{file}: rule {name}")
    for name, text in read.get("mapping", {}).items():
        load_mapping(text, source=f"{file}: mapping {name}")
    for name, text in read.get(settings.KIND, {}).items():
        settings.parse_settings(text, source=f"{file}: {settings.KIND} {name}")
    for name, text in read.get(budget.KIND, {}).items():
        budget.parse_budget(text, source=f"{file}: {budget.KIND} {name}")
    store = here.store()
    names = [row.name for row in store.connections.all()]
    for name, text in read.get("schedule", {}).items():
        load_schedules(text, source=f"{file}: schedule {name}", connections=names)
    versions = {
        f"{kind} {name}": store.documents.put(kind, name, text, author=here.user)
        for kind in KINDS
        for name, text in read.get(kind, {}).items()
    }
    store.inbox.log(here.user, "import", str(file))
    here.print(versions, lambda found: out.print(f"Read {len(found)} documents."))
