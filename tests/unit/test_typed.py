"""Types are met by many threads at once, and msgspec must not be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# A program of its own: where the rule does not hold it ends by SIGSEGV.
MEETING = """
import sys, threading
import msgspec
from koppel import typed

begun, go_on = threading.Event(), threading.Event()

class Slow:
    def __class_getitem__(cls, _):
        begun.set()
        go_on.wait(0.5)
        return int

class Inner(msgspec.Struct, frozen=True):
    number: "Slow[0]" = 0

class Outer(msgspec.Struct):
    inner: Inner
    text: str = ""

plain = {"inner": {"number": 5}, "text": "x"}
raw = msgspec.json.encode(plain)
ways = {
    "convert": lambda: typed.convert(plain, Outer),
    "from_json": lambda: typed.from_json(raw, Outer),
    "json_decoder": lambda: typed.json_decoder(Outer).decode(raw),
    "msgpack_decoder": lambda: typed.msgpack_decoder(Outer).decode(msgspec.msgpack.encode(plain)),
}
found = []
first = threading.Thread(target=lambda: found.append(ways[sys.argv[1]]()))
first.start()
begun.wait()
found.append(ways[sys.argv[2]]())
first.join()
assert found == [Outer(Inner(5), "x")] * 2, found
"""


def test_a_type_that_one_thread_studies_can_be_read_into_by_another(tmp_path: Path) -> None:
    program = tmp_path / "meeting.py"
    program.write_text(MEETING)
    ways = ("convert", "from_json", "json_decoder", "msgpack_decoder")
    ended = {
        (one, other): subprocess.run(
            [sys.executable, str(program), one, other], check=False, timeout=60
        ).returncode
        for one, other in zip(ways, (*ways[1:], ways[0]), strict=True)
    }
    assert set(ended.values()) == {0}, ended
