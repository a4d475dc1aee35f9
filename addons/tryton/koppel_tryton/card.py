"""Koppel's card of a customer or a sale: a link that is good for minutes, made when asked for.

Koppel is asked for it with a signature, and told who asks; the link opens without a second sign-in.
Where Koppel is stands in the section `koppel` of Tryton's configuration:

* `url`: where Koppel listens; empty: there is no card.
* `secret`: what signs the calls to Koppel; the same as `hint_secret` of its connection.
* `connection`: what Koppel calls its connection to this Tryton; `tryton` where not set.
* `browser_url`: Koppel's address for people, where it differs from `url`.
"""

import hashlib
import hmac
import json
import secrets
import time
import urllib.error
import urllib.request
from urllib.parse import quote, urlsplit

import trytond.config as config
from trytond.exceptions import UserError
from trytond.i18n import gettext
from trytond.pool import Pool
from trytond.transaction import Transaction, check_access
from trytond.wizard import StateAction, Wizard

TIMEOUT = 5.0
_LARGEST = 100_000


class OpenCard(Wizard):
    """Open what Koppel knows of a record, in the browser."""

    __name__ = "koppel.open_card"
    start_state = "open_"
    open_ = StateAction("koppel.url_card")

    def do_open_(self, action):
        model, id_ = self.record.__name__, self.record.id
        with check_access():
            # Whoever may not read the record gets no link to what Koppel knows of it.
            Pool().get(model).read([id_], ["rec_name"])
        return {**action, "url": card(model, id_)}, {}


class _StayHere(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args, **kwargs):
        return None


_direct = urllib.request.build_opener(_StayHere, urllib.request.ProxyHandler({}))
_proxied = urllib.request.build_opener(_StayHere)


def card(model, id_):
    """A link to the card of a record, for the present user. Raises UserError with what to do."""
    base = (config.get("koppel", "url") or "").rstrip("/")
    if not base:
        raise UserError(gettext("koppel.msg_card_not_set_up"))
    connection = config.get("koppel", "connection") or "tryton"
    path = f"/api/card-link/{quote(connection, safe='')}/{quote(model, safe='')}/{id_}"
    user = Pool().get("res.user")(Transaction().user)
    # Koppel takes each message once: two of the same second must not be alike.
    told = {"user": user.login, "figures": _may_see_money(), "once": secrets.token_hex(8)}
    status, answer = _asked(base, path, told)
    if status == 404:
        raise UserError(gettext("koppel.msg_card_unknown"))
    if status in (401, 403):
        raise UserError(gettext("koppel.msg_card_not_accepted"))
    link = answer.get("card") if status == 200 and isinstance(answer, dict) else None
    if not isinstance(link, str) or not link.startswith("/") or link.startswith("//"):
        raise UserError(gettext("koppel.msg_card_away"))
    return ((config.get("koppel", "browser_url") or "").rstrip("/") or base) + link


def _may_see_money():
    """May the present user read invoices? Where Tryton has none, there is nothing to go by."""
    pool = Pool()
    try:
        pool.get("account.invoice")
    except KeyError:
        return False
    access = pool.get("ir.model.access").get_access(["account.invoice"])
    return bool(access["account.invoice"]["read"])


def _asked(base, path, told):
    """(status, answer) of a signed call; (0, None) where Koppel is away."""
    body = json.dumps(told).encode()
    stamp = str(int(time.time()))
    called = urlsplit(base + path).path
    secret = (config.get("koppel", "secret") or "").encode()
    message = f"{stamp}.POST {called}\n".encode() + body
    request = urllib.request.Request(
        base + path,
        data=body,
        method="POST",
        headers={
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Koppel-Timestamp": stamp,
            "Koppel-Signature": "sha256=" + hmac.new(secret, message, hashlib.sha256).hexdigest(),
        },
    )
    loopback = urlsplit(base).hostname in ("127.0.0.1", "localhost", "::1")
    try:
        with (_direct if loopback else _proxied).open(request, timeout=TIMEOUT) as response:
            return response.status, json.loads(response.read(_LARGEST))
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None
    except (OSError, ValueError):
        return 0, None
