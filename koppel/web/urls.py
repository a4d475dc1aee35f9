"""The addresses of Koppel's own pages and interfaces."""

from __future__ import annotations

from django.urls import URLPattern, path

from koppel.web import (
    account,
    api,
    errands,
    health,
    hooks,
    inbox,
    introduction,
    order_pages,
    orders,
    pages,
    prices,
    records,
    runs,
    setup,
)
from koppel.web.views_urls import PATHS

urlpatterns: list[URLPattern] = [
    path("", pages.home, name="home"),
    path("login", account.sign_in, name="login"),
    path("logout", account.sign_out, name="logout"),
    path("account", account.account, name="account"),
    path("language", account.language, name="language"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("inbox", inbox.inbox, name="inbox"),
    path("inbox/conflicts/resolve", inbox.resolve_many, name="resolve_many"),
    path("inbox/conflicts/<int:number>", inbox.resolve, name="resolve"),
    path("inbox/matches/<int:number>", inbox.answer, name="answer"),
    path("inbox/quarantine/release", inbox.release, name="release"),
    path("inbox/<str:tab>", inbox.inbox, name="inbox_tab"),
    path("runs", runs.runs, name="runs"),
    path("runs/sync", runs.sync_now, name="sync_now"),
    path("runs/<int:number>", runs.run, name="run"),
    path("runs/<int:number>/undo", runs.undo, name="undo"),
    path("runs/<int:number>/apply", runs.apply, name="apply"),
    path("runs/<int:number>/reject", runs.reject, name="reject"),
    path("setup", setup.setup, name="setup"),
    path("setup/introduction", introduction.introduction, name="introduction"),
    path("setup/introduction/report", introduction.assessment, name="assessment"),
    path("setup/introduction/<str:step>", introduction.step, name="step"),
    path("setup/introduction/<str:step>/do", introduction.do_step, name="do_step"),
    path("setup/introduction/<str:step>/undo", introduction.undo_step, name="undo_step"),
    path("setup/introduction/<str:step>/skip", introduction.skip_step, name="skip_step"),
    path("setup/connections/<str:connection>", setup.schema, name="schema"),
    path("setup/connections/<str:connection>/check", setup.check, name="check"),
    path("setup/rules/<str:entity>", setup.rule, name="rule"),
    path("setup/rules/<str:entity>/change", setup.change_rule, name="change_rule"),
    path("setup/rules/<str:entity>/versions/<int:number>", setup.version, name="version"),
    path("setup/interface", setup.interface, name="interface"),
    path("setup/users", setup.users, name="users"),
    path("setup/users/change", setup.change_user, name="change_user"),
    path("setup/roles/change", setup.change_role, name="change_role"),
    path("setup/audit-log", setup.audit, name="audit"),
    path("journal", runs.journal, name="journal"),
    path("errands/<str:errand>", errands.errand, name="errand"),
    path(
        "records/<str:entity>/<str:side>/<str:record>/synchronise",
        errands.synchronise,
        name="synchronise",
    ),
    path("couplings/<str:coupling>/word", runs.coupling_word, name="coupling_word"),
    path("couplings/<str:coupling>", records.coupling, name="coupling"),
    path("records/<str:entity>/<str:side>/<str:record>", records.record, name="record"),
    path("hints/<str:connection>", hooks.hint, name="hint"),
    path("api/card/<str:connection>/<str:resource>/<str:record>", hooks.card, name="card"),
    path("api/sync/<str:connection>/<str:resource>/<str:record>", hooks.press, name="press"),
    path(
        "api/orders/<str:connection>/<str:resource>/<str:record>/transfer",
        orders.transfer,
        name="transfer",
    ),
    path(
        "api/orders/<str:connection>/<str:resource>/<str:record>/retry",
        orders.retry,
        name="transfer_retry",
    ),
    path(
        "api/orders/<str:connection>/<str:resource>/<str:record>/cancel",
        orders.cancel,
        name="transfer_cancel",
    ),
    path("api/orders/<str:connection>/<str:resource>/<str:record>", orders.order, name="order"),
    path(
        "api/figures/<str:connection>/<str:resource>/<str:record>", orders.figures, name="figures"
    ),
    path("api/prices/<str:connection>/<str:resource>/<str:record>", prices.prices, name="prices"),
    path(
        "api/products/<str:connection>/<str:resource>/<str:record>", prices.product, name="product"
    ),
    path("processes/<str:process>", orders.process, name="process"),
    path("processes/<str:process>/retry", order_pages.retry, name="process_retry"),
    path("processes/<str:process>/cancel", order_pages.cancel, name="process_cancel"),
    path("linked-orders/<str:link>", order_pages.order, name="order_page"),
    path(
        "linked-orders/<str:link>/invoices/<str:invoice>", order_pages.invoice, name="order_invoice"
    ),
    *api.addresses(),
    *PATHS,
]
