"""Documents that say in one call which of them have changed, with a version of each."""

import datetime as dt

from trytond.exceptions import ConcurrencyException
from trytond.i18n import gettext
from trytond.model import Model, fields
from trytond.rpc import RPC
from trytond.transaction import Transaction, inactive_records

from .parts import changed, clock, versions

MAX_PAGE = 10_000


class Watched(Model):
    """Adds `koppel_version` and the methods that Koppel reads changes with.

    `koppel_parts` is the tree of what a document is made of, `koppel_domain` which documents count.
    """

    koppel_parts = None
    koppel_domain = ()

    koppel_version = fields.Function(
        fields.Char(
            "Koppel Version", help="Changes with the document and with all that belongs to it."
        ),
        "get_koppel_version",
    )

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__rpc__.update({"koppel_versions": RPC(), "koppel_changed": RPC()})

    @classmethod
    def get_koppel_version(cls, records, name):
        ids = [record.id for record in records]
        found = versions(cls.koppel_parts, ids)
        return {id_: found[id_][0] if id_ in found else None for id_ in ids}

    @classmethod
    def koppel_versions(cls, after_id, limit):
        """Return {"at": now, "rows": [[id, version, changed at], ..]} by ascending id.

        A sweep over all documents, archived ones too: ids above `after_id`, at most `limit` (and
        at most 10 000). Moments are naive, in the database's own zone.
        """
        return cls._koppel_rows([("id", ">", after_id)], limit)

    @classmethod
    def koppel_changed(cls, since, after_id, limit):
        """The same for the documents of which anything has a stamp of `since` or later."""
        ids = sorted(id_ for id_ in changed(cls.koppel_parts, since) if id_ > after_id)
        rows, at = [], clock()
        # Which of them the user may see is only known after the search.
        for start in range(0, len(ids), MAX_PAGE):
            some = ids[start : start + MAX_PAGE]
            rows += cls._koppel_rows([("id", "in", some)], limit - len(rows))["rows"]
            if len(rows) >= limit:
                break
        return {"at": at, "rows": rows}

    @classmethod
    def _koppel_rows(cls, domain, limit):
        with inactive_records():
            records = cls.search(
                [*cls.koppel_domain, *domain], order=[("id", "ASC")], limit=min(limit, MAX_PAGE)
            )
        ids = [record.id for record in records]
        found = versions(cls.koppel_parts, ids)
        rows = [
            [id_, found[id_][0], dt.datetime.fromisoformat(found[id_][1])]
            for id_ in ids
            if id_ in found
        ]
        return {"at": clock(), "rows": rows}

    @classmethod
    def _koppel_check(cls, id_, version):
        """Refuse to go on where the document no longer has that version (None: no check)."""
        # A write that changes nothing takes the lock before the version is read: SQLite's on the
        # database, PostgreSQL's on the row.
        table = cls.__table__()
        Transaction().connection.cursor().execute(
            *table.update([table.id], [table.id], where=table.id == id_)
        )
        if version is None:
            return
        found = versions(cls.koppel_parts, [id_])
        if id_ not in found or found[id_][0] != version:
            raise ConcurrencyException(gettext("koppel.msg_version_moved"))
