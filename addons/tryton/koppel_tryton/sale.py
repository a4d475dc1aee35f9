"""Sales that Koppel hands over as a whole, follows as a whole, and acts upon."""

import json

from trytond.i18n import gettext
from trytond.model import fields
from trytond.model.exceptions import AccessError
from trytond.pool import PoolMeta
from trytond.rpc import RPC, RPCReturnException
from trytond.transaction import Transaction

from . import whole
from .face import Faced
from .key import KeyMixin
from .order import Told, compare, fill_header, fill_lines, priced, refuse
from .trade import SALE
from .watched import Watched

ACTIONS = {
    "quote": "quotation",
    "confirm": "confirmed",
    "process": "processing",
    "cancel": "cancelled",
    "draft": "draft",
}
"""The state to which each action leads."""


class Reckoned(RPCReturnException):
    """The answer of a call that leaves nothing behind: the transaction is rolled back."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def result(self):
        return self.answer


class Sale(Faced, KeyMixin, Watched, metaclass=PoolMeta):
    __name__ = "sale.sale"

    koppel_parts = SALE
    koppel_free = frozenset(
        {"reference", "comment", "description", *(f"koppel_crm_{n}" for n in Faced.koppel_told)}
    )
    """Fields that may be written in any state."""

    koppel_taxes = fields.Function(
        fields.Char("Koppel Taxes", help="JSON: [[tax, base, amount], ..]"), "get_koppel_taxes"
    )

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__rpc__.update(
            {
                "koppel_transfer": RPC(readonly=False),
                "koppel_amend": RPC(readonly=False),
                "koppel_act": RPC(readonly=False),
                "koppel_remove": RPC(readonly=False),
                "koppel_price": RPC(),
                "koppel_whole": RPC(),
            }
        )

    @classmethod
    def get_koppel_taxes(cls, sales, name):
        return {
            sale.id: json.dumps(
                [
                    [tax.tax.id if tax.tax else None, str(tax.base), str(tax.amount)]
                    for tax in sale._get_taxes().values()
                ]
            )
            for sale in sales
        }

    @classmethod
    def koppel_whole(cls, domain, limit, names):
        """Sales with their deliveries and invoices, in one call; see `whole.sales`."""
        return whole.sales(domain, limit, names)

    @classmethod
    def koppel_transfer(cls, key, order, keep=True, names=None):
        """Make one sale with all its lines, or nothing; give what it became.

        `order` is {"values": .., "lines": [..], "expected": ..}, see `order.py`. What is not given
        comes from Tryton: addresses, terms, prices, units, taxes. Where the totals differ from the
        expected ones nothing is made ("id" is None), nor where `keep` is false. A sale that was
        made before under this key is given back as it is ("made" is False). With `names` the
        answer is just {"id", "made", "differences"} and, as "whole", what `koppel_whole` reads.
        """
        if key and keep:
            found = cls.search([("koppel_key", "=", key)])
            if found:
                return cls._koppel_answer(found[0], {}, made=False, names=names)
        told = Told(order)
        sale = cls.koppel_filled(told)
        sale.koppel_key = key if keep else None
        sale.save()
        return cls._koppel_settle(cls(sale.id), told, keep, names)

    @classmethod
    def koppel_filled(cls, order):
        """A sale as the order tells it, filled in and not yet saved."""
        told = order if isinstance(order, Told) else Told(order)
        sale = cls(**_defaults(cls))
        fill_header(sale, told, new=True)
        fill_lines(sale, told)
        return sale

    @classmethod
    def koppel_price(cls, asked):
        """The price of one line to a customer, as the form would fill it in; nothing is stored.

        `asked` is {"party", "product", "quantity", "unit", "date", "currency"}, the last three
        optional.
        """
        sale = cls(**_defaults(cls))
        values = {"party": asked["party"]}
        if asked.get("currency"):
            values["currency"] = asked["currency"]
        fill_header(sale, Told({"values": values}), new=True)
        sale.sale_date = asked.get("date")
        line = priced(sale, asked)
        price_list = getattr(sale, "price_list", None)
        return {
            "unit_price": line.unit_price,
            "list_price": getattr(line, "base_price", None),
            "price_list": price_list.rec_name if price_list else None,
            "currency": sale.currency.code,
            "unit": line.unit.id if line.unit else None,
        }

    @classmethod
    def koppel_amend(cls, id_, version, order, names=None):
        """Change one sale if it still has that version, with the same checks and answer.

        Lines are told as a whole list: with an id they are kept or changed, without one they are
        new, and those not told are deleted. Only a draft may be changed, but for `koppel_free`.
        """
        cls._koppel_check(id_, version)
        told, sale = Told(order), cls(id_)
        if sale.state != "draft" and not told.only(cls.koppel_free):
            refuse("msg_sale_frozen", sale=sale.rec_name, state=sale.state_string)
        fill_header(sale, told, new=False)
        if told.lines is not None:
            fill_lines(sale, told)
        sale.save()
        return cls._koppel_settle(cls(id_), told, True, names)

    @classmethod
    def koppel_act(cls, id_, version, action, names=None):
        """Press one of the buttons in ACTIONS; refused where the state does not allow it.

        With `names` the answer is what `koppel_whole` reads afterwards, or None where Tryton has
        more to do after this call; else it is the state.
        """
        target, queued = ACTIONS[action], list(Transaction().tasks)
        if action in {"confirm", "process"}:
            # Processing takes this lock; asked for in the middle, all before would be done twice.
            cls.lock([cls(id_)])
        cls._koppel_check(id_, version)
        sale = cls(id_)
        before, string = sale.state, sale.state_string
        if action == "process":
            allowed = before in {"confirmed", "processing", "done"}
        else:
            allowed = (before, target) in cls._transitions
        if not allowed:
            refuse("msg_sale_state", sale=sale.rec_name, state=string, action=action)
        if action in {"quote", "confirm"} and not sale.line_lines:
            refuse("msg_sale_empty", sale=sale.rec_name)
        getattr(cls, action)([sale])
        sale = cls(id_)
        if sale.state == before and action != "process":
            raise AccessError(
                gettext("koppel.msg_sale_state", sale=sale.rec_name, state=string, action=action)
            )
        if names is None:
            return sale.state
        return None if whole.work_off(queued) else cls._koppel_whole(id_, names)

    @classmethod
    def koppel_remove(cls, id_, version):
        """Delete a draft or cancelled sale if it still has that version."""
        cls._koppel_check(id_, version)
        cls.delete([cls(id_)])

    @classmethod
    def _koppel_settle(cls, sale, told, keep, names):
        differences = compare(sale, told)
        stays = keep and not differences["found"]
        answer = cls._koppel_answer(sale, differences, made=True, names=names if stays else None)
        if stays:
            return answer
        raise Reckoned({**answer, "id": None, "made": False})

    @classmethod
    def _koppel_whole(cls, id_, names):
        # What this transaction has read before it wrote is read anew.
        for cache in Transaction().cache.values():
            cache.clear()
        return whole.sales([("id", "=", id_)], None, names)

    @classmethod
    def _koppel_answer(cls, sale, differences, *, made, names=None):
        if names is not None:
            found = differences.get("found", [])
            read = cls._koppel_whole(sale.id, names)
            return {"id": sale.id, "made": made, "differences": found, "whole": read}
        return {
            "id": sale.id,
            "made": made,
            "untaxed_amount": sale.untaxed_amount,
            "tax_amount": sale.tax_amount,
            "total_amount": sale.total_amount,
            "currency": sale.currency.code,
            "taxes": json.loads(cls.get_koppel_taxes([sale], "koppel_taxes")[sale.id]),
            "lines": [
                {
                    "type": line.type,
                    "product": line.product.id if line.product else None,
                    "code": line.product.code if line.product else None,
                    "description": line.description,
                    "quantity": line.quantity,
                    "unit": line.unit.id if line.unit else None,
                    "unit_price": line.unit_price,
                    "taxes": [tax.id for tax in line.taxes or ()],
                    "amount": line.amount,
                }
                for line in sale.lines
            ],
            "differences": differences.get("found", []),
        }


def _defaults(model):
    names = [name for name, one in model._fields.items() if not isinstance(one, fields.Function)]
    return model.default_get(names, with_rec_name=False)
