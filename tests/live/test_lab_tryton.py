"""The lab's Tryton: it starts, keeps, forgets and stops as it promises."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import process
from lab.system import ROOT, LabError, Running
from lab.tryton import TrytonLab
from lab.world import build

pytestmark = pytest.mark.tryton

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Session:
    """A plain JSON-RPC session, so that these tests need no connector."""

    def __init__(self, url: str, database: str, username: str, password: str) -> None:
        self._url, self._headers = f"{url}{database}/rpc/", {"Content-Type": "application/json"}
        user, token, _ = self._call("common.db.login", username, {"password": password})
        secret = base64.b64encode(f"{username}:{user}:{token}".encode()).decode()
        self._headers["Authorization"] = f"Session {secret}"
        self._context = self._call("model.res.user.get_preferences", True, {})

    def _call(self, method: str, *params: Any) -> Any:
        body = json.dumps({"id": 1, "method": method, "params": params}).encode()
        with _OPENER.open(urllib.request.Request(self._url, body, self._headers)) as answer:
            found = json.load(answer)
        if "error" in found:
            raise RuntimeError(str(found["error"]))
        return found["result"]

    def __call__(self, method: str, *params: Any, **context: Any) -> Any:
        return self._call(f"model.{method}", *params, {**self._context, **context})


def _session(running: Running) -> Session:
    return Session(**running.koppel)


def _names(running: Running) -> set[str]:
    rows = _session(running)("party.party.search_read", [], 0, None, None, ["name"])
    return {row["name"] for row in rows}


@pytest.fixture(scope="module")
def lab() -> TrytonLab:
    lab = TrytonLab(attached=True)
    lab.set_up("bare")
    return lab


@pytest.fixture
def instance(lab: TrytonLab, worker_id: str) -> Iterator[str]:
    name = f"lab-{worker_id}"
    lab.reset(name, "bare")
    yield name
    lab.stop(name)
    shutil.rmtree(lab.folder / "templates" / f"kept-{name}", ignore_errors=True)


@pytest.fixture(scope="module")
def demo(worker_id: str) -> Iterator[tuple[Session, dict[str, dict[str, int]]]]:
    lab = TrytonLab(attached=True)
    name = f"lab-demo-{worker_id}"
    lab.reset(name, "demo")
    running = lab.start(name, "demo")
    yield _session(running), lab.seeded("demo")
    lab.stop(name)


def test_it_starts_with_the_company_and_no_customer(lab: TrytonLab, instance: str) -> None:
    running = lab.start(instance, "bare")
    assert running.name == "tryton"
    assert _names(running) == {"Nordwerk Maschinenbau GmbH"}


def test_people_who_open_its_address_are_told_how_to_look_inside(
    lab: TrytonLab, instance: str
) -> None:
    running = lab.start(instance, "bare")
    with _OPENER.open(running.url) as answer:
        page = answer.read().decode()
    assert f"<code>127.0.0.1:{running.extra['port']}</code>" in page


def test_what_was_written_is_there_after_stop_and_start_and_gone_after_reset(
    lab: TrytonLab, instance: str
) -> None:
    running = lab.start(instance, "bare")
    _session(running)("party.party.create", [{"name": "Stays"}])
    lab.stop(instance)
    assert not process.alive(running.pid, instance)
    again = lab.start(instance, "bare")
    assert "Stays" in _names(again)
    lab.reset(instance, "bare")
    assert not process.alive(again.pid, instance)
    assert "Stays" not in _names(lab.start(instance, "bare"))


def test_a_snapshot_of_a_running_instance_is_a_template(lab: TrytonLab, instance: str) -> None:
    running = lab.start(instance, "bare")
    _session(running)("party.party.create", [{"name": "Kept"}])
    lab.snapshot(f"kept-{instance}", instance)
    lab.reset(instance, f"kept-{instance}")
    assert "Kept" in _names(lab.start(instance, f"kept-{instance}"))


def test_the_built_in_templates_cannot_be_overwritten(lab: TrytonLab, instance: str) -> None:
    with pytest.raises(LabError, match="built-in template"):
        lab.snapshot("bare", instance)


def test_an_unknown_template_is_one_sentence(lab: TrytonLab, instance: str) -> None:
    with pytest.raises(LabError, match="no template 'nowhere'"):
        lab.reset(instance, "nowhere")


def test_starting_what_runs_gives_the_same_process(lab: TrytonLab, instance: str) -> None:
    first = lab.start(instance, "bare")
    assert lab.start(instance, "bare").pid == first.pid


def test_stopping_twice_is_harmless(lab: TrytonLab, instance: str) -> None:
    lab.stop(instance)
    lab.stop(instance)


def test_a_taken_port_is_one_sentence(lab: TrytonLab, instance: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LabError, match=rf"port {port} of 127\.0\.0\.1 is taken"):
            lab.start(instance, "bare", port)


def test_a_template_that_is_there_is_copied_not_made_again(lab: TrytonLab) -> None:
    made = (lab.folder / "templates" / "bare" / "koppel.sqlite").stat().st_mtime_ns
    lab.set_up("bare")
    assert (lab.folder / "templates" / "bare" / "koppel.sqlite").stat().st_mtime_ns == made


def test_an_attached_server_ends_with_the_process_that_started_it(
    lab: TrytonLab, instance: str
) -> None:
    program = textwrap.dedent(
        f"""
        import time
        from lab.tryton import TrytonLab
        print(TrytonLab(attached=True).start({instance!r}, "bare").pid, flush=True)
        time.sleep(600)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert process.alive(pid, instance)
        starter.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 15
    while process.alive(pid, instance) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not process.alive(pid, instance)


