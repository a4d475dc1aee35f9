"""Django's settings for the store and, on top of it, the web pages.

`koppel.store.open_store` points the database at a file or a server before first use; nothing here
reads one.
"""

from __future__ import annotations

import os
import secrets

from koppel.store.address import database_settings

SECRET_KEY = os.environ.get("KOPPEL_WEB_SECRET") or secrets.token_urlsafe(48)
DEBUG = False
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
USE_I18N = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", *os.environ.get("KOPPEL_HOSTS", "").split()]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "koppel.store",
    "koppel.web",
]
_ADDRESS = os.environ.get("KOPPEL_DATABASE_URL") or os.environ.get("KOPPEL_DATABASE", ":memory:")
DATABASES = {"default": database_settings(_ADDRESS)}
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "koppel.web.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/"
SESSION_COOKIE_NAME = "koppel_session"
CSRF_COOKIE_NAME = "koppel_csrf"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "SAMEORIGIN"
LOGGING_CONFIG = None
