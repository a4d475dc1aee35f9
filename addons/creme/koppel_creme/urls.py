"""The addresses of the add-on, below `/koppel/`."""

from django.urls import path

from .views import api, page

urlpatterns = [
    path("api/v1/health", api.health, name="koppel_creme__health"),
    path("api/v1/describe", api.describe, name="koppel_creme__describe"),
    path("api/v1/now", api.now, name="koppel_creme__now"),
    path("api/v1/changes", api.changes, name="koppel_creme__changes"),
    path("api/v1/ids", api.ids, name="koppel_creme__ids"),
    path("api/v1/fetch", api.fetch, name="koppel_creme__fetch"),
    path("api/v1/find", api.find, name="koppel_creme__find"),
    path("api/v1/write", api.write, name="koppel_creme__write"),
    path("api/v1/lists", api.lists, name="koppel_creme__lists"),
    path("api/v1/keep", api.keep, name="koppel_creme__keep"),
    path("api/v1/recover", api.recover, name="koppel_creme__recover"),
    path(
        "synchronise/<str:resource>/<int:entity_id>",
        page.synchronise,
        name="koppel_creme__synchronise",
    ),
    path("transfer/<str:resource>/<int:entity_id>", page.transfer, name="koppel_creme__transfer"),
    path("prices/<str:resource>/<int:entity_id>", page.prices, name="koppel_creme__prices"),
    path(
        "prices/<str:resource>/<int:entity_id>/take",
        page.take_prices,
        name="koppel_creme__take_prices",
    ),
    path("refresh/<str:resource>/<int:entity_id>", page.refresh, name="koppel_creme__refresh"),
]
