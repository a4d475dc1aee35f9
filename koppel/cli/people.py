"""`koppel user | sign-in | audit-log`: who may use the pages, how, and what was done there."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from koppel.cli.app import Json, app, session
from koppel.cli.session import FAILED, err, table
from koppel.errors import NeedsUser
from koppel.store.provider import ProviderSettings, parse_provider

user = typer.Typer(help="Users of the pages: add, list, change roles and password, remove.")
audit_log = typer.Typer(help="The audit log: show it, and verify that nothing was changed.")
app.add_typer(user, name="user")
app.add_typer(audit_log, name="audit-log")
sign_in = typer.Typer(help="The company's sign-in service (OpenID Connect): set up, check, link.")
app.add_typer(sign_in, name="sign-in")

Name = Annotated[str, typer.Argument(help="The user's name.")]
Role = Annotated[
    list[str],
    typer.Option("--role", help="administrator, integrator, clerk, sales, viewer, or your own."),
]
FromInput = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]


def _password(from_input: bool) -> str:
    """Asked twice on a terminal, where it is not shown; never an option, which others could see."""
    if from_input:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise NeedsUser(
            "there is no terminal to ask for the password", remedy="Give --password-stdin"
        )
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("Once more: "):
        raise NeedsUser("the two passwords differ; nothing was changed")
    return first


@user.command()
def add(
    context: typer.Context,
    name: Name,
    role: Role,
    email: Annotated[str, typer.Option(help="The e-mail address.")] = "",
    full_name: Annotated[str, typer.Option("--full-name", help="As people call the user.")] = "",
    password_stdin: FromInput = False,
) -> None:
    """Make a user of the pages; the password is asked for."""
    here = session(context)
    store = here.store()
    store.people.add(name, _password(password_stdin), role, email=email, full_name=full_name)
    store.audit_log.write(here.user, "add user", name, roles=role)
    here.say(f"{name} may sign in now.")


@user.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """All users with their roles."""
    here = session(context, json)
    factors = here.store().second_factors.confirmed()
    rows: list[dict[str, Any]] = [
        {
            "name": one.name,
            "roles": ["administrator"] if one.superuser else list(one.roles),
            "active": one.active,
            "second factor": one.name in factors,
            "last sign-in": one.last_login,
        }
        for one in here.store().people.all()
    ]
    here.print(
        rows,
        lambda found: table(
            "Users",
            ("name", "roles", "active", "second factor", "last sign-in"),
            [tuple(row.values()) for row in found],
        ),
    )


@user.command("role")
def role_(
    context: typer.Context,
    name: Name,
    roles: Annotated[list[str], typer.Argument(help="All roles that the user has from now on.")],
) -> None:
    """Replace a user's roles."""
    here = session(context)
    store = here.store()
    person = store.people.set_roles(name, roles)
    store.audit_log.write(here.user, "set roles", name, roles=roles)
    here.say(f"{name} is now: {', '.join(person.roles)}.")


@user.command()
def password(context: typer.Context, name: Name, password_stdin: FromInput = False) -> None:
    """Give a user a new password; the user's sessions end."""
    here = session(context)
    store = here.store()
    store.people.get(name)
    store.people.set_password(name, _password(password_stdin))
    store.audit_log.write(here.user, "set password", name)
    here.say(f"{name} has a new password.")


@user.command("reset-second-factor")
def reset_second_factor(context: typer.Context, name: Name) -> None:
    """Take the second factor away from a user who lost app and recovery codes."""
    here = session(context)
    store = here.store()
    store.second_factors.remove(name)
    store.audit_log.write(here.user, "reset second factor", name)
    here.say(f"{name} signs in with the password alone until a new one is set up.")


@user.command("demand-second-factor")
def demand_second_factor(
    context: typer.Context,
    role: Annotated[str, typer.Argument(help="The role, such as administrator.")],
    off: Annotated[bool, typer.Option("--off", help="No longer demand it.")] = False,
) -> None:
    """Let nobody of a role on who has no second factor; they set one up at the next page."""
    here = session(context)
    store = here.store()
    store.second_factors.demand(role, not off)
    said = "no longer demand second factor" if off else "demand second factor"
    store.audit_log.write(here.user, said, role)
    here.say(f"{role}: a second factor is {'no longer demanded' if off else 'demanded'}.")


