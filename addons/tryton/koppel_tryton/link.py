"""Indexes on the tables that link a party with its categories and bank accounts."""

from trytond.model import Index
from trytond.pool import PoolMeta


class PartyCategory(metaclass=PoolMeta):
    __name__ = "party.party-party.category"

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.add(Index(table, (table.party, Index.Range())))


class AccountParty(metaclass=PoolMeta):
    __name__ = "bank.account-party.party"

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.add(Index(table, (table.owner, Index.Range())))
