"""One log-in to a Tryton, and calls to it: an answer, or one of a few clear consequences.

* The session is opened at the first call, and once more where it has run out.
* Tryton's own refusals are exceptions of this module (`CallRefused` and below); nothing was
  written then, since Tryton works a call in one transaction.
* `ReplyLost`, `NeedsUser`, `TryLater`, `Defect` as in `koppel.connectors.http`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from koppel.connectors.http import HttpSession, Patience, Reply, ReplyLost, Timeouts, Unauthorized
from koppel.connectors.tryton import codec
from koppel.errors import Defect, KoppelError, NeedsUser, TryLater

# What the database says where it has rolled a call back: for a smaller call, or for a later one.
_TOO_LARGE = ("parser stack overflow", "too many sql variables")
_BUSY = ("database is locked", "deadlock detected", "could not serialize", "lock timeout")


class CallRefused(Exception):
    """Tryton did not do it and said why."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class RuleBroken(CallRefused):
    """A business rule spoke (Tryton's `UserError`).

    `part` is what of an order it is about, where Koppel's module says so: "lines" or "party".
    """

    def __init__(self, message: str, part: str = "") -> None:
        super().__init__(message)
        self.part = part


class WarningRaised(CallRefused):
    """Tryton asks its user to confirm (`UserWarning`); `name` is what may be skipped."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class ChangedMeanwhile(CallRefused):
    """A record no longer has the time stamp that was sent along."""


class ServerFault(CallRefused):
    """An exception inside Tryton that no business rule foresaw."""


class Overloaded(CallRefused):
    """The database gave up and rolled back: it was busy, or the call was `too_large` for it."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