def test_its_command_line_says_what_is_wrong_in_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lab.tryton", "snapshot", "--template", "demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "built-in template" in done.stderr


# -- the add-on ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rpc(lab: TrytonLab, worker_id: str) -> Iterator[Session]:
    name = f"lab-addon-{worker_id}"
    lab.reset(name, "bare")
    yield _session(lab.start(name, "bare"))
    lab.stop(name)


def _party(rpc: Session, **more: Any) -> int:
    values = {
        "name": "Müller",
        "addresses": [["create", [{"street_unstructured": "A 1", "city": "Kiel"}]]],
        "contact_mechanisms": [["create", [{"type": "phone", "value": "+49 431 1"}]]],
        **more,
    }
    made: int = rpc("party.party.create", [values])[0]
    return made


def _version(rpc: Session, party: int) -> str:
    ((_, version, _),) = rpc("party.party.koppel_versions", party - 1, 1)
    return str(version)


def _child(rpc: Session, party: int, field: str) -> list[int]:
    children: list[int] = rpc("party.party.read", [party], [field])[0][field]
    return children


def test_a_key_is_accepted_once(rpc: Session) -> None:
    _party(rpc, koppel_key="once")
    with pytest.raises(RuntimeError, match="already has this Koppel key"):
        _party(rpc, koppel_key="once")


def test_a_copy_of_a_party_does_not_take_its_key(rpc: Session) -> None:
    party = _party(rpc, koppel_key="original")
    (copy,) = rpc("party.party.copy", [party])
    assert rpc("party.party.read", [copy], ["koppel_key"])[0]["koppel_key"] is None


def test_nobody_but_koppel_may_write_a_key(rpc: Session, lab: TrytonLab, worker_id: str) -> None:
    running = lab.start(f"lab-addon-{worker_id}", "bare")
    admin = Session(running.url, running.koppel["database"], *running.admin)
    admin(
        "res.user.create",
        [{"login": "human", "password": "human-lab", "companies": [["add", [1]]], "company": 1}],
    )
    human = Session(running.url, running.koppel["database"], "human", "human-lab")
    (party,) = human("party.party.create", [{"name": "By hand"}])
    with pytest.raises(RuntimeError, match="Koppel Key"):
        human("party.party.write", [party], {"koppel_key": "forged"})


@pytest.mark.parametrize(
    ("field", "model", "values"),
    [
        ("addresses", "party.address", {"city": "Köln"}),
        ("contact_mechanisms", "party.contact_mechanism", {"value": "+49 431 2"}),
    ],
)
def test_the_version_moves_with_a_child(
    rpc: Session, field: str, model: str, values: dict[str, str]
) -> None:
    party = _party(rpc)
    seen = [_version(rpc, party)]
    assert _version(rpc, party) == seen[0]
    rpc(f"{model}.write", _child(rpc, party, field), values)
    seen.append(_version(rpc, party))
    rpc(f"{model}.create", [{"party": party, **({"type": "phone"} if "value" in values else {}),
                             **values}])  # fmt: skip
    seen.append(_version(rpc, party))
    rpc(f"{model}.delete", _child(rpc, party, field)[:1])
    seen.append(_version(rpc, party))
    assert len(set(seen)) == 4


def test_the_version_moves_with_the_iban(rpc: Session) -> None:
    party = _party(rpc)
    before = _version(rpc, party)
    (account,) = rpc(
        "bank.account.create",
        [{"owners": [["add", [party]]],
          "numbers": [["create", [{"type": "iban", "number": "DE89370400440532013000"}]]]}],
    )  # fmt: skip
    added = _version(rpc, party)
    numbers = rpc("bank.account.number.search", [["account", "=", account]], 0, None, None)
    rpc("bank.account.number.write", numbers, {"number": "AT611904300234573201"})
    assert len({before, added, _version(rpc, party)}) == 3


