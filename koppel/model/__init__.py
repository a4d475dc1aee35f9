"""The canonical model: what both systems mean, in words of UBL 2.1 and values of ISO.

A canonical record travels as a plain mapping of field names to values (an absent field is unknown);
the structs say which fields there are and of which type.
"""

from koppel.model.codec import (
    ENTITIES,
    EXTRA,
    decode_canonical,
    encode_canonical,
    field_types,
)
from koppel.model.partner import ROLES, Contact, Partner
from koppel.model.product import Product
from koppel.model.values import PARTS, Address, Money, Ref, agree, is_currency, minor_units

__all__ = [
    "ENTITIES",
    "EXTRA",
    "PARTS",
    "ROLES",
    "Address",
    "Contact",
    "Money",
    "Partner",
    "Product",
    "Ref",
    "agree",
    "decode_canonical",
    "encode_canonical",
    "field_types",
    "is_currency",
    "minor_units",
]
