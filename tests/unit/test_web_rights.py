"""Who may open what: every address with every role. A new address without its line here fails."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from koppel.config import now
from koppel.connectors import registry
from koppel.engine import Engine
from koppel.engine.lines import Lines
from koppel.engine.watch import Watch
from koppel.store import Store, open_store
from koppel.store.people import DEFAULT_ROLES
from koppel.web import service
from koppel.web.rights import right_of
from koppel.web.urls import urlpatterns

KEY = b"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
EVERYBODY = ("administrator", "integrator", "clerk", "sales", "viewer")
MONEY = ("administrator", "clerk", "sales")
DECIDE = ("administrator", "integrator", "clerk")
APPROVE = ("administrator", "integrator")
PRESS = ("administrator", "integrator", "clerk", "sales")

TABLE: dict[str, str | tuple[str, ...]] = {
    # address: what it asks for, or the roles that may open it
    "api_description": "token",
    "api_status": "token",
    "api_couplings": "token",
    "api_couplings_coupling": "token",
    "api_records_entity_side_record_synchronise": "token",
    "api_conflicts": "token",
    "api_conflicts_number": "token",
    "api_matches": "token",
    "api_matches_number": "token",
    "api_runs": "token",
    "api_runs_number_steps": "token",
    "healthz": "open",
    "readyz": "open",
    "metrics": "open",
    "login": "open",
    "language": "open",
    "sign_in_code": "open",
    "provider_begin": "open",
    "provider_back": "open",
    "logout": "person",
    "account": "person",
    "second_factor": "person",
    "setup": EVERYBODY,
    "introduction": EVERYBODY,
    "step": EVERYBODY,
    "assessment": APPROVE,
    "do_step": APPROVE,
    "undo_step": APPROVE,
    "skip_step": APPROVE,
    "schema": EVERYBODY,
    "check": APPROVE,
    "rule": EVERYBODY,
    "change_rule": APPROVE,
    "version": EVERYBODY,
    "interface": EVERYBODY,
    "users": ("administrator",),
    "change_user": ("administrator",),
    "reset_factor": ("administrator",),
    "change_role": ("administrator",),
    "demand_factor": ("administrator",),
    "audit": ("administrator",),
    "persons": ("administrator",),
    "person": ("administrator",),
    "export_person": ("administrator",),
    "erase_person": ("administrator",),
    "erasure": ("administrator",),
    "approve_erasure": ("administrator",),
    "reject_erasure": ("administrator",),
    "inbox": EVERYBODY,
    "inbox_tab": EVERYBODY,
    "resolve": DECIDE,
    "resolve_many": DECIDE,
    "answer": DECIDE,
    "release": DECIDE,
    "coupling_word": DECIDE,
    "runs": EVERYBODY,
    "run": EVERYBODY,
    "journal": EVERYBODY,
    "errand": EVERYBODY,
    "sync_now": APPROVE,
    "undo": APPROVE,
    "apply": APPROVE,
    "reject": APPROVE,
    "synchronise": PRESS,
    "hint": "signed",
    "card": "signed",
    "press": "signed",
    "transfer": "signed",
    "order": "signed",
    "figures": "signed",
    "prices": "signed",
    "product_figures": "signed",
    "home": EVERYBODY,
    "coupling": EVERYBODY,
    "record": EVERYBODY,
    "process": MONEY,
    "order_page": MONEY,
    "order_invoice": MONEY,
    "process_retry": ("administrator", "integrator", "clerk"),
    "process_cancel": ("administrator", "integrator", "clerk"),
    "transfer_retry": "signed",
    "transfer_cancel": "signed",
    "customers": EVERYBODY,
    "customer": EVERYBODY,
    "customer_refresh": ("administrator", "integrator", "clerk", "sales"),
    "products": MONEY,
    "product": MONEY,
    "orders": MONEY,
    "sale": MONEY,
    "invoices": MONEY,
    "invoice": MONEY,
    "insight": MONEY,
    "targets": ("administrator", "integrator"),
    "target": ("administrator", "integrator"),
    "write_target": ("administrator", "integrator"),
    "keep_filter": EVERYBODY,
    "export": ("administrator", "integrator", "clerk"),
    "card_page": "signed",
    "card_link": "signed",
    "seen_to": DECIDE,
    "answer_many": DECIDE,
    "interfaces": APPROVE,
    "add_webhook": APPROVE,
    "webhook": APPROVE,
    "change_webhook": APPROVE,
    "change_card": APPROVE,
    "errand_events": EVERYBODY,
    "run_events": EVERYBODY,
    "api_records_entity_side_record_card-link": "token",
    "schedules": EVERYBODY,
    "check_schedule": APPROVE,
    "change_schedule": APPROVE,
    "run_schedule": APPROVE,
    "schedule_version": EVERYBODY,
    "close_alarm": DECIDE,
    "check_rule": APPROVE,
    "mapping": EVERYBODY,
    "mapping_field": APPROVE,
    "check_mapping": APPROVE,
    "change_mapping": APPROVE,
    "mapping_version": EVERYBODY,
}

# The interface's addresses check their token themselves.
TABLE |= {
    f"api_{name}": "token"
    for name in (
        "quarantine", "quarantine_number_release", "runs_number", "runs_number_undo",
        "runs_number_apply", "runs_number_reject", "journal", "rules", "rules_entity",
        "rules_entity_preview", "audit-log", "customers", "customers_number", "orders",
        "orders_number", "invoices", "figures", "persons_find", "persons_entity_side_record",
        "persons_entity_side_record_erasure", "erasures", "erasures_number",
        "erasures_number_approve", "erasures_number_reject", "unknown",
    )
}  # fmt: skip

PARTS: dict[str, Any] = {"entity": "partner", "side": "crm", "number": 1}
"""What stands for the parts of an address; `1` for any other."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated store with one user of each role."""
    path = tmp_path_factory.mktemp("store") / "template.sqlite3"
    store = open_store(path, clock=now, key=KEY)
    for role in EVERYBODY:
        store.people.add(role, "a password of five words", [role])
    store.close()
    return path


