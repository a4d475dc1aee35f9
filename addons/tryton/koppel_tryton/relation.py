"""Relation types that say of themselves that they lead from a contact person to the company."""

from trytond.pool import PoolMeta

from .version import CONTACT_USAGE


class RelationType(metaclass=PoolMeta):
    __name__ = "party.relation.type"

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.usages.selection.append((CONTACT_USAGE, "Contact Person (Koppel)"))
