"""The addresses of Koppel's own pages and interfaces."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import URLPattern, path

from koppel.web import hooks, orders, pages

urlpatterns: list[URLPattern] = [
    path("", pages.home, name="home"),
    path("login", LoginView.as_view(template_name="web/login.html"), name="login"),
    path("logout", LogoutView.as_view(next_page="/"), name="logout"),
    path("healthz", pages.healthz, name="healthz"),
    path("couplings/<str:coupling>", pages.coupling, name="coupling"),
    path("records/<str:entity>/<str:side>/<str:record>", pages.record, name="record"),
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
