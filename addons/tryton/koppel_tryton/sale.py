"""Sales with a Koppel key."""

from trytond.pool import PoolMeta

from .key import KeyMixin


class Sale(KeyMixin, metaclass=PoolMeta):
    __name__ = "sale.sale"
