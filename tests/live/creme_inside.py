"""Runs a few lines of Python inside a Creme of the lab, as its administrator could in its shell."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from lab.creme import Creme
from lab.system import ROOT, Running

_START = "import django, json; django.setup()\n"


def inside(running: Running, code: str, **given: Any) -> Any:
    """What the code leaves in `answer`; `given` are variables that it finds, as JSON values."""
    lab = Creme()
    text = _START + f"globals().update(json.loads({json.dumps(given)!r}))\nanswer = None\n"
    text += code + "\nprint('\\n@' + json.dumps(answer))\n"
    done = subprocess.run(
        [str(lab.python), "-c", text],
        env=lab.environment(Path(running.folder)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.rsplit("\n@", 1)[1])