@pytest.mark.parametrize("from_company", [False, True])
def test_a_relation_belongs_to_the_contact_from_whichever_side_it_was_made(
    rpc: Session, from_company: bool
) -> None:
    company, person = _party(rpc), _party(rpc)
    kinds = rpc("party.relation.type.search_read", [], 0, None, None, ["name"])
    kind = {row["name"]: row["id"] for row in kinds}
    before = _version(rpc, company), _version(rpc, person)
    ends = (company, person) if from_company else (person, company)
    name = "has contact" if from_company else "employee of"
    rpc("party.relation.all.create", [{"from_": ends[0], "to": ends[1], "type": kind[name]}])
    assert _version(rpc, company) == before[0]
    assert _version(rpc, person) != before[1]


def test_a_write_on_an_old_version_is_refused(rpc: Session) -> None:
    party = _party(rpc)
    old = _version(rpc, party)
    new = rpc("party.party.koppel_write", party, {"name": "Mueller"}, old)
    assert new == _version(rpc, party) != old
    rpc("party.address.write", _child(rpc, party, "addresses"), {"city": "Köln"})
    for method, more in (("koppel_write", [{"name": "Lost"}]), ("koppel_delete", [])):
        with pytest.raises(RuntimeError, match="ConcurrencyException"):
            rpc(f"party.party.{method}", party, *more, new)
    assert rpc("party.party.read", [party], ["name"])[0]["name"] == "Mueller"


def test_the_sweep_is_complete_in_pages_and_knows_archived_parties(rpc: Session) -> None:
    party = _party(rpc)
    rpc("party.party.write", [party], {"active": False})
    found: list[int] = []
    while page := rpc("party.party.koppel_versions", found[-1] if found else 0, 3):
        assert len(page) <= 3
        found += [row[0] for row in page]
    everyone = rpc("party.party.search", [], 0, None, [["id", "ASC"]], active_test=False)
    assert found == everyone
    assert party in found


def test_parties_are_found_by_a_change_of_a_child(rpc: Session) -> None:
    quiet, moved = _party(rpc), _party(rpc)
    stamp = rpc("party.party.read", [moved], ["koppel_changed_at"])[0]["koppel_changed_at"]
    rpc("party.address.write", _child(rpc, moved, "addresses"), {"city": "Köln"})
    found = rpc("party.party.search", [["koppel_changed_at", ">", stamp]], 0, None, None)
    assert moved in found
    assert quiet not in found


# -- the demo template -----------------------------------------------------------------------

Demo = tuple[Session, dict[str, dict[str, int]]]


def test_the_demo_holds_every_customer_of_the_world(demo: Demo) -> None:
    session, seeded = demo
    world = build()
    assert set(seeded["partners"]) == {partner.key for partner in world.erp}
    rows = session(
        "party.party.search_read", [["id", "in", list(seeded["partners"].values())]], 0, None, None,
        ["name", "addresses.city", "bank_accounts", "identifiers", "lang.code",
         "customer_payment_term.name"],
    )  # fmt: skip
    by_id = {row["id"]: row for row in rows}
    for partner in world.erp:
        row = by_id[seeded["partners"][partner.key]]
        assert row["name"] == partner.name
        assert row["lang."]["code"] == partner.language
        assert [a["city"] for a in row["addresses."]] == [a.city for a in partner.addresses]
        assert len(row["bank_accounts"]) == bool(partner.iban)
        assert len(row["identifiers"]) == bool(partner.vat)
        term = row["customer_payment_term."]
        assert (term["name"] if term else "") == partner.payment_term


def test_the_demo_ties_each_contact_to_its_company(demo: Demo) -> None:
    session, seeded = demo
    ids = list(seeded["contacts"].values())
    rows = session("party.party.read", ids, ["relations.to", "relations.type.name"])
    employer = {
        row["id"]: [(r["to"], r["type."]["name"]) for r in row["relations."]] for row in rows
    }
    for partner in build().erp:
        for person in partner.contacts:
            company = seeded["partners"][partner.key]
            assert employer[seeded["contacts"][person.key]] == [(company, "employee of")]


def test_the_files_of_a_template_are_enough_to_start_from(lab: TrytonLab) -> None:
    files = {path.name for path in Path(lab.folder / "templates" / "bare").iterdir()}
    assert {"koppel.sqlite", "made-by.txt", "addon.txt"} <= files
    assert "koppel.sqlite-wal" not in files
