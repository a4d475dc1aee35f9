"""The addresses of Koppel's own pages and interfaces."""

from __future__ import annotations

from django.urls import URLPattern, path

from koppel.web import account, hooks, orders, pages, records

urlpatterns: list[URLPattern] = [
    path("", pages.home, name="home"),
    path("login", account.sign_in, name="login"),
    path("logout", account.sign_out, name="logout"),
    path("account", account.account, name="account"),
    path("language", account.language, name="language"),
    path("healthz", pages.healthz, name="healthz"),
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
    path("api/orders/<str:connection>/<str:resource>/<str:record>", orders.order, name="order"),
    path(
        "api/figures/<str:connection>/<str:resource>/<str:record>", orders.figures, name="figures"
    ),
    path("processes/<str:process>", orders.process, name="process"),
]
