"""The command line: each command for people and with --json, its exit codes, and its help."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomlkit
import typer.main
from django.db import connections
from rich.console import Console

from koppel import __version__, cli
from koppel.cli.app import load
from koppel.cli.session import Session
from koppel.connectors.memory import share
from koppel.connectors.memory_system import MemorySystem
from koppel.engine import Engine, naming
from koppel.engine.lines import HINT_SECRET
from koppel.errors import Defect
from koppel.mapping.document import default_rule, shipped_mapping
from koppel.store import Store, open_store
from koppel.testing.generated import (
    crm_fields,
    erp_fields,
    fill_crm,
    fill_erp,
    memory_crm,
    memory_erp,
    partners,
)
from koppel.testing.human import MemoryHuman
from koppel.testing.store_given import Clock

DONE, FAILED, USAGE, PERSON, LATER, INTERRUPTED = 0, 1, 2, 3, 4, 130


@dataclass
class Shell:
    """A home folder with a configured pair of memory systems, and a place to type commands."""

    home: Path
    crm: MemorySystem
    erp: MemorySystem
    capture: Any
    patch: pytest.MonkeyPatch

    def __post_init__(self) -> None:
        self.crm_human, self.erp_human = MemoryHuman(self.crm), MemoryHuman(self.erp)

    def __call__(self, *words: str, code: int = DONE) -> str:
        """Type a command that must end so; what it printed, troubles after the rest."""
        self.patch.setattr(sys, "argv", ["koppel", "--home", str(self.home), *words])
        self.capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = self.capture.readouterr()
        assert (ended.value.code or 0) == code, f"{out}{err}"
        return str(out + err)

    def ask(self, *words: str, code: int = DONE) -> Any:
        """The same with --json."""
        return json.loads(self(*words, "--json", code=code))

    def store(self) -> Store:
        return Session(home=self.home, user="test").store()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty store, made once."""
    path = tmp_path_factory.mktemp("store") / "template.sqlite3"
    open_store(path, clock=Clock()).close()
    return path


@pytest.fixture
def shell(
    tmp_path: Path,
    template: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shell]:
    monkeypatch.delenv("KOPPEL_KEY", raising=False)
    shutil.copy(template, tmp_path / "koppel.sqlite3")
    found = Shell(tmp_path, memory_crm(), memory_erp(), capsys, monkeypatch)
    store = Session(home=tmp_path, user="test").store(create=True)
    for side, system in (("crm", found.crm), ("erp", found.erp)):
        share(system)
        store.connections.put(
            side,
            side=side,
            type="memory",
            config={"system": side},
            secrets={HINT_SECRET: "s3cret-pin"},
        )
        for entity in ("partner", "contact"):
            text = shipped_mapping(f"memory_{side}", entity)
            store.documents.put("mapping", f"{side}/{entity}", text)
    for entity in ("partner", "contact"):
        store.documents.put("rule", entity, default_rule(entity))
    yield found
    connections.close_all()


@pytest.fixture
def coupled(shell: Shell) -> tuple[str, str]:
    """One partner on both sides, coupled: its ids."""
    partner = next(iter(partners(1)))
    crm = shell.crm_human.create("organisation", crm_fields(partner))
    erp = shell.erp_human.create("party", erp_fields(partner))
    shell("sync")
    return crm, erp


def set_erp_email(shell: Shell, erp: str, value: str) -> None:
    ways = [
        {**way, "value": value} if way["type"] == "email" else way
        for way in shell.erp.row("party", erp).fields["contact_mechanisms"]
    ]
    shell.erp_human.edit("party", erp, {"contact_mechanisms": ways})


@pytest.fixture
def conflict(shell: Shell, coupled: tuple[str, str]) -> int:
    """An email that both sides changed: the conflict's number."""
    shell.crm_human.edit("organisation", coupled[0], {"email": "crm@a.example"})
    set_erp_email(shell, coupled[1], "erp@a.example")
    shell("sync")
    return int(shell.ask("conflicts")[0]["number"])


# Help, version, wrong calls.


def commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in typer.main.get_command(load()).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {})
        found += [(name, one) for one in inner] or [(name,)]
    return sorted(found)


