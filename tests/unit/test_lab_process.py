"""Child processes of the lab: they are told apart, ended, and their failures are one sentence."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from lab import process
from lab.html_form import read_errors, read_form
from lab.system import LabError, free_port


def run(code: str, **options: float) -> str:
    return process.run(
        [sys.executable, "-c", code],
        process.quiet,
        sentence="working",
        seconds=options.get("seconds", 1.0),
        task="working",
    )


@pytest.fixture
def server(tmp_path: Path) -> int:
    """A process that names its folder in its command line and sleeps."""
    command = [sys.executable, "-c", "import time; time.sleep(60)", str(tmp_path)]
    return process.spawn(command, os.environ, tmp_path, tmp_path / "log.txt")


def test_a_childs_output_comes_back_without_its_progress() -> None:
    assert run("print('@ 0.5 halfway'); print('done')") == "done"


def test_a_childs_own_share_is_shown_and_never_falls() -> None:
    seen: list[tuple[str, float]] = []
    code = "import time; print('@ 0.7 later', flush=True); time.sleep(1.3); print('@ 0.2 again')"
    process.run(
        [sys.executable, "-c", code],
        lambda sentence, share: seen.append((sentence, share)),
        sentence="first",
        seconds=1000.0,
        task="working",
    )
    shares = [share for _, share in seen]
    assert ("later", 0.7) in seen
    assert shares == sorted(shares)


def test_a_failing_child_is_told_with_its_last_lines() -> None:
    with pytest.raises(LabError, match=r"working failed with exit code 3: .*no such thing"):
        run("import sys; print('no such thing'); sys.exit(3)")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full; make room"),
        ("error sending request for url", "the package index cannot be reached; check the network"),
        ("Temporary failure in name resolution", "the package index cannot be reached"),
    ],
)
def test_a_known_cause_is_told_with_its_remedy(said: str, told: str) -> None:
    with pytest.raises(LabError, match=told):
        run(f"import sys; print({said!r}); sys.exit(1)")


def test_a_started_server_is_found_by_its_folder(server: int, tmp_path: Path) -> None:
    assert process.running_pid(tmp_path) == server
    process.end(tmp_path)
    assert process.running_pid(tmp_path) is None
    assert not process.alive(server)


def test_a_number_that_another_process_got_is_not_taken_for_the_server(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(str(os.getpid()))
    assert process.running_pid(tmp_path) is None
    process.end(tmp_path)


def test_ending_what_does_not_run_is_harmless(tmp_path: Path) -> None:
    process.end(tmp_path)
    (tmp_path / "pid").write_text("no number")
    process.end(tmp_path)


def test_a_server_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True);"
    command = [sys.executable, "-c", code + "time.sleep(60)", str(tmp_path)]
    pid = process.spawn(command, os.environ, tmp_path, tmp_path / "log.txt")
    while not (tmp_path / "log.txt").read_text():
        time.sleep(0.02)
    process.end(tmp_path, patience=0.2)
    assert not process.alive(pid)


def test_a_taken_port_is_refused_and_a_free_one_is_not() -> None:
    port = free_port()
    process.check_port(port, "It")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(LabError, match=f"It cannot start: port {port} of 127.0.0.1 is taken"):
            process.check_port(port, "It")


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []
    holding = threading.Event()

    def hold() -> None:
        with process.locked(tmp_path / "lock"):
            holding.set()
            time.sleep(0.2)
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait()
    with process.locked(tmp_path / "lock"):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_a_fingerprint_changes_with_names_and_contents(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text("1")
    first = process.fingerprint([tmp_path])
    assert process.fingerprint([tmp_path]) == first
    file.write_text("2")
    second = process.fingerprint([tmp_path])
    file.rename(tmp_path / "two.py")
    assert len({first, second, process.fingerprint([tmp_path])}) == 3


def test_an_environment_that_is_up_to_date_is_kept(tmp_path: Path) -> None:
    lock = tmp_path / "some.lock"
    lock.write_text("# nothing to install\n")
    venv = tmp_path / "venv"
    process.make_venv(venv, lock, [], process.quiet)
    made = (venv / "koppel-lab.txt").stat().st_mtime_ns
    process.make_venv(venv, lock, [], process.quiet)
    assert (venv / "koppel-lab.txt").stat().st_mtime_ns == made


PAGE = """<form><input name="q"></form><form method="POST">
<input type="hidden" name="csrfmiddlewaretoken" value="t">
<input name="plain" value="a &amp; b"><input type="checkbox" name="on" checked>
<input type="checkbox" name="off"><textarea name="area">
two
lines</textarea><select name="one"><option value="1">First
<option value="2" selected>Second</select>
<select name="some" multiple><option value="3" selected>Third</option><option value="4">Fourth
</option></select><input type="submit" value="Go"></form>"""


def test_a_form_is_read_as_a_browser_would_post_it() -> None:
    form = read_form(PAGE)
    assert form is not None
    assert form.data() == {
        "csrfmiddlewaretoken": "t",
        "plain": "a & b",
        "on": "on",
        "area": "two\nlines",
        "one": "2",
        "some": ["3"],
    }
    assert form.unchecked == {"off"}
    assert form.label("one") == "Second"
    assert form.options["some"] == {"Third": "3", "Fourth": "4"}


def test_a_page_without_a_token_has_no_form_to_fill_in() -> None:
    assert read_form('<form><input name="q"></form>') is None


def test_the_errors_of_a_posted_form_are_read() -> None:
    page = '<p>fine</p><ul class="errorlist x"><li>Too long<ul><li>by 3</li></ul></li></ul><p>on'
    assert read_errors(page) == ["Too long", "by 3"]