@dataclass
class Site:
    """Koppel's pages on a store of their own."""

    store: Store

    def as_(self, role: str) -> Client:
        """A browser in which somebody of this role is signed in; nobody for an empty one."""
        web = Client(SERVER_NAME="127.0.0.1")
        if role:
            web.force_login(get_user_model().objects.get(username=role))
        return web


@pytest.fixture
def site(tmp_path: Path, template: Path) -> Iterator[Site]:
    path = tmp_path / "koppel.sqlite3"
    shutil.copy(template, path)
    store = open_store(path, clock=now, key=KEY, migrate=False)
    watch = Watch(lambda: Engine(store), now)
    service.use(service.Service(store, Lines(store, registry.connect), watch, now))
    yield Site(store)
    service._current.clear()
    store.close()


def address(name: str) -> str:
    (pattern,) = [one for one in urlpatterns if one.name == name]
    converters = pattern.pattern.converters
    return reverse(name, kwargs={part: PARTS.get(part, 1) for part in converters})


NAMES = [str(pattern.name) for pattern in urlpatterns]


def test_every_address_has_a_name_and_a_line_in_the_table() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert set(NAMES) == set(TABLE)


@pytest.mark.parametrize("pattern", urlpatterns, ids=NAMES)
def test_every_view_declares_what_the_table_says(pattern: Any) -> None:
    right = right_of(pattern.callback)
    assert right is not None
    wanted = TABLE[pattern.name]
    if isinstance(wanted, str):
        assert right.kind == wanted
    else:
        assert right.kind == "action"


@pytest.mark.parametrize("role", EVERYBODY)
def test_a_role_opens_what_it_may_and_nothing_else(site: Site, role: str) -> None:
    web = site.as_(role)
    web.raise_request_exception = False
    wrong = []
    for name, wanted in TABLE.items():
        if isinstance(wanted, str):
            continue
        for call in (web.get, web.post):
            refused = call(address(name)).status_code == 403
            if refused == (role in wanted):
                wrong.append((name, call.__name__, role, "refused" if refused else "let in"))
    assert not wrong


