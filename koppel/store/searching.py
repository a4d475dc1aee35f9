"""Finding customers as one types: over names, numbers, VAT ids, e-mails, phones and towns.

Text is folded (lower case, no accents), and umlauts are kept in both spellings, so `Müller`,
`Mueller` and `muller` find the same. Every word of the query must occur, each anywhere in a word of
the text. An index of three-letter pieces does the work: a full-text table on SQLite, and on
PostgreSQL one of `pg_trgm` where the server has it (without it, each search compares every row).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection
from django.db.models import Q
from django.db.models.expressions import RawSQL
from unidecode import unidecode

from koppel.store.seen_models import Customer
from koppel.sync.names import fold

TABLE = "store_customer_text"
_WRITTEN_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_CANDIDATES = 400
_PHONE = re.compile(r"\+?[\d\s/()\-.]{5,}")
_PIECE = 3


def folded(text: str) -> str:
    """Lower case, plain letters, single spaces."""
    plain = text.casefold()
    if not plain.isascii():
        plain = unidecode(plain).lower()
    return " ".join(plain.split())


def searchable(texts: Iterable[str], *, phones: Iterable[str] = ()) -> str:
    """One text in which a query can be found."""
    words: dict[str, None] = {}
    for text in texts:
        low = " ".join(text.casefold().split())
        for spelling in (folded(low), folded(low.translate(_WRITTEN_OUT)), fold(low)):
            if spelling:
                words[spelling] = None
                compact = re.sub(r"[^a-z0-9@]", "", spelling)
                if any(sign.isdigit() for sign in compact) and compact != spelling:
                    words[compact] = None
    for phone in phones:
        digits = re.sub(r"\D", "", phone)
        if digits:
            words[digits] = None
    return "\n".join(words)


def name_key(name: str) -> str:
    """A name for its order and for what begins like it; Müller, Mueller and Muller are one."""
    return " ".join(fold(name).split())[:200]


def query_words(query: str) -> list[str]:
    """What must be found; a phone number is one word, without what a country leaves out."""
    text = query.strip()
    if _PHONE.fullmatch(text) and sum(sign.isdigit() for sign in text) >= 5:
        digits = re.sub(r"\D", "", text)
        return [digits.removeprefix("00").lstrip("0") or digits]
    return folded(text).split()


def begins(column: str, start: str) -> Q:
    """Does a column begin so, letter by letter? Asked so that an index of the column answers."""
    if connection.vendor == "postgresql":
        return Q(**{f"{column}__startswith": start})
    return Q(**{f"{column}__gte": start, f"{column}__lt": f"{start}\U0010ffff"})


def reindex(ids: Sequence[int], before: dict[int, str]) -> None:
    """Bring the index in step with customers that were changed, made or removed.

    `before`: the text that each of them had in the index.
    """
    if connection.vendor != "sqlite" or not ids:
        return
    now = dict(Customer.objects.filter(id__in=ids).values_list("id", "search"))
    reindex_gone(ids, before)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {TABLE} (rowid, search) VALUES (%s, %s)",
            [(id, now[id]) for id in ids if id in now],
        )


def reindex_gone(ids: Sequence[int], before: dict[int, str]) -> None:
    """Take customers out of the index; call it before they are deleted."""
    if connection.vendor == "sqlite" and ids:
        with connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {TABLE} ({TABLE}, rowid, search) VALUES ('delete', %s, %s)",
                [(id, before[id]) for id in ids if id in before],
            )


def rebuild() -> None:
    """Make the whole index anew."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {TABLE} ({TABLE}) VALUES ('rebuild')")


def search(query: str, limit: int = 20) -> list[int]:
    """Ids of customers, the best first: exact number, then names that begin so, then the rest."""
    words = query_words(query)
    if not words:
        return []
    found: dict[int, None] = dict.fromkeys(_exact(query))
    found.update(dict.fromkeys(_beginning(query, limit)))
    if len(found) < limit:
        found.update(dict.fromkeys(_containing(words)))
    return list(found)[:limit]


def _exact(query: str) -> list[int]:
    number = query.strip()
    return _ids("number IN (%s, %s) LIMIT 5", number, number.upper())


def _beginning(query: str, limit: int) -> list[int]:
    """Customers whose name begins so: a range of the index on folded names, byte by byte.

    In the order of some languages PostgreSQL may pass over the last character of all.
    """
    start = name_key(query)
    if not start:
        return []
    key = 'name_key COLLATE "C"' if connection.vendor == "postgresql" else "name_key"
    return _ids(
        f"{key} >= %s AND {key} < %s ORDER BY {key}, id LIMIT %s",
        start, f"{start}\U0010ffff", limit,
    )  # fmt: skip


def _ids(where: str, *values: Any) -> list[int]:
    """Each key that is pressed asks this: as plain SQL it costs a fraction of the ORM's work."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM store_customer WHERE {where}", values)
        return [row[0] for row in cursor.fetchall()]


def _containing(words: Sequence[str]) -> list[int]:
    spellings = [sorted({word, fold(word)}) for word in words]
    long = [some for some in spellings if len(some[-1]) >= _PIECE or len(some[0]) >= _PIECE]
    short = [some[0] for some in spellings if some not in long]
    if not long:
        # One or two letters are looked up as the beginning of a name alone.
        return []
    if connection.vendor == "sqlite":
        found = f"SELECT rowid FROM {TABLE} WHERE {TABLE} MATCH %s LIMIT {_CANDIDATES}"
        asked = " AND ".join(_any_of(some) for some in long)
        rows = Customer.objects.filter(id__in=RawSQL(found, [asked]))
    else:
        rows = Customer.objects.all()
        for some in long:
            rows = rows.filter(Q(search__contains=some[0]) | Q(search__contains=some[-1]))
    for word in short:
        rows = rows.filter(search__contains=word)
    keys = [name_key(word) for word in words]
    named = rows.order_by("name_key", "id").values_list("id", "name_key")[:_CANDIDATES]
    # Who has it in the name before who has it in an address or a contact.
    return [id for id, _ in sorted(named, key=lambda row: not all(key in row[1] for key in keys))]


def _any_of(spellings: Sequence[str]) -> str:
    """As the full-text index asks for it."""
    quoted = (word.replace('"', '""') for word in spellings if len(word) >= _PIECE)
    return "(" + " OR ".join(f'"{word}"' for word in quoted) + ")"
