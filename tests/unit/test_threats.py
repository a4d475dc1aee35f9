"""Each threat of the threat model (docs/explanation/security.md) that no other test shows."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet

from koppel.connectors.hosts import ENVIRONMENT, HostCheck
from koppel.connectors.http import HttpSession, Patience, Timeouts
from koppel.connectors.memory import MemoryConnector
from koppel.engine.gates import Gated
from koppel.engine.lines import Lines
from koppel.errors import Defect, NeedsUser, TryLater
from koppel.store.connections import ConnectionStore
from lab import audit
from tests.scenarios.conftest import pair, store_template
from tests.scenarios.pair import PairOfSystems

__all__ = ["pair", "store_template"]


def leads_to(*addresses: str) -> Callable[..., Any]:
    """A name server that knows one answer."""
    return lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 0)) for a in addresses]


@pytest.mark.parametrize(
    ("host", "address", "fine"),
    [
        ("crm.example.com", "93.184.216.34", True),
        ("crm.example.com", "10.0.0.5", False),
        ("crm.example.com", "127.0.0.1", False),
        ("crm.example.com", "::1", False),
        ("crm.example.com", "::ffff:10.0.0.5", False),
        ("erp.internal", "10.0.0.5", True),
        ("erp", "192.168.1.7", True),
        ("10.0.0.5", "10.0.0.5", True),
        ("localhost", "127.0.0.1", True),
        ("named.example.com", "10.0.0.5", True),
        ("erp", "169.254.169.254", False),
        ("169.254.169.254", "169.254.169.254", False),
        ("erp.internal", "0.0.0.0", False),
    ],
)
def test_a_name_leads_into_a_private_network_only_where_somebody_said_so(
    host: str, address: str, fine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT, "named.example.com other.example.com")
    check = HostCheck(host, "crm", resolve=leads_to(address))
    if fine:
        check.check()
    else:
        with pytest.raises(NeedsUser, match="leads to"):
            check.check()


def test_nothing_is_sent_to_a_host_that_leads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={})

    monkeypatch.setattr(socket, "getaddrinfo", leads_to("93.184.216.34", "169.254.169.254"))
    session = HttpSession("https://crm.example.com", transport=httpx.MockTransport(answer))
    with pytest.raises(NeedsUser, match="no address of a system"):
        session.get("x")
    assert not sent


def session_of(content: Any, **options: Any) -> HttpSession:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=content))
    patience = Patience(attempts=1)
    return HttpSession("http://127.0.0.1", transport=transport, patience=patience, **options)


def test_an_answer_nested_beyond_all_bounds_is_a_defect_and_no_crash() -> None:
    with pytest.raises(Defect, match="nested beyond all bounds"):
        session_of(b"[" * 200_000).get("x")


def test_an_answer_that_drips_in_for_ever_ends() -> None:
    def drip() -> Any:
        while True:
            yield b" "

    with pytest.raises(TryLater, match="did not come to the end"):
        session_of(drip(), timeouts=Timeouts(total=0.2)).get("x")


def test_a_secret_that_was_changed_is_used_from_the_next_run_on_without_a_restart(
    pair: PairOfSystems,
) -> None:
    opened: list[str] = []

    def connect(type_name: str, settings: Any) -> Any:
        opened.append(settings["token"])
        return MemoryConnector(pair.crm)

    store = pair.store
    for token in ("old", "new"):
        store.connections.put(
            "crm", side="crm", type="memory", config={"system": "crm"}, secrets={"token": token}
        )
        if token == "old":
            lines = Lines(store, connect)
            lines.follow_documents()
            first = lines.connector("crm")
    lines.follow_documents()
    assert lines.connector("crm") is not first
    lines.follow_documents()
    lines.connector("crm")
    assert opened == ["old", "new"]
    assert isinstance(first, Gated)


def test_a_key_that_was_rotated_is_found_without_a_restart(
    pair: PairOfSystems, tmp_path: Path
) -> None:
    old, new = Fernet.generate_key(), Fernet.generate_key()
    now = [old]
    running = ConnectionStore(pair.store.clock, old, lambda: now[0])
    running.put("crm", side="crm", type="memory", config={}, secrets={"token": "one"})
    # Somebody rotates the key, and enters the secrets anew: written with the new key alone.
    now[0] = new + b"\n" + old
    ConnectionStore(pair.store.clock, new).put(
        "crm", side="crm", type="memory", config={}, secrets={"token": "two"}
    )
    assert running.settings("crm")["token"] == "two"
    now[0] = Fernet.generate_key()
    ConnectionStore(pair.store.clock, Fernet.generate_key()).put(
        "crm", side="crm", type="memory", config={}, secrets={"token": "three"}
    )
    with pytest.raises(NeedsUser, match="cannot be read with this key"):
        running.settings("crm")


def test_a_message_of_a_system_is_bounded_also_in_chunks(pair: PairOfSystems) -> None:
    from django.test import RequestFactory

    from koppel.web.hooks import LARGEST, verified

    request = RequestFactory().post("/hints/crm", b"[" * (LARGEST + 1), content_type="text/plain")
    for length in (request.META["CONTENT_LENGTH"], ""):
        request.META["CONTENT_LENGTH"] = length
        refusal = verified(request, "crm", once=False)
        assert refusal is not None
        assert refusal.status_code == 413


def test_a_dependency_without_version_or_hash_is_found(tmp_path: Path) -> None:
    lock = tmp_path / "some.lock"
    lock.write_text("one==1.0 \\\n    --hash=sha256:00\ntwo==2.0\n")
    with pytest.raises(ValueError, match="two has no hash"):
        audit.pins(lock)
    lock.write_text("one>=1.0 \\\n    --hash=sha256:00\n")
    with pytest.raises(ValueError, match="has no version"):
        audit.pins(lock)
    lock.write_text("django==0.1 \\\n    --hash=sha256:00\n")
    assert audit.strays(audit.pins(lock))[0].startswith("django is ")


def test_the_audit_names_a_vulnerability_and_says_when_nobody_answers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert audit.main("http://127.0.0.1:1/") == 0
    assert "could not be asked" in capsys.readouterr().out

    class Answer:
        def __enter__(self) -> Answer:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def read(self) -> bytes:
            many = len({**audit.pins(audit.ROOT / audit.LOCKS[0])})
            return json.dumps(
                {"results": [{"vulns": [{"id": "PYSEC-1"}]}] + [{}] * (many - 1)}
            ).encode()

    wanted = audit.pins(audit.ROOT / audit.LOCKS[0])
    monkeypatch.setattr(audit.urllib.request, "urlopen", lambda *_, **__: Answer())
    (found,) = audit.known_bad(wanted)
    assert found.endswith("PYSEC-1")
