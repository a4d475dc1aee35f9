"""Who may do what through Creme's add-on: tokens, the user behind one, and that user's role."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from koppel.connectors.base import Create, Delete, Outcome, Record, Refused, Update, Written
from koppel.connectors.creme import CremeConnector
from koppel.errors import NeedsUser
from lab.creme import Creme
from lab.system import ROOT, Running
from tests.live.creme_inside import inside

pytestmark = pytest.mark.creme

ORGANISATION, CONTACT = "persons.organisation", "persons.contact"
numbers = count(1)

MAKE_USERS = """
from creme.creme_core.auth.entity_credentials import EntityCredentials as Rights
from creme.creme_core.models import CremeUser, SetCredentials, UserRole
from creme.persons import get_contact_model, get_organisation_model
def make(name, apps, sets, creatable=()):
    role = UserRole.objects.smart_create(name=name, creatable_models=creatable)
    role.allowed_apps = apps
    role.save()
    for kind, value in sets:
        SetCredentials.objects.create(role=role, set_type=kind, value=value)
    CremeUser.objects.create_user(
        username=name, first_name=name, last_name=name, email=f"{name}@nordwerk.example",
        password=name, role=role)
every, own = SetCredentials.ESET_ALL, SetCredentials.ESET_OWN
make("looker", ["persons"], [(every, Rights.VIEW)])
make("owner", ["persons"], [(own, Rights.VIEW | Rights.CHANGE)], [get_organisation_model()])
make("outsider", ["documents"], [(every, Rights.VIEW)])
"""


def koppel_token(running: Running, *arguments: str) -> str:
    """What Creme's command `koppel_token` prints."""
    lab = Creme()
    done = subprocess.run(
        [str(lab.python), "-m", "creme.manage", "koppel_token", *arguments],
        env=lab.environment(Path(running.folder)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.stdout.strip() or done.stderr.strip()


@pytest.fixture(scope="module")
def tokens(creme: Running) -> dict[str, str]:
    inside(creme, MAKE_USERS)
    return {name: koppel_token(creme, name) for name in ("looker", "owner", "outsider")}


@pytest.fixture
def connectors(creme: Running, tokens: dict[str, str]) -> Iterator[dict[str, CremeConnector]]:
    made = {name: CremeConnector(creme.url, token) for name, token in tokens.items()}
    made["koppel"] = CremeConnector(creme.url, creme.koppel["token"])
    yield made
    for connector in made.values():
        connector.close()


def write(connector: CremeConnector, wish: Any) -> Outcome:
    (outcome,) = connector.write([wish])
    return outcome


def create(connector: CremeConnector, **fields: Any) -> Outcome:
    number = next(numbers)
    fields = {"name": f"Recht {number}", **fields}
    return write(
        connector,
        Create(resource=ORGANISATION, key=f"rights-{id(connector)}-{number}", fields=fields),
    )


def record(outcome: Outcome) -> Record:
    assert isinstance(outcome, Written), outcome
    assert isinstance(outcome.after, Record)
    return outcome.after


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer wrong", "Basic cm9vdDpyb290", "Bearer ü".encode()]
)
@pytest.mark.parametrize("path", ["health", "changes?resource=persons.organisation"])
def test_nothing_is_told_without_a_valid_token(
    creme: Running, header: str | bytes, path: str
) -> None:
    answer = httpx.get(
        f"{creme.url}/koppel/api/v1/{path}", headers={b"Authorization": header} if header else {}
    )
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"


def test_a_session_of_the_web_pages_is_no_token(creme: Running) -> None:
    with httpx.Client(base_url=creme.url, follow_redirects=True) as web:
        page = web.get("/creme_login").text
        token = page.split('name="csrfmiddlewaretoken" value="', 1)[1].split('"', 1)[0]
        web.post(
            "/creme_login",
            data={"username": "root", "password": "root", "csrfmiddlewaretoken": token},
        )
        assert web.get("/koppel/api/v1/health").status_code == 401


def test_a_token_stands_for_its_user_until_it_is_taken_away(creme: Running) -> None:
    connector = CremeConnector(creme.url, koppel_token(creme, "paul", "--label", "a test"))
    assert connector.check().user == "paul"
    assert koppel_token(creme, "paul", "--revoke") == "1 tokens of paul were taken away."
    with pytest.raises(NeedsUser) as caught:
        connector.check()
    assert "koppel_token" in caught.value.remedy
    connector.close()


def test_a_token_for_nobody_is_not_made(creme: Running) -> None:
    assert "There is no Creme user named nobody" in koppel_token(creme, "nobody")


def test_a_stored_token_cannot_be_read_back(creme: Running, tokens: dict[str, str]) -> None:
    kept = inside(
        creme,
        "from koppel_creme.models import Token\n"
        "answer = list(Token.objects.values_list('digest', flat=True))",
    )
    assert len(kept) == len(tokens)
    assert not set(kept) & set(tokens.values())


def test_a_user_who_is_no_longer_active_is_let_in_no_more(creme: Running) -> None:
    token = koppel_token(creme, "paul")
    switch = (
        "from creme.creme_core.models import CremeUser\n"
        "CremeUser.objects.filter(username='paul').update(is_active=on)"
    )
    inside(creme, switch, on=False)
    connector = CremeConnector(creme.url, token)
    with pytest.raises(NeedsUser):
        connector.check()
    inside(creme, switch, on=True)
    assert connector.check().user == "paul"
    connector.close()


def test_who_may_only_look_changes_nothing(connectors: dict[str, CremeConnector]) -> None:
    there = record(create(connectors["koppel"]))
    looker = connectors["looker"]
    assert looker.fetch(ORGANISATION, [there.id])[there.id] == there
    wishes: list[Any] = [
        Update(
            resource=ORGANISATION,
            key=f"look-{there.id}-u",
            id=there.id,
            expected=there.version,
            fields={"phone": "1"},
        ),
        Delete(resource=ORGANISATION, key=f"look-{there.id}-d", id=there.id),
        Create(resource=ORGANISATION, key=f"look-{there.id}-c", fields={"name": "Neu"}),
    ]
    for outcome in looker.write(wishes):
        assert isinstance(outcome, Refused), outcome
        assert outcome.reason == "forbidden"
    assert looker.fetch(ORGANISATION, [there.id])[there.id] == there


def test_check_tells_what_the_user_may_not_do(connectors: dict[str, CremeConnector]) -> None:
    health = connectors["looker"].check()
    assert not health.ok
    assert health.messages[1] == (
        "The Creme user looker may not create, change, delete, link, unlink persons.contact."
    )
    assert connectors["koppel"].check().ok


def test_a_record_that_the_user_may_not_see_is_never_taken_for_a_deleted_one(
    connectors: dict[str, CremeConnector],
) -> None:
    cursor = connectors["owner"].now(ORGANISATION)
    hidden = record(create(connectors["koppel"]))
    mine = record(create(connectors["owner"]))
    owner = connectors["owner"]
    with pytest.raises(NeedsUser) as caught:
        owner.fetch(ORGANISATION, [mine.id, hidden.id])
    assert hidden.id in caught.value.message
    swept = [id for id, _ in owner.ids(ORGANISATION).items]
    assert mine.id in swept
    assert hidden.id not in swept
    told = owner.changes(ORGANISATION, cursor, 100).changes
    assert [change.id for change in told] == [mine.id]
    assert list(owner.find(ORGANISATION, {"name": hidden.fields["name"]})) == []
    outcome = write(
        owner,
        Update(
            resource=ORGANISATION,
            key=f"hidden-{hidden.id}",
            id=hidden.id,
            expected=None,
            fields={"phone": "1"},
        ),
    )
    assert isinstance(outcome, Refused)
    assert outcome.reason == "forbidden"


def test_a_role_is_not_given_without_the_right_to_link(
    connectors: dict[str, CremeConnector],
) -> None:
    outcome = create(connectors["owner"], roles=["customer"])
    assert isinstance(outcome, Refused)
    assert outcome.reason == "forbidden"
    assert outcome.fields == ("roles",)


def test_who_has_no_access_to_persons_is_told_so(connectors: dict[str, CremeConnector]) -> None:
    with pytest.raises(NeedsUser) as caught:
        connectors["outsider"].now(ORGANISATION)
    assert caught.value.remedy
