"""The key that Koppel gives to a record it creates."""

from trytond.model import Index, Model, Unique, fields


class KeyMixin(Model):
    """Adds `koppel_key`: unique where given, never copied.

    Only the group "Koppel" may write it; the forms show it readonly. (Tryton refuses any value
    from outside for a field that is readonly by itself.)

    A create that is sent twice (because the answer got lost) is refused by the database the
    second time, and found again by its key.
    """

    koppel_key = fields.Char(
        "Koppel Key", strip=False, help="Given by Koppel when it created this record."
    )

    @classmethod
    def __setup__(cls):
        cls.koppel_key.search_unaccented = False
        super().__setup__()
        table = cls.__table__()
        cls._sql_constraints.append(
            ("koppel_key_unique", Unique(table, table.koppel_key), "koppel.msg_key_unique")
        )
        cls._sql_indexes.add(Index(table, (table.koppel_key, Index.Equality(cardinality="high"))))

    @classmethod
    def copy(cls, records, default=None):
        default = default.copy() if default is not None else {}
        default.setdefault("koppel_key")
        return super().copy(records, default=default)
