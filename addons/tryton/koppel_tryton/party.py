"""Parties with a Koppel key."""

from trytond.pool import PoolMeta

from .key import KeyMixin


class Party(KeyMixin, metaclass=PoolMeta):
    __name__ = "party.party"
