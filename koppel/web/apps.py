"""Koppel's own pages as a Django application."""

from __future__ import annotations

from django.apps import AppConfig


class WebConfig(AppConfig):
    """Label `web`."""

    name = "koppel.web"
    label = "web"
