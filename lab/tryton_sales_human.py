"""What people do with sales in Tryton: enter, ship, invoice, collect, credit, dun, change, cancel.

Each deed goes through Tryton's own buttons and dialogues, by another user than Koppel's own. It
offers `koppel.testing.human.Human` for `sale.sale`; ids and fields are the connector's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from koppel.connectors.base import Create, Record, Update, Written
from koppel.connectors.tryton import TrytonConnector
from koppel.connectors.tryton.rpc import TrytonSession, WarningRaised
from koppel.testing.human import NotPossible
from lab.system import Running
from lab.tryton_human import TrytonHuman

SALE = "sale.sale"
INVOICE = "account.invoice"
SHIPMENT = "stock.shipment.out"
_ZONE = ZoneInfo("Europe/Berlin")
"""Where the lab's company is."""


def today() -> date:
    """The day at the lab's company, which is what Tryton calls today."""
    return datetime.now(_ZONE).date()


class TrytonSalesHuman:
    """A clerk at one Tryton. `people` is the same user at work on parties."""

    def __init__(self, url: str, database: str, username: str, password: str) -> None:
        self.people = TrytonHuman(url, database, username, password)
        self._session = TrytonSession(url, database, username, password, name="tryton clerk")
        self._connector = TrytonConnector(
            url=url, database=database, username=username, password=password, name="tryton clerk"
        )
        self._edits = 0

    @classmethod
    def admin(cls, running: Running) -> TrytonSalesHuman:
        """The administrator of an instance of the lab."""
        return cls(running.url, running.koppel["database"], *running.admin)

    def close(self) -> None:
        """Log out."""
        self._connector.close()
        self._session.close()
        self.people.close()

    # What `Human` asks for.

    def create(self, resource: str, fields: Mapping[str, Any]) -> str:
        """An order, entered without a key of Koppel's."""
        self._edits += 1
        key = f"clerk-{id(self)}-{self._edits}"
        outcome = self._connector.write([Create(resource=resource, key=key, fields=dict(fields))])
        made = self._after(outcome[0]).id
        self._call(SALE, "write", [int(made)], {"koppel_key": None})
        return made

    def edit(self, resource: str, id: str, fields: Mapping[str, Any]) -> None:
        write = Update(resource=resource, key="", id=id, expected=None, fields=dict(fields))
        self._after(self._connector.write([write])[0])

    def edit_child(self, resource: str, id: str) -> None:
        lines = self.record(id).fields["lines"]
        self._edits += 1
        values = {"description": f"edit {self._edits}"}
        self._call("sale.line", "write", [int(lines[0]["id"])], values)

    def trash(self, resource: str, id: str) -> None:
        raise NotPossible("Tryton has no trash for sales")

    def restore(self, resource: str, id: str) -> None:
        raise NotPossible("Tryton has no trash for sales")

    def delete(self, resource: str, id: str) -> None:
        self._call(SALE, "delete", [int(id)])

    def merge(self, resource: str, id: str, into: str) -> None:
        raise NotPossible("Tryton merges no sales")

    def read(self, resource: str, id: str) -> Mapping[str, Any] | None:
        found = self._connector.fetch(resource, [id])[id]
        return found.fields if isinstance(found, Record) else None

    # Sales.

    def record(self, sale: str) -> Record:
        """The sale as the connector reads it."""
        found = self._connector.fetch(SALE, [sale])[sale]
        if not isinstance(found, Record):
            raise LookupError(f"there is no sale {sale}")
        return found

    def quote(self, sale: str) -> None:
        self._call(SALE, "quote", [int(sale)])

    def confirm(self, sale: str) -> None:
        """Confirm a quotation; Tryton processes it at once."""
        self._call(SALE, "confirm", [int(sale)])

    def invoice_what_is_delivered(self, sale: str) -> None:
        """Let a draft be invoiced delivery by delivery, not as it was ordered."""
        self._call(SALE, "write", [int(sale)], {"invoice_method": "fulfillment"})

    def cancel(self, sale: str) -> None:
        """Cancel a draft or a quotation."""
        self._call(SALE, "cancel", [int(sale)])

    def plan(self, sale: str, day: date) -> None:
        """Put all deliveries of a sale that are still to come on another day."""
        for number in self._waiting(sale):
            self._call(SHIPMENT, "draft", [number])
            self._call(SHIPMENT, "write", [number], {"planned_date": day})
            self._call(SHIPMENT, "wait", [number])

    def ship(self, sale: str, quantities: Mapping[str, Decimal] | None = None) -> str:
        """Deliver: all that is open, or these quantities by line; the shipment's id."""
        number = self._waiting(sale)[0]
        if quantities is not None:
            self._call(SHIPMENT, "draft", [number])
            self._reduce(number, quantities)
            self._call(SHIPMENT, "wait", [number])
        self._call(SHIPMENT, "assign_force", [number])
        for button in ("pick", "pack", "do"):
            self._call(SHIPMENT, button, [number])
        return str(number)

    def _reduce(self, shipment: int, quantities: Mapping[str, Decimal]) -> None:
        moves = self._rows(SHIPMENT, [shipment], ["outgoing_moves.origin"])[0]["outgoing_moves."]
        for move in moves:
            line = str(move["origin"]).partition(",")[2]
            wanted = quantities.get(line)
            if wanted:
                values = {"quantity": float(wanted)}
                self._call("stock.move", "write", [move["id"]], values)
            else:
                self._call("stock.move", "delete", [move["id"]])

    def _waiting(self, sale: str) -> list[int]:
        states = ("draft", "waiting", "assigned", "picked", "packed")
        shipments = self.record(sale).fields["shipments"]
        return [int(one["id"]) for one in shipments if one["state"] in states]

    # Invoices.

    def invoice(self, sale: str, day: date | None = None) -> str:
        """Post the draft invoice of a sale; its id."""
        drafts = [
            int(one["id"])
            for one in self.record(sale).fields["invoices"]
            if one["state"] in ("draft", "validated")
        ]
        self._post(drafts[0], day)
        return str(drafts[0])

    def _post(self, invoice: int, day: date | None) -> None:
        if day is not None:
            self._call(INVOICE, "write", [invoice], {"invoice_date": day})
        self._call(INVOICE, "post", [invoice])

    def pay(self, invoice: str, amount: Decimal | None = None, day: date | None = None) -> None:
        """Book a payment of all that is open, or of an amount, through the dialogue *Pay*."""
        number = int(invoice)
        row = self._rows(INVOICE, [number], ["amount_to_pay", "currency", "company", "party"])[0]
        method = self._session.call("account.invoice.payment.method", "search", [], 0, 1, None)[0]
        start = {
            "payee": row["party"], "company": row["company"], "currency": row["currency"],
            "amount": amount if amount is not None else row["amount_to_pay"],
            "payment_method": method, "date": day or today(), "description": None,
        }  # fmt: skip
        wizard = _Dialogue(self, "account.invoice.pay", INVOICE, [number])
        answer = wizard.step({"start": start}, "choice")
        if "view" in answer:
            ask = {**_defaults(answer), "type": "partial"}
            wizard.step({"start": start, "ask": ask}, "pay")
        wizard.end()

    def credit(self, invoice: str, *, settle: bool = True) -> str:
        """Credit a posted invoice as a whole; `settle`: the invoice is cancelled by it. Its id."""
        number = int(invoice)
        before = set(self._credits(number))
        wizard = _Dialogue(self, "account.invoice.credit", INVOICE, [number])
        start = {"invoice_date": None, "with_refund": settle, "with_refund_allowed": True}
        wizard.step({"start": start}, "credit")
        wizard.end()
        made = next(one for one in self._credits(number) if one not in before)
        if not settle:
            self._post(made, None)
        return str(made)

    def _credits(self, invoice: int) -> list[int]:
        domain = [["lines.origin.invoice", "=", invoice, "account.invoice.line"]]
        found: list[int] = self._session.call(INVOICE, "search", domain, 0, None, None)
        return found

    def dun(self, day: date) -> list[str]:
        """Let the dunning of that day run, and send what it made; the ids of all sent."""
        company = self._session.context["company"]
        wizard = _Dialogue(self, "account.dunning.create", "account.dunning", [])
        wizard.step({"start": {"date": day, "companies": [company]}}, "create_")
        wizard.end()
        drafts = self._session.call(
            "account.dunning", "search", [["state", "=", "draft"]], 0, None, None
        )
        if drafts:
            wizard = _Dialogue(self, "account.dunning.process", "account.dunning", drafts)
            wizard.step({"start": {}}, "process")
            wizard.end()
        return [str(number) for number in drafts]

    def let_dun(self, party: str) -> None:
        """Give a customer the first dunning procedure."""
        domain: list[Any] = []
        found = self._session.call("account.dunning.procedure", "search", domain, 0, 1, None)
        self._call("party.party", "write", [int(party)], {"dunning_procedure": found[0]})

    def limit_credit(self, party: str, amount: Decimal | None) -> None:
        """Give a customer a credit limit, or take it away."""
        self._call("party.party", "write", [int(party)], {"credit_limit_amount": amount})

    def add_product(
        self,
        code: str,
        price: Decimal | None,
        *,
        tax: str = "Goods 19 %",
        name: str = "",
        unit: str = "u",
        categories: Sequence[str] = (),
    ) -> str:
        """A product for sale, in a unit by its symbol; its id. Categories are made where needed."""
        uom = self._find("product.uom", [["symbol", "=", unit]])
        category = self._find("product.category", [["name", "=", tax]])
        values = {
            "name": name or code, "code": code, "type": "goods",
            "default_uom": uom, "sale_uom": uom,
            "categories": [["add", [self._category(one) for one in categories]]],
            "salable": True, "list_price": price, "account_category": category,
            "products": [["create", [{"cost_price": Decimal(1)}]]],
        }  # fmt: skip
        number = self._call("product.template", "create", [values])[0]
        return str(self._find("product.product", [["template", "=", number]]))

    def change_product(self, product: str, *, price: Decimal | None = None, **values: Any) -> None:
        """Change a product; its list price and name are those of its template."""
        template = self._rows("product.product", [int(product)], ["template"])[0]["template"]
        if price is not None:
            self._call("product.template", "write", [template], {"list_price": price})
        for name, model, ids in (
            ("name", "product.template", [template]),
            ("salable", "product.template", [template]),
            ("description", "product.product", [int(product)]),
        ):
            if name in values:
                self._call(model, "write", ids, {name: values[name]})

    def account_by(self, product: str, category: int | None) -> int | None:
        """Give a product another accounting category, or none; the one before."""
        template = self._rows("product.product", [int(product)], ["template"])[0]["template"]
        row = self._rows("product.template", [template], ["account_category"])[0]
        self._call("product.template", "write", [template], {"account_category": category})
        before: int | None = row["account_category"]
        return before

    def number_product(self, product: str, gtin: str) -> None:
        """Give a product an article number of GS1."""
        values = [{"product": int(product), "type": "ean", "code": gtin}]
        self._call("product.identifier", "create", values)

    def rename_category(self, name: str, new: str) -> None:
        """Call a category of products otherwise."""
        number = self._find("product.category", [["name", "=", name]])
        self._call("product.category", "write", [number], {"name": new})

    def _category(self, name: str) -> int:
        found = self._session.call(
            "product.category", "search", [["name", "=", name]], 0, 1, None
        ) or self._call("product.category", "create", [{"name": name}])
        return int(found[0])

    def stock(self, product: str, quantity: float) -> None:
        """A stock-taking that finds so many."""
        company = self._session.context["company"]
        storage = self._find("stock.location", [["code", "=", "STO"]])
        lines = [["create", [{"product": int(product), "quantity": quantity}]]]
        values = {"company": company, "location": storage, "date": today(), "lines": lines}
        made = self._call("stock.inventory", "create", [values])
        self._call("stock.inventory", "confirm", made)

    def add_price_list(
        self, name: str, steps: Sequence[tuple[float | None, str]], product: str | None = None
    ) -> str:
        """A price list: from each quantity on a formula, for one product or for all; its id."""
        lines = [
            {
                "sequence": number,
                "quantity": quantity,
                "formula": formula,
                "product": int(product) if product else None,
            }
            for number, (quantity, formula) in enumerate(steps, 1)
        ]
        values = {
            "name": name, "company": self._session.context["company"], "price": "list_price",
            "lines": [["create", lines]],
        }  # fmt: skip
        return str(self._call("product.price_list", "create", [values])[0])

    def price_by(self, party: str, price_list: str) -> None:
        """Sell to a customer by a price list."""
        self._call("party.party", "write", [int(party)], {"sale_price_list": int(price_list)})

    def add_term(self, name: str) -> None:
        """A payment term: all at once, in ten days."""
        delta = [["create", [{"days": 10}]]]
        lines = [["create", [{"type": "remainder", "relativedeltas": delta}]]]
        self._call("account.invoice.payment_term", "create", [{"name": name, "lines": lines}])

    def stop_selling(self, product: str) -> None:
        """Archive a product."""
        self._call("product.product", "write", [int(product)], {"active": False})

    # Inside.

    def _find(self, model: str, domain: Sequence[Any]) -> int:
        return int(self._session.call(model, "search", list(domain), 0, 1, None)[0])

    def _rows(self, model: str, ids: Sequence[int], names: Sequence[str]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._session.call(model, "read", list(ids), list(names))
        return rows

    def _call(self, model: str, method: str, *args: Any) -> Any:
        return self.confirmed(lambda: self._session.call(model, method, *args, effect=True))

    def confirmed(self, act: Callable[[], Any]) -> Any:
        """Do it, and say yes to each question that Tryton asks."""
        while True:
            try:
                return act()
            except WarningRaised as question:
                self._session.call("res.user.warning", "skip", question.name, False, effect=True)

    def wizard(self, name: str, method: str, *args: Any, context: Mapping[str, Any]) -> Any:
        """One step of a dialogue."""
        return self.confirmed(lambda: self._session.wizard(name, method, *args, context=context))

    def _after(self, outcome: Any) -> Record:
        if isinstance(outcome, Written) and isinstance(outcome.after, Record):
            return outcome.after
        raise NotPossible(getattr(outcome, "message", str(outcome)))


class _Dialogue:
    """One of Tryton's dialogues, opened on some records."""

    def __init__(self, human: TrytonSalesHuman, name: str, model: str, ids: Sequence[int]) -> None:
        self._human, self._name = human, name
        self._context = {
            "active_model": model,
            "active_ids": list(ids),
            "active_id": ids[0] if ids else None,
        }
        self._number, start, _ = human.wizard(name, "create", context=self._context)
        human.wizard(name, "execute", self._number, {}, start, context=self._context)

    def step(self, values: Mapping[str, Any], button: str) -> dict[str, Any]:
        """Press a button with these values in the form."""
        answer: dict[str, Any] = self._human.wizard(
            self._name, "execute", self._number, dict(values), button, context=self._context
        )
        return answer

    def end(self) -> None:
        """Close it."""
        self._human.wizard(self._name, "delete", self._number, context=self._context)


def _defaults(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What the form of the next step is filled with; names of records are not sent back."""
    found = answer["view"].get("defaults") or answer["view"].get("values") or {}
    return {name: value for name, value in found.items() if not name.endswith(".")}
