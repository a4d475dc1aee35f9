"""A call that is sent twice is carried out once: the header `Idempotency-Key`.

The first call under a key is carried out and its answer kept for a day; the same call again gets
that answer, with the header `Idempotency-Replayed`. Another call under the same key is a conflict,
and so is one that comes while the first is still under way. What went wrong inside Koppel, or was
not allowed, is not kept: it may be tried again. Keys are each token's own.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse

from koppel.store.people_models import KeptReply
from koppel.web.api_base import bearer, problem
from koppel.web.service import current

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEEP = timedelta(hours=24)
ABANDONED = timedelta(minutes=2)
"""After that long a call that is still under way counts as dead, and may be sent again."""
LONGEST = 200
_KEY = re.compile(rf"[!-~]{{1,{LONGEST}}}")
_NOT_KEPT = (401, 403, 429)

View = Callable[..., HttpResponse]


def once(view: View) -> View:
    """Let an operation be carried out once for each key."""

    @functools.wraps(view)
    def asked(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponse:
        key = request.headers.get(HEADER)
        if key is None or request.method not in ("POST", "PUT", "PATCH", "DELETE"):
            return view(request, *arguments, **named)
        token = current().store.tokens.number(bearer(request))
        if token is None:
            return view(request, *arguments, **named)
        if not _KEY.fullmatch(key):
            said = f"{HEADER} has 1 to {LONGEST} printable characters without blanks."
            return problem(422, said, errors=[])
        return _once(request, token, key, lambda: view(request, *arguments, **named))

    return asked


def _once(
    request: HttpRequest, token: int, key: str, carry_out: Callable[[], HttpResponse]
) -> HttpResponse:
    call = f"{request.method} {request.get_full_path()}\n".encode() + request.body
    digest, now = hashlib.sha256(call).hexdigest(), current().clock()
    KeptReply.objects.filter(at__lt=now - KEEP).delete()
    KeptReply.objects.filter(status=0, at__lt=now - ABANDONED).delete()
    try:
        with transaction.atomic():
            row = KeptReply.objects.create(token=token, key=key, digest=digest, at=now)
    except IntegrityError:
        return _again(token, key, digest)
    try:
        answer = carry_out()
    except BaseException:
        row.delete()
        raise
    if answer.status_code >= 500 or answer.status_code in _NOT_KEPT:
        row.delete()
        return answer
    KeptReply.objects.filter(id=row.id).update(
        status=answer.status_code,
        content_type=answer.headers.get("Content-Type", ""),
        body=answer.content,
    )
    return answer


def _again(token: int, key: str, digest: str) -> HttpResponse:
    row = KeptReply.objects.filter(token=token, key=key).first()
    if row is None or (row.digest == digest and row.status == 0):
        return problem(409, "The first call under this key is still under way.")
    if row.digest != digest:
        return problem(409, f"This {HEADER} was used for another call; take a new one.")
    answer = HttpResponse(bytes(row.body), status=row.status, content_type=row.content_type)
    if not row.content_type:
        del answer.headers["Content-Type"]
    answer.headers[REPLAYED] = "true"
    return answer
