"""The lab's Creme by hand: `python -m lab.creme --help`."""

from __future__ import annotations

import argparse
import os
import sys

from lab.creme import DATABASE, Creme
from lab.system import LabError


def show(sentence: str, share: float) -> None:
    """Progress in one line of the terminal, or a line each where it is no terminal."""
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"{share:4.0%} {sentence:<70}", end=end, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """What the user asked for."""
    parser = argparse.ArgumentParser(prog="python -m lab.creme", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in {
        "install": "make its virtual environment",
        "set-up": "make a template",
        "start": "start an instance",
        "stop": "stop an instance",
        "reset": "take a new copy of the template",
        "snapshot": "keep an instance's state as a template",
        "manage": "run a command of Creme (shell, migrate, ...) on an instance",
    }.items():
        command = commands.add_parser(name, help=text)
        if name not in ("install", "set-up"):
            command.add_argument("--instance", default="demo")
        if name in ("set-up", "start", "reset"):
            command.add_argument("--template", default="demo")
        if name == "start":
            command.add_argument("--port", type=int)
            command.add_argument("--koppel-url")
            command.add_argument("--hint-secret")
        if name == "snapshot":
            command.add_argument("name")
        if name == "manage":
            command.add_argument("rest", nargs=argparse.REMAINDER)
    return parser.parse_args()


def obey(creme: Creme, asked: argparse.Namespace) -> None:
    """Do it."""
    if asked.command == "install":
        creme.install(show)
    elif asked.command == "set-up":
        creme.set_up(asked.template, show)
    elif asked.command == "start":
        if not (creme.instance_folder(asked.instance) / DATABASE).is_file():
            creme.set_up(asked.template, show)
        running = creme.start(
            asked.instance, asked.template, asked.port, asked.koppel_url, asked.hint_secret
        )
        print(f"Creme runs at {running.url} (root/root), process {running.pid}, {running.folder}")
    elif asked.command == "stop":
        creme.stop(asked.instance)
    elif asked.command == "reset":
        creme.reset(asked.instance, asked.template)
    elif asked.command == "snapshot":
        creme.snapshot(asked.name, asked.instance)
    else:
        environment = creme.environment(creme.instance_folder(asked.instance))
        python = str(creme.python)
        os.execve(python, [python, "-m", "creme.manage", *asked.rest], environment)


def main() -> None:
    """Entry point; a LabError is one sentence and exit code 1."""
    try:
        obey(Creme(), arguments())
    except LabError as error:
        sys.exit(str(error))