@user.command()
def remove(context: typer.Context, name: Name) -> None:
    """Remove a user; what the user did stays in the logs."""
    here = session(context)
    store = here.store()
    store.people.remove(name)
    store.audit_log.write(here.user, "remove user", name)
    here.say(f"{name} is removed.")


@sign_in.command("set")
def set_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The document, in TOML.")],
) -> None:
    """Read the document, ask the service, and use it from now on."""
    here = session(context)
    store = here.store()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NeedsUser(f"cannot be read: {error}", place=str(file)) from error
    _ask(parse_provider(text, source=str(file)))
    told = store.provider.set_up(text, source=str(file), user=here.user)
    store.audit_log.write(here.user, "set sign-in service", told.issuer)
    here.say(f"People may sign in by {told.issuer} now.")


@sign_in.command("check")
def check_(context: typer.Context) -> None:
    """Ask the service that is set up what it says of itself."""
    here = session(context)
    settings = here.store().provider.settings()
    if settings is None:
        raise NeedsUser("no sign-in service is set up", remedy="koppel sign-in set FILE")
    told = _ask(settings)
    here.say(f"{settings.issuer} answers; it signs with {', '.join(told)}.")


def _ask(settings: ProviderSettings) -> list[str]:
    """How the service signs; `NeedsUser` where it does not answer as it should."""
    import requests

    from koppel.web.provider import Provider

    try:
        told = Provider(settings).check()
    except (requests.RequestException, ValueError) as error:
        raise NeedsUser(
            f"the sign-in service does not answer: {error}",
            place=settings.issuer,
            remedy="Check 'issuer', and that it can be reached from here",
        ) from error
    return list(told["id_token_signing_alg_values_supported"])


@sign_in.command()
def off(context: typer.Context) -> None:
    """Use no sign-in service; names and passwords are taken again."""
    here = session(context)
    store = here.store()
    store.provider.switch_off(here.user)
    store.audit_log.write(here.user, "sign-in service off")
    here.say("Off. Names and passwords are taken.")


@sign_in.command()
def link(
    context: typer.Context,
    name: Name,
    subject: Annotated[str, typer.Argument(help="The service's identifier of that person.")],
) -> None:
    """Say that a user is this person of the service; the refused page tells the identifier."""
    here = session(context)
    store = here.store()
    store.provider.link(name, subject)
    store.audit_log.write(here.user, "link user", name, identifier=subject)
    here.say(f"{name} may sign in by the service now.")


@audit_log.command()
def show(
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="How many, the newest first.")] = 50,
    json: Json = False,
) -> None:
    """Who did and saw what."""
    here = session(context, json)
    rows = [
        {"at": e.at, "user": e.user, "action": e.action, "subject": e.subject, "detail": e.detail}
        for e in here.store().audit_log.recent(limit)
    ]
    here.print(
        rows,
        lambda found: table(
            "Audit log",
            ("at (UTC)", "user", "action", "subject", "detail"),
            [tuple(row.values()) for row in found],
        ),
    )


@audit_log.command()
def verify(
    context: typer.Context,
    expect: Annotated[str, typer.Option(help="A digest noted earlier: is its line there?")] = "",
    json: Json = False,
) -> None:
    """Was a line changed, removed or put in? Note the digest elsewhere to guard the end, too."""
    here = session(context, json)
    verdict = here.store().audit_log.verify(expect)
    value = {"lines": verdict.lines, "digest": verdict.digest, "faults": list(verdict.faults)}

    def print_it(_: Any) -> None:
        for fault in verdict.faults:
            err.print(f"[red]{fault}[/]", highlight=False)
        state = "do not hold together" if verdict.faults else "hold together"
        here.say(f"{verdict.lines} lines {state}. Digest: {verdict.digest or 'none yet'}")

    here.print(value, print_it)
    if verdict.faults:
        raise typer.Exit(FAILED)
