"""The store as a Django application."""

from __future__ import annotations

from django.apps import AppConfig


class StoreConfig(AppConfig):
    """Label `store`: its tables are `store_coupling` and so on."""

    name = "koppel.store"
    label = "store"
