"""The connector that `docs/how-to/write-a-connector.md` writes passes the suite as it stands there.

The page's code blocks, joined, are the module under test; the block marked `python test` is its
test class.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from types import ModuleType

import pytest

from koppel.connectors.http import Patience
from koppel.testing.chaos import FaultProxy
from koppel.testing.contract import ConnectorContract
from koppel.testing.human import MemoryHuman, NotPossible
from tests.contract.desk import TOKEN, Desk

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-connector.md"


def code(kind: str) -> str:
    """All code blocks of the page with this mark, joined."""
    text = PAGE.read_text(encoding="utf-8")
    return "\n".join(re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


page = ModuleType("page")
vars(page).update(
    itertools=itertools,
    pytest=pytest,
    Patience=Patience,
    FaultProxy=FaultProxy,
    ConnectorContract=ConnectorContract,
    MemoryHuman=MemoryHuman,
    NotPossible=NotPossible,
    Desk=Desk,
    TOKEN=TOKEN,
)
exec(compile(code("python"), str(PAGE), "exec"), vars(page))
exec(compile(code("python test"), str(PAGE), "exec"), vars(page))
TestDesk = page.TestDesk
