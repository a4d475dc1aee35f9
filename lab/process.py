"""What the systems of the lab share: virtual environments, child processes, ports, locks.

Every failure that a person can cause or cure is a `LabError` of one sentence.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from lab.system import ROOT, LabError, Progress

MARK = "@ "
"""A child reports its progress with lines `@ <share 0..1> <sentence>` on its standard output."""

_TICK_SECONDS = 0.5


def quiet(_sentence: str, _share: float) -> None:
    """A `Progress` that says nothing."""


def part(progress: Progress, low: float, high: float) -> Progress:
    """A `Progress` for one step that is the part from `low` to `high` of the whole."""
    return lambda sentence, share: progress(sentence, low + (high - low) * share)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two processes never make the same thing; waits for the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fingerprint(paths: Iterable[Path]) -> str:
    """SHA-256 over names and contents of files and of all Python files in folders."""
    digest = hashlib.sha256()
    for path in paths:
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        for file in files:
            if file.is_file():
                digest.update(f"{path.name}/{file.name}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()


def make_venv(venv: Path, lock: Path, editable: Sequence[Path], progress: Progress) -> None:
    """Make a virtual environment from a lock; keep it where it is that of the lock already.

    Uses uv where it is there (beside this Python or on the path), else venv and pip.
    """
    projects = [path / "pyproject.toml" for path in editable]
    wanted = fingerprint([lock, *projects]) + "".join(f"\n{path}" for path in editable)
    mark = venv / "koppel-lab.txt"
    if mark.is_file() and mark.read_text() == wanted:
        return
    with locked(venv.parent / "install.lock"):
        if mark.is_file() and mark.read_text() == wanted:
            return
        name = venv.parent.name
        commands = _commands(venv, lock, editable)
        for number, (sentence, seconds, command) in enumerate(commands):
            step = part(progress, number / len(commands), (number + 1) / len(commands))
            sentence = f"{name}: {sentence}"
            run(command, step, sentence=sentence, seconds=seconds, task=sentence)
        mark.write_text(wanted)
    progress(f"{name}: installed", 1.0)


def _commands(
    venv: Path, lock: Path, editable: Sequence[Path]
) -> list[tuple[str, float, Sequence[str]]]:
    """What makes the environment: each step with a sentence and the seconds that it may take."""
    python, uv = venv / "bin" / "python", _uv()
    commands: list[tuple[str, float, Sequence[str]]] = []
    if not python.is_file():
        if not uv:
            _check_venv_module()
        make = (
            [uv, "venv", "-q", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
        )
        commands.append(("making its virtual environment", 5.0, [*make, str(venv)]))
    pip = (
        [uv, "pip", "install", "-q", "--python", str(python)]
        if uv
        else [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    )
    commands.append(("installing its packages", 40.0, [*pip, "-r", str(lock)]))
    for path in editable:
        sentence = f"installing {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}"
        commands.append((sentence, 10.0, [*pip, "--no-deps", "-e", str(path)]))
    return commands


def _uv() -> str | None:
    beside = Path(sys.executable).parent / "uv"
    return str(beside) if beside.is_file() else shutil.which("uv")


def _check_venv_module() -> None:
    if find_spec("ensurepip") is None:
        raise LabError(
            "Python's module venv is missing: install it (Debian, Ubuntu: apt install python3-venv)"
        )


def run(
    command: Sequence[str],
    progress: Progress,
    *,
    sentence: str,
    seconds: float,
    task: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a child to its end and report progress at least once a second; gives its output.

    The share comes from the child's own reports (see MARK), else from the expected seconds.
    Raises LabError with the last lines of the child's output where it fails.
    """
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=None if env is None else dict(env),
        cwd=cwd,
    ) as child:
        lines: list[str] = []
        state: list[str | float] = [sentence, 0.0]
        reader = threading.Thread(target=_read, args=(child, lines, state), daemon=True)
        reader.start()
        started, shown = time.monotonic(), 0.0
        try:
            while child.poll() is None:
                guess = min(0.95, (time.monotonic() - started) / seconds)
                shown = max(shown, float(state[1]) or guess)
                progress(str(state[0]), shown)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(_TICK_SECONDS)
        except BaseException:
            child.kill()
            raise
        reader.join()
    output = "\n".join(lines)
    if child.returncode:
        raise LabError(_explain(task, output, child.returncode))
    return output


def _read(child: subprocess.Popen[str], lines: list[str], state: list[str | float]) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith(MARK):
            share, _, sentence = line[len(MARK) :].strip().partition(" ")
            state[0], state[1] = sentence, float(share)
        else:
            lines.append(line.rstrip())


_CAUSES = (
    (
        ("No space left on device", "Errno 28", "database or disk is full"),
        "the disk is full; make room and start again",
    ),
    (
        (
            "dns error",
            "Name or service not known",
            "Temporary failure in name resolution",
            "Failed to fetch",
            "NewConnectionError",
            "Network is unreachable",
            "error sending request",
        ),
        "the package index cannot be reached; check the network (or the proxy) and start again",
    ),
)


def _explain(task: str, output: str, code: int) -> str:
    for signs, cause in _CAUSES:
        if any(sign in output for sign in signs):
            return f"{task} failed: {cause}"
    tail = " | ".join([line for line in output.splitlines() if line.strip()][-4:])
    return f"{task} failed with exit code {code}: {tail}"


def check_port(port: int, name: str) -> None:
    """Raise LabError where somebody else listens on that port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise LabError(
                f"{name} cannot start: port {port} of 127.0.0.1 is taken;"
                " stop the program that uses it, or choose another port"
            ) from None


def spawn(command: Sequence[str], env: Mapping[str, str], folder: Path, log: Path) -> int:
    """Start a server that outlives this process; gives its process id, written to `pid` too."""
    with log.open("ab") as out:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=folder,
            start_new_session=True,
        )
    # Nobody waits for this child object: it is told by its number from here on.
    child.returncode = 0
    (folder / "pid").write_text(str(child.pid))
    return child.pid


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def alive(pid: int, sign: str = "") -> bool:
    """Whether the process runs, and (where the system tells) its command line contains `sign`."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    if not _exists(pid):
        return False
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
        threads = len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return _exists(pid)
    if state == "Z":
        # Its other threads may still be ending, and hold its port until they have.
        return threads > 1
    # Without arguments: it is just being started.
    return not arguments or sign.encode() in arguments


def running_pid(folder: Path) -> int | None:
    """The process id in the folder's `pid` file, if that process runs and names the folder."""
    try:
        pid = int((folder / "pid").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if alive(pid, str(folder)) else None


def end(folder: Path, patience: float = 10.0) -> None:
    """Stop the server of a folder and wait until it is gone; harmless where none runs."""
    pid = running_pid(folder)
    if pid is not None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + patience
            while alive(pid, str(folder)) and time.monotonic() < deadline:
                time.sleep(0.02)
            if not alive(pid, str(folder)):
                break
    (folder / "pid").unlink(missing_ok=True)


def tail(log: Path, lines: int = 4) -> str:
    """The last lines of a log in one line, for an error message."""
    if not log.is_file():
        return "(no log)"
    text = log.read_text(errors="replace").splitlines()
    return " | ".join([line for line in text if line.strip()][-lines:])