def test_who_is_not_signed_in_sees_nothing(site: Site) -> None:
    web = site.as_("")
    for name, wanted in TABLE.items():
        if wanted == "person" or isinstance(wanted, tuple):
            answer = web.get(address(name))
            assert (answer.status_code, answer.url.partition("?")[0]) == (302, "/login"), name
        elif (wanted == "token" and name != "api_description") or wanted == "signed":
            assert {web.get(address(name)).status_code, web.post(address(name)).status_code} <= {
                401,
                405,
            }, name


def test_part_of_a_page_sends_who_is_signed_out_to_the_sign_in_page(site: Site) -> None:
    answer = site.as_("").get("/", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/login")


def test_a_view_without_a_right_is_closed_to_everybody(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pattern,) = [one for one in urlpatterns if one.name == "home"]
    assert site.as_("administrator").get("/").status_code == 200
    monkeypatch.delattr(pattern.callback, "right")
    assert site.as_("administrator").get("/").status_code == 403


def test_a_role_can_be_limited_to_an_entity(site: Site) -> None:
    site.store.people.set_rights("viewer", {("view", "contact")})
    web = site.as_("viewer")
    assert web.get("/records/partner/crm/1").status_code == 403
    assert web.get("/records/contact/crm/1").status_code == 404
    assert web.get("/").status_code == 200


def test_the_roles_of_a_new_store_may_what_the_code_says(site: Site) -> None:
    told = {role: {action for action, _ in may} for role, may in site.store.people.roles().items()}
    assert told == {role: set(actions) for role, actions in DEFAULT_ROLES.items()}


def test_every_answer_forbids_scripts_and_frames_from_elsewhere(site: Site) -> None:
    for web, path in ((site.as_(""), "/login"), (site.as_("viewer"), "/")):
        answer = web.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert "no-store" in answer.headers["Cache-Control"]


# signing in


def sign_in(web: Client, password: str, name: str = "clerk") -> Any:
    return web.post("/login", {"username": name, "password": password})


def test_signing_in_and_out_is_written_down(site: Site) -> None:
    web = site.as_("")
    assert sign_in(web, "a password of five words").status_code == 302
    assert web.get("/").status_code == 200
    assert web.post("/logout").status_code == 302
    assert web.get("/").status_code == 302
    said = [(e.user, e.action) for e in site.store.audit_log.recent()]
    assert said == [("clerk", "sign out"), ("clerk", "sign in")]


def test_nobody_is_signed_out_by_a_link(site: Site) -> None:
    web = site.as_("clerk")
    assert web.get("/logout").status_code == 405
    assert web.get("/").status_code == 200


def test_five_failures_lock_the_name_even_for_the_right_password(site: Site) -> None:
    web = site.as_("")
    for _ in range(5):
        assert "do not fit" in sign_in(web, "wrong").content.decode()
    answer = sign_in(web, "a password of five words")
    assert "Too many failed attempts" in answer.content.decode()
    assert sign_in(web, "a password of five words", "sales").status_code == 302


def test_a_success_forgets_the_failures_before_it(site: Site) -> None:
    web = site.as_("")
    for _ in range(2):
        for _ in range(4):
            sign_in(web, "wrong")
        assert sign_in(web, "a password of five words").status_code == 302
        web.post("/logout")


def test_passwords_are_kept_as_argon2_hashes(site: Site) -> None:
    assert get_user_model().objects.get(username="clerk").password.startswith("argon2")


def test_one_changes_ones_own_password_and_stays_signed_in(site: Site) -> None:
    web = site.as_("clerk")
    new = "another one of six words"
    told = {
        "old_password": "a password of five words",
        "new_password1": new,
        "new_password2": new,
    }
    assert web.post("/account", told).status_code == 302
    assert "Your password is changed" in web.get("/account").content.decode()
    assert sign_in(site.as_(""), new).status_code == 302


def test_a_form_from_elsewhere_is_refused(site: Site) -> None:
    web = Client(SERVER_NAME="127.0.0.1", enforce_csrf_checks=True)
    assert sign_in(web, "a password of five words").status_code == 403