NAMED = [
    "init", "check", "describe", "plan", "apply", "sync", "status", "couplings", "conflicts",
    "resolve", "quarantine", "journal", "undo", "export", "import", "serve", "demo",
]  # fmt: skip


def test_all_the_commands_are_there() -> None:
    assert set(NAMED) <= {name for name, *_ in commands()}


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_command_explains_itself_and_its_options(shell: Shell, words: tuple[str, ...]) -> None:
    text = shell(*words, "--help")
    assert "Usage: koppel" in text
    command: Any = typer.main.get_command(load())
    for word in words:
        command = command.commands[word]
    assert len(command.help or "") > 20
    for option in command.params:
        assert option.name == "help" or option.help, f"{option.name} has no help"


def test_the_version_is_told_without_a_home(shell: Shell) -> None:
    assert shell("--version").strip() == __version__


def test_a_wrong_call_is_told_and_ends_with_2(shell: Shell) -> None:
    assert "No such command" in shell("synk", code=USAGE)
    assert "No such option" in shell("sync", "--fast", code=USAGE)
    assert "number" in shell("apply", code=USAGE).lower()


def test_the_shell_completes_commands() -> None:
    koppel = str(Path(sys.executable).parent / "koppel")
    asked = {"_KOPPEL_COMPLETE": "complete_bash", "COMP_WORDS": "koppel co", "COMP_CWORD": "1"}
    done = subprocess.run(
        [koppel], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert set(done.stdout.split()) >= {"couplings", "conflicts"}


# Exit codes.


@pytest.mark.parametrize("words", [("status",), ("sync",), ("export",), ("couplings", "list")])
def test_without_an_init_a_person_is_told_what_to_do(
    tmp_path: Path, shell: Shell, words: tuple[str, ...]
) -> None:
    shell.home = tmp_path / "elsewhere"
    text = shell(*words, code=PERSON)
    assert "koppel init" in text
    assert not shell.home.exists()


def test_a_system_that_is_away_ends_with_4(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("koppel.cli.session.PATIENCE", 0.5)
    assert shell.store().lease.take("pair crm/erp", "elsewhere:1", seconds=3600)
    text = shell("sync", code=LATER)
    assert "another Koppel is at work (elsewhere:1)" in text


def test_a_defect_ends_with_1(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise Defect("the answer has no id", place="creme")

    monkeypatch.setattr(Engine, "sync", broken)
    assert "creme: the answer has no id." in shell("sync", code=FAILED)


def test_ctrl_c_ends_with_130_and_says_that_nothing_is_lost(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "sync", interrupted)
    assert "Nothing is lost" in shell("sync", code=INTERRUPTED)


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "99"), ("apply", "99"), ("undo", "99"), ("undo",), ("couplings", "show", "x"),
        ("couplings", "break", "x"), ("couplings", "remake", "x"), ("couplings", "answer", "9",
        "same"), ("resolve", "9", "crm"), ("quarantine", "--release", "9"),
        ("sync", "--only", "nonsense"), ("plan", "nothing"), ("describe", "nothing"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_is_not_there_is_told_in_a_sentence(shell: Shell, words: tuple[str, ...]) -> None:
    text = shell(*words, code=PERSON)
    assert text.startswith("Please act:")
    assert "Traceback" not in text


# The commands.


def test_init_keeps_secrets_apart_and_checks_what_is_missing(shell: Shell, tmp_path: Path) -> None:
    shell.home = tmp_path / "new"
    text = shell("init", "--crm", "creme", "--crm-set", "url=http://127.0.0.1:9", code=PERSON)
    assert "token" in text
    assert shell("init", "--crm", "crema", code=PERSON).count("creme")
    assert "is no setting" in shell("init", "--crm-set", "url", code=PERSON)


def test_two_systems_of_one_type_go_by_names_of_their_own(shell: Shell) -> None:
    fill_crm(shell.crm, 2)
    fill_erp(shell.erp, 2)
    shell("sync")
    told = shell.ask(
        "init", "--crm", "memory", "--erp", "memory", "--crm-name", "sales", "--erp-name", "books",
        "--crm-set", "system=crm", "--erp-set", "system=erp",
    )  # fmt: skip
    assert told["connections"] == ["books", "sales"]
    assert [(c["name"], c["side"]) for c in shell.ask("connections", "list")] == [
        ("books", "erp"),
        ("sales", "crm"),
    ]
    assert shell.ask("sync")["writes"] == 0
    assert shell.ask("status")["couplings"]["partner"] == {"active": 2}
    assert "crm-name" in shell(
        "init", "--crm", "memory", "--erp", "memory", "--erp-name", "sales", code=PERSON
    )


def test_without_names_two_systems_of_one_type_do_not_clash() -> None:
    assert naming.proposed("crm", {"crm": "creme", "erp": "tryton"}) == "creme"
    assert naming.proposed("erp", {"crm": "memory", "erp": "memory"}) == "memory-erp"


def test_a_connection_gets_another_name_everywhere(shell: Shell) -> None:
    fill_erp(shell.erp, 2)
    shell("sync")
    assert "/hints/main.crm" in shell("connections", "rename", "crm", "main.crm")
    rule = shell.store().documents.get("rule", "partner") or ""
    assert 'crm = "main.crm"' in rule
    assert "# Every customer of the ERP" in rule
    assert shell.ask("sync")["writes"] == 0
    assert "already" in shell("connections", "rename", "main.crm", "erp", code=PERSON)
    assert "cannot name" in shell("connections", "rename", "erp", "The ERP", code=PERSON)
    assert "no connection called" in shell("connections", "rename", "crm", "x", code=PERSON)


def test_check_tells_how_both_systems_are(shell: Shell) -> None:
    found = shell.ask("check")
    assert {name: answer["ok"] for name, answer in found.items()} == {"crm": True, "erp": True}
    assert "yes" in shell("check")


def test_check_ends_with_3_where_a_system_does_not_answer_well(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = shell.store()
    store.connections.put("crm", side="crm", type="memory", config={"system": "x"}, secrets={})
    assert shell.ask("check", code=PERSON)["crm"]["ok"] is False
    assert "NO" in shell("check", code=PERSON)


def test_describe_prints_what_the_systems_say_of_themselves(shell: Shell) -> None:
    found = shell.ask("describe", "erp")
    (party,) = [one for one in found["erp"] if one["name"] == "party"]
    assert "addresses" in {field["name"] for field in party["fields"]}
    assert "contact_mechanisms" in shell("describe")


def test_a_plan_is_shown_and_applied_exactly(shell: Shell, coupled: tuple[str, str]) -> None:
    shell.crm_human.edit("organisation", coupled[0], {"email": "new@a.example"})
    plan = shell.ask("plan")
    (step,) = plan["steps"]
    assert step["changes"] == [
        {"field": "email", "side": "erp", "old": "info@partner1.example",
         "new": "new@a.example", "owner": "shared", "why": step["changes"][0]["why"]}
    ]  # fmt: skip
    text = shell("plan", str(plan["run"]))
    for part in ("ERP email", "info@partner1.example", "new@a.example", "shared", "koppel apply"):
        assert part in text
    assert shell.ask("plan", str(plan["run"])) == plan
    assert shell.erp_human.read("party", coupled[1]) is not None
    assert shell.ask("apply", str(plan["run"]))["writes"] == 1
    assert "cannot be applied" in shell("apply", str(plan["run"]), code=PERSON)


def test_a_plan_that_is_out_of_date_is_refused(shell: Shell, coupled: tuple[str, str]) -> None:
    shell.crm_human.edit("organisation", coupled[0], {"email": "new@a.example"})
    run = shell.ask("plan")["run"]
    shell.crm_human.edit("organisation", coupled[0], {"email": "newer@a.example"})
    assert "out of date" in shell("apply", str(run), code=PERSON)


def test_a_held_plan_is_carried_out_only_when_approved(shell: Shell) -> None:
    fill_crm(shell.crm, 30, contacts=0)
    fill_erp(shell.erp, 30, contacts=0)
    shell("sync")
    for row in list(shell.crm.table("organisation").rows)[:25]:
        shell.crm_human.delete("organisation", row)
    told = shell.ask("sync", code=PERSON)
    assert told["state"] == "held"
    assert "--approve" in shell("plan", str(told["run"]))
    assert "is held" in shell("apply", str(told["run"]), code=PERSON)
    assert shell.ask("status")["waits"]["held"] == 1
    assert shell.ask("apply", str(told["run"]), "--approve")["state"] == "done"


def test_sync_tells_what_it_wrote_and_the_second_time_nothing(shell: Shell) -> None:
    fill_erp(shell.erp, 3)
    assert shell.ask("sync")["writes"] == 6
    assert shell.ask("sync")["writes"] == 0
    assert "0 writes" in shell("sync", "partner")


def test_one_record_alone_can_be_synchronised(shell: Shell) -> None:
    fill_erp(shell.erp, 3, contacts=0)
    assert shell.ask("sync", "--only", "partner:erp:2")["writes"] == 1
    assert [row["erp"] for row in shell.ask("couplings", "list")] == ["2"]


def test_status_tells_what_is_coupled_what_waits_and_what_ran(shell: Shell, conflict: int) -> None:
    found = shell.ask("status")
    assert found["couplings"]["partner"] == {"active": 1}
    assert found["waits"]["conflicts"] == 1
    assert [run["state"] for run in found["runs"]] == ["done", "done"]
    text = shell("status")
    for part in ("partner", "conflicts", "crm", "erp", "manual"):
        assert part in text


def test_a_conflict_is_shown_with_all_four_values_and_resolved(
    shell: Shell, conflict: int, coupled: tuple[str, str]
) -> None:
    (row,) = shell.ask("conflicts")
    assert [row[name] for name in ("field", "crm_before", "erp_before", "crm", "erp")] == [
        "email", "info@partner1.example", "info@partner1.example", "crm@a.example",
        "erp@a.example",
    ]  # fmt: skip
    assert "erp@a.example" in shell("conflicts")
    assert "next sync" in shell("resolve", str(conflict), "third@a.example")
    assert shell.ask("conflicts", "--state", "resolved")
    assert shell.ask("sync")["writes"] == 2
    assert shell.ask("conflicts") == []
    assert shell.crm.row("organisation", coupled[0]).fields["email"] == "third@a.example"
    assert "none" in shell("conflicts")


def test_couplings_are_listed_shown_broken_and_made_again(
    shell: Shell, coupled: tuple[str, str]
) -> None:
    (row,) = shell.ask("couplings", "list", "partner", "--state", "active")
    assert (row["crm"], row["erp"]) == coupled
    assert shell.ask("couplings", "show", row["id"])["bases"]["erp"]["code"] == "000001"
    assert "000001" in shell("couplings", "show", row["id"])
    assert row["label"] in shell("couplings", "list")
    assert "Broken" in shell("couplings", "break", row["id"], "--leave")
    assert shell.ask("couplings", "list", "partner", "--state", "active") == []
    for left in shell.ask("couplings", "list"):
        shell("couplings", "remake", left["id"])
    assert "next sync" in shell("couplings", "make", "partner", *coupled)
    shell("sync")
    (again,) = shell.ask("couplings", "list", "partner", "--state", "active")
    assert (again["crm"], again["erp"]) == coupled
    assert "coupled already" in shell("couplings", "make", "partner", *coupled, code=PERSON)


def test_a_proposed_pair_is_reviewed_and_answered(shell: Shell) -> None:
    one = next(iter(partners(1)))
    fields = crm_fields(one)
    shell.crm_human.create("organisation", {**fields, "vat_id": None, "phone": None})
    shell.crm_human.create("organisation", {**fields, "vat_id": None, "email": None})
    shell.erp_human.create("party", erp_fields(one))
    shell("sync")
    waiting = shell.ask("couplings", "review")
    assert waiting
    assert one.name in shell("couplings", "review")
    assert "is no answer" in shell(
        "couplings", "answer", str(waiting[0]["number"]), "perhaps", code=PERSON
    )
    for row in waiting:
        says = "same" if row == waiting[0] else "different"
        shell("couplings", "answer", str(row["number"]), says)
    shell("sync")
    assert shell.ask("couplings", "review") == []
    (weight, *_) = shell.ask("match", "weights")
    assert weight["same"] == 1
    assert weight["kind"] in shell("match", "weights")
    assert "teach nothing" in shell("match", "forget")
    assert shell.ask("match", "weights") == []
    assert "No answer teaches" in shell("match", "weights")
    assert "count again" in shell("match", "remember")
    assert shell.ask("match", "weights")


def test_quarantine_names_reason_and_remedy_and_releases(
    shell: Shell, coupled: tuple[str, str]
) -> None:
    shell.crm_human.edit("organisation", coupled[0], {"billing_country": "XX"})
    shell("sync")
    shell("sync")
    (row,) = shell.ask("quarantine")
    assert "XX" in row["reason"]
    assert row["remedy"]
    assert "--release" in shell("quarantine")
    shell.crm_human.edit("organisation", coupled[0], {"billing_country": "DE"})
    assert "tried again" in shell("quarantine", "--release", str(row["number"]))
    shell("sync")
    assert shell.ask("quarantine") == []


def test_the_journal_tells_what_was_written_by_run_and_by_coupling(
    shell: Shell, coupled: tuple[str, str]
) -> None:
    shell.crm_human.edit("organisation", coupled[0], {"email": "new@a.example"})
    run = shell.ask("sync")["run"]
    (entry,) = shell.ask("journal", "--run", str(run))
    assert (entry["side"], entry["record"], entry["state"]) == ("erp", coupled[1], "done")
    (change,) = entry["changes"]
    assert (change["old"], change["new"]) == ("info@partner1.example", "new@a.example")
    assert shell.ask("journal", "--coupling", entry["coupling"])[0] == entry
    assert shell.ask("journal", "--limit", "1") == [entry]
    assert "new@a.example" in shell("journal")


def test_undo_shows_first_and_then_puts_back_and_names_what_it_leaves_alone(
    shell: Shell, coupled: tuple[str, str]
) -> None:
    shell.crm_human.edit("organisation", coupled[0], {"email": "a@a.example"})
    shell("sync")
    set_erp_email(shell, coupled[1], "mine@a.example")
    plan = shell.ask("undo", "--plan")
    assert any(step["refused"] for step in plan["steps"])
    assert "left alone" in shell("undo", "--plan")
    shell("undo")
    found = shell.erp.row("party", coupled[1]).fields["contact_mechanisms"]
    assert "mine@a.example" in {way["value"] for way in found}


def test_an_export_has_no_secret_and_can_be_imported(
    shell: Shell, tmp_path: Path, coupled: tuple[str, str]
) -> None:
    text = shell("export")
    assert "s3cret-pin" not in text
    read = tomlkit.parse(text).unwrap()
    assert read["connections"]["crm"]["settings"] == {"system": "crm"}
    read["rule"]["partner"] = read["rule"]["partner"].replace("couple = 0.90", "couple = 0.91")
    file = tmp_path / "koppel.toml"
    file.write_text(tomlkit.dumps(read))
    assert shell.ask("import", str(file))["rule partner"] == 2
    assert "Written to" in shell("export", str(tmp_path / "out.toml"))
    assert "0.91" in (tmp_path / "out.toml").read_text()


@pytest.mark.parametrize("text", ["= no TOML", '[rule]\npartner = "entity = 5"'])
def test_a_document_with_faults_is_refused_whole(shell: Shell, tmp_path: Path, text: str) -> None:
    file = tmp_path / "koppel.toml"
    file.write_text(text)
    assert str(file) in shell("import", str(file), code=PERSON)
    assert shell.store().documents.get("rule", "partner", 2) is None


def test_a_port_that_is_taken_is_told_before_anything_starts(
    shell: Shell, unused: Callable[[], tuple[Any, int]]
) -> None:
    taken, port = unused()
    assert f"port {port}" in shell("serve", "--port", str(port), code=PERSON)
    taken.close()


@pytest.fixture
def unused() -> Callable[[], tuple[Any, int]]:
    """A socket that listens on some port."""
    import socket

    def listen() -> tuple[Any, int]:
        taken = socket.socket()
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        return taken, taken.getsockname()[1]

    return listen


# Progress.


def test_progress_is_shown_on_a_terminal_only(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from koppel.cli import session

    fill_erp(shell.erp, 3)
    assert "records" not in shell("sync")
    monkeypatch.setattr(session, "err", Console(stderr=True, force_terminal=True))
    with Session(home=shell.home, user="t").progress("working") as tell:
        tell("reading partner", 3)
        time.sleep(0.3)  # It is drawn ten times a second.
    assert "reading partner" in shell.capture.readouterr().err
    with Session(home=shell.home, user="t", json=True).progress("working") as tell:
        tell("reading partner", 3)
    assert shell.capture.readouterr().err == ""


def test_schedules_are_set_listed_run_and_removed(shell: Shell) -> None:
    fill_erp(shell.erp, 2)
    shell("schedule", "zone", "Europe/Berlin")
    told = shell.ask("schedule", "set", "nightly", "--run", "sync", "--cron", "30 2 * * *")
    assert told["next"]
    assert "proof runs next on" in shell(
        "schedule", "set", "proof", "--run", "audit", "--cron", "0 4 * * *"
    )
    shell("schedule", "quiet", "erp", "mon-fri 8:00-18:00", "22-6")
    shell("schedule", "poll", "crm", "0")
    listed = shell.ask("schedule", "list")
    assert [job["name"] for job in listed["jobs"]] == ["nightly", "proof"]
    assert listed["quiet"] == {"erp": ["mon-fri 8:00-18:00", "22-6"]}
    assert shell.ask("schedule", "run", "nightly")["state"] == "done"
    assert shell.ask("schedule", "run", "proof")["text"] == "in step"
    text = shell("schedule", "list")
    for part in ("30 2 * * *", "only by hints and jobs", " writes", "in step"):
        assert part in text
    assert [row["trigger"] for row in shell.ask("audit", "--history")] == ["schedule"]
    shell("schedule", "remove", "nightly")
    assert "no job" in shell("schedule", "run", "nightly", code=PERSON)
    assert "no cron" in shell("schedule", "set", "x", "--cron", "at night", code=PERSON)
    assert "no time zone" in shell("schedule", "zone", "Mars/Olympus", code=PERSON)
    assert "no such connection" in shell("schedule", "quiet", "sap", "8-18", code=PERSON)


def test_an_alarm_is_shown_and_closed(shell: Shell) -> None:
    shell.store().alarms.raise_("audit", "", "1 drifted.", remedy="koppel audit --repair")
    (alarm,) = shell.ask("alarms")
    assert alarm["text"] == "1 drifted."
    assert shell.ask("status")["waits"]["alarms"] == 1
    assert shell.ask("alarms", "--close", str(alarm["number"])) == []
    assert "no open alarm" in shell("alarms", "--close", "99", code=PERSON)


def test_the_introduction_is_led_through_without_a_question(shell: Shell, tmp_path: Path) -> None:
    fill_crm(shell.crm, 12, contacts=0)
    fill_erp(shell.erp, 30, contacts=0)
    assert "Next: koppel guide run connect" in shell("guide")
    assert shell.ask("guide", "run")["step"] == "connect"
    assert shell.ask("guide", "run", "--minutes", "5")["result"]["report"]["assumed"]
    assert "--accept" in shell("guide", "run", "owners", code=PERSON)
    shell("assess", "--rules", str(tmp_path / "rules"))
    assert "version" in shell("guide", "run", "owners", "--rules", str(tmp_path / "rules"))
    assert shell.ask("guide", "run", "owners", "--accept")["state"] == "done"
    assert "pairs wait for a word" in shell("guide", "run", "match")
    assert "koppel plan" in shell("guide", "run", "plan", "--fill", "gaps")
    sample = shell.ask("guide", "run", "sample", "--size", "3")
    assert len(sample["result"]["records"]) == 3
    assert "Look at these in both systems" in shell("guide", "show", "sample")
    assert "pairs are free again" in shell("guide", "undo", "sample")
    assert shell.ask("guide", "run", "load", "--per-hour", "erp=100000")["result"]["in_step"]
    assert shell.ask("guide", "run", "schedules", "--zone", "Europe/Berlin")["state"] == "done"
    told = {one["step"]: one["state"] for one in shell.ask("guide", "show")}
    assert told == {
        "connect": "done", "assess": "done", "owners": "done", "match": "done", "plan": "done",
        "sample": "undone", "load": "done", "schedules": "done",
    }  # fmt: skip
    assert "no step 'sampel'" in shell("guide", "run", "sampel", code=PERSON)
    text = shell("guide")
    for part in ("30 partner", "in step", "batch 30 2 * * *"):
        assert part in text


def test_a_person_is_led_through_by_questions(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_crm(shell.crm, 3, contacts=0)
    fill_erp(shell.erp, 3, contacts=0)
    shell.crm_human.create("organisation", crm_fields(next(iter(partners(1)))))
    answers = [
        "d",  # connect
        "d", "3",  # assess: minutes
        "d", "n",  # owners: as proposed
        "u", "d", "n",  # the owners are undone, so they come again
        "d", "y", "same", "different",  # match and review
        "l",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(answers) + "\n"))
    text = shell("init", "--continue")
    assert "Go on at any time" in text
    states = {one["step"]: one["state"] for one in shell.ask("guide", "show")}
    assert states["match"] == "done"


def test_a_rehearsal_has_the_same_configuration_elsewhere(shell: Shell, tmp_path: Path) -> None:
    fill_erp(shell.erp, 3)
    copies = [memory_crm(name="crm-copy"), memory_erp(name="erp-copy")]
    for copy in copies:
        share(copy)
    fill_crm(copies[0], 3)
    fill_erp(copies[1], 5)
    shell("schedule", "set", "nightly")
    there = tmp_path / "rehearsal"
    real = ("--set", "crm.system=crm-copy", "--set", "erp.system=erp")
    assert "would work on the real system" in shell("rehearse", str(there), *real, code=PERSON)
    assert "real system" in shell("rehearse", str(there), code=PERSON)
    assert "own store" in shell("rehearse", str(shell.home), code=PERSON)
    assert "NAME.SETTING" in shell("rehearse", str(there), "--set", "x.y=1", code=PERSON)
    assert "unknown setting" in shell("rehearse", str(there), "--set", "crm.y=1", code=PERSON)
    told = shell.ask(
        "rehearse", str(there), "--set", "crm.system=crm-copy", "--set", "erp.system=erp-copy"
    )
    assert told["documents"]["schedule"] == ["koppel"]
    exported = tomlkit.parse(shell("export")).unwrap()
    live, shell.home = shell.home, there
    copied = tomlkit.parse(shell("export")).unwrap()
    assert {k: v for k, v in copied.items() if k != "connections"} == {
        k: v for k, v in exported.items() if k != "connections"
    }
    for step in ("assess", "plan"):
        shell("guide", "run", step)
    assert shell.ask("guide", "run", "load")["result"]["coupled"]["partner"] == 5
    shell.home = live
    assert shell.ask("status")["couplings"]["partner"] == {}
    assert len(shell.erp.table("party").rows) == 3


def test_a_webhook_is_added_tried_and_removed_and_its_secret_shown_once(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPPEL_PRIVATE_HOSTS", "127.0.0.1")
    told = shell.ask("webhook", "add", "http://127.0.0.1:9/told", "--event", "run.ended")
    assert len(told["secret"]) > 30
    assert told["secret"] not in shell("webhook", "list")
    assert shell.ask("webhook", "list")[0]["events"] == ["run.ended"]
    number = str(told["number"])
    assert "not reached" in shell("webhook", "test", number, code=FAILED)
    assert shell.ask("webhook", "deliveries", number, "--again") == []
    assert "Removed" in shell("webhook", "remove", number)
    assert shell.ask("webhook", "list") == []
    assert "private network" in shell("webhook", "add", "https://10.0.0.1/", code=PERSON)


def test_a_link_to_the_card_is_printed_and_all_links_are_ended(shell: Shell) -> None:
    shell("sync")
    told = shell.ask("card-link", "partner", "crm", "1", "--minutes", "5")
    assert "/card/" in told["url"]
    assert "Good until" in shell("card-link", "partner", "crm", "1", "--no-figures")
    shown = shell.ask("card-settings", "--frame", "https://crm.example.com", "--minutes", "30")
    assert (shown["frames"], shown["minutes"]) == (["https://crm.example.com"], 30)
    assert shell.ask("card-settings", "--revoke")["generation"] == 2
    assert shell.ask("card-settings", "--no-frames")["frames"] == []
    assert "no origin" in shell("card-settings", "--frame", "*", code=PERSON)
    assert "is no side" in shell("card-link", "partner", "both", "1", code=PERSON)