class TrytonSession:
    """Calls as one user on one database. `context` holds the user's own preferences."""

    def __init__(
        self,
        url: str,
        database: str,
        username: str,
        password: str,
        *,
        name: str = "tryton",
        timeouts: Timeouts | None = None,
        patience: Patience | None = None,
        ca_file: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.name = name
        self.database = database
        self.username = username
        self.user_id = 0
        self.context: dict[str, Any] = {}
        self._password = password
        self._number = 0
        self._http = HttpSession(
            url,
            name=name,
            secrets=(password,),
            timeouts=timeouts,
            patience=patience,
            ca_file=ca_file,
            parse=codec.parse,
            dump=codec.dump,
            transport=transport,
        )

    def __repr__(self) -> str:
        return f"TrytonSession({self._http.address}, {self.database}, {self.username})"

    @property
    def calls(self) -> int:
        """How many calls went out so far, the repeated ones too."""
        return self._http.calls

    @property
    def server_date(self) -> float | None:
        """The server's clock at the last answer, in seconds since 1970, by its `Date` header."""
        return self._server_date

    _server_date: float | None = None

    def close(self) -> None:
        """End the session; may be called twice."""
        if self.user_id:
            self.user_id = 0
            # Where it cannot be told, the server drops the idle session by itself.
            with suppress(KoppelError, CallRefused):
                self._post("common.db.logout", [], effect=False)
        self._http.close()

    def call(
        self,
        model: str,
        method: str,
        *args: Any,
        effect: bool = False,
        context: Mapping[str, Any] | None = None,
    ) -> Any:
        """`model.<model>.<method>` with the user's context, `context` laid over it.

        `effect` says whether it changes something: only then can a lost answer be `ReplyLost`.
        """
        return self._call(f"model.{model}.{method}", args, effect, context)

    def wizard(
        self, name: str, method: str, *args: Any, context: Mapping[str, Any] | None = None
    ) -> Any:
        """`wizard.<name>.<method>`: one step of one of Tryton's dialogues; it may change things."""
        return self._call(f"wizard.{name}.{method}", args, True, context)

    def report(self, name: str, ids: Sequence[int]) -> Any:
        """`report.<name>.execute`: what the report makes of these records: kind, content, .., name.

        Tryton keeps the paper of some records, so it may change something.
        """
        context = {"active_ids": list(ids), "active_id": ids[0]}
        return self._call(f"report.{name}.execute", (list(ids), {}), True, context)

    def server_version(self) -> str:
        """The series of the server, such as 8.2; needs no log-in."""
        return str(self._post("common.server.version", [], effect=False, path="/rpc/"))

    def _call(
        self,
        method: str,
        args: tuple[Any, ...],
        effect: bool,
        context: Mapping[str, Any] | None,
    ) -> Any:
        if not self.user_id:
            self._log_in()
        over = dict(context or {})
        try:
            return self._post(method, [*args, {**self.context, **over}], effect=effect)
        except Unauthorized as error:
            if error.status != 401:
                raise
        self._log_in()
        return self._post(method, [*args, {**self.context, **over}], effect=effect)

    def _log_in(self) -> None:
        self.user_id = 0
        self._http.drop_header("Authorization")
        params = [self.username, {"password": self._password}]
        user_id, token = self._post("common.db.login", params, effect=False)[:2]
        pair = f"{self.username}:{user_id}:{token}"
        self._http.keep_secret(str(token))
        self._http.set_header("Authorization", f"Session {b64encode(pair.encode()).decode()}")
        self.user_id = int(user_id)
        self.context = {}
        preferences = self._post("model.res.user.get_preferences", [True, {}], effect=False)
        self.context = {key: value for key, value in preferences.items() if key != "locale"}

    def _post(
        self, method: str, params: list[Any], *, effect: bool, path: str | None = None
    ) -> Any:
        self._number += 1
        payload = {"id": self._number, "method": method, "params": params}
        reply = self._http.request(
            "POST",
            path or f"/{self.database}/rpc/",
            effect=effect,
            payload=payload,
            expected=(503,) if effect else (),
        )
        self._server_date = _seconds(reply.headers.get("date", ""))
        body = reply.body
        if reply.status == 200 and isinstance(body, dict) and "id" in body:
            if "error" in body:
                raise self._refusal(body["error"])
            return body.get("result")
        raise self._trouble(reply, effect)

    def _trouble(self, reply: Reply, effect: bool) -> Exception:
        place = self.name
        if reply.status == 404:
            return NeedsUser(
                f"{self._http.address} has no database {self.database!r}",
                place=place,
                remedy="Check the address and the name of the database in this connection",
            )
        if reply.status == 413:
            return Overloaded("Tryton takes no call of that size", too_large=True)
        if reply.status == 503:
            text = reply.content.decode("utf-8", "replace").lower()
            if "retry-after" in reply.headers and reply.headers["retry-after"].isdigit():
                after = float(reply.headers["retry-after"])
                return TryLater("Tryton asks for patience", after=after, place=place)
            for sentence in (*_TOO_LARGE, *_BUSY):
                if sentence in text:
                    message = f"Tryton's database gave up: {sentence}"
                    return Overloaded(message, too_large=sentence in _TOO_LARGE)
            return ReplyLost(f"{self._http.address} answered with an error of its own (HTTP 503)")
        return Defect(
            f"{self._http.address} answered a call in an unknown form (HTTP {reply.status})",
            place=place,
            remedy="Check the address and that the system is a Tryton 8",
        )

    def _refusal(self, error: Any) -> Exception:
        kind, detail = (*error, "", "")[:2] if isinstance(error, list) else (str(error), "")
        if kind == "UserError":
            message, description, domain = (*detail, "", "", None)[:3]
            told = domain.get("koppel_part") if isinstance(domain, dict) else None
            return RuleBroken(self._http.redact(_sentence(message, description)), str(told or ""))
        if kind == "UserWarning":
            name, message, description = (*detail, "", "", "")[:3]
            return WarningRaised(str(name), self._http.redact(_sentence(message, description)))
        if kind == "ConcurrencyException":
            return ChangedMeanwhile(str(detail))
        if kind == "LoginException":
            return NeedsUser(
                f"Tryton asks {self.username} for more than a password",
                place=self.name,
                remedy="Give Koppel a user of its own that logs in with a password alone",
            )
        return ServerFault(self._http.redact(str(kind)))


def _sentence(message: object, description: object) -> str:
    return " ".join(str(part).strip() for part in (message, description) if part)


def _seconds(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError):
        return None
