"""Settings of a Creme CRM of the lab.

One settings module for every instance: what differs between instances comes from the environment.

* `CREME_FOLDER` (needed): the instance's own folder; its database, uploads and job socket.
* `CREME_MEDIA` (needed): the folder of the generated scripts and styles, shared by all instances.
* `CREME_SECRET_KEY`: signs the sessions; a fixed one where it is missing (lab only).
* `CREME_URL`: the address that people use.
* `CREME_FAST`: `1` while a template is made: no wait for the disk.
* `KOPPEL_URL`, `KOPPEL_HINT_SECRET`, `KOPPEL_TOKEN`: see the add-on `koppel_creme`.
"""

import os
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

from creme import settings as base

globals().update({name: value for name, value in vars(base).items() if name.isupper()})

BASE_DIR = Path(os.environ["CREME_FOLDER"])
MEDIA_DIR = Path(os.environ["CREME_MEDIA"])
FAST = os.environ.get("CREME_FAST") == "1"

# Creme still sets what Django 5.2 calls outdated; nobody who uses the lab can do anything about it.
warnings.filterwarnings("ignore", message="The FORMS_URLFIELD_ASSUME_HTTPS")

DEBUG = False
SECRET_KEY = os.environ.get("CREME_SECRET_KEY", "lab-only-key-of-a-creme-that-listens-on-loopback")
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
SITE_DOMAIN = os.environ.get("CREME_URL", "http://127.0.0.1")
SESSION_COOKIE_NAME = "creme_session"
"""Creme, Tryton and Koppel share the host 127.0.0.1, hence the cookie jar of the browser."""
# The cookie against forged requests keeps its name: Creme's own scripts look it up by that.

LANGUAGE_CODE = "en"
LANGUAGES = [*base.LANGUAGES, ("de", "Deutsch")]
"""Creme itself speaks English and French; what Koppel adds to its pages speaks German too."""
TIME_ZONE = "Europe/Berlin"

# SQLite never waits for the disk while a template is made: a template that is cut off is thrown
# away. IMMEDIATE: a writer takes the lock when it begins, so that it never fails half-way.
_PRAGMAS = (
    "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;"
    if FAST
    else "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "creme.sqlite3",
        "CONN_MAX_AGE": None,
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 30, "init_command": _PRAGMAS},
    }
}

# The parts of Creme that a coupling with an ERP is about. Left out: geolocation (asks a server in
# the internet for every address), e-mail fetching, events, tickets, projects, polls, graphs.
INSTALLED_CREME_APPS = [
    "creme.creme_core",
    "creme.creme_config",
    "creme.custom_entities",
    "creme.documents",
    "creme.persons",
    "creme.activities",
    "creme.assistants",
    "creme.products",
    "creme.billing",
    "creme.opportunities",
    "creme.commercial",
]
if find_spec("koppel_creme") is not None:
    INSTALLED_CREME_APPS.append("koppel_creme")
INSTALLED_APPS = base.INSTALLED_DJANGO_APPS + INSTALLED_CREME_APPS

MEDIA_ROOT = BASE_DIR / "upload"
STATIC_ROOT = MEDIA_DIR / "static"
GENERATED_MEDIA_NAMES_FILE = MEDIA_DIR / "creme_generated_media_names.py"
GENERATED_MEDIA_NAMES_MODULE = "creme_generated_media_names"
if str(MEDIA_DIR) not in sys.path:
    sys.path.append(str(MEDIA_DIR))

# No job scheduler runs in the lab: nothing that is asked of this Creme needs one.
JOBMANAGER_BROKER = f"unix_socket://{BASE_DIR / 'jobs'}/"
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

KOPPEL_URL = os.environ.get("KOPPEL_URL", "")
KOPPEL_HINT_SECRET = os.environ.get("KOPPEL_HINT_SECRET", "")
KOPPEL_TOKEN = os.environ.get("KOPPEL_TOKEN", "")
