"""Questions that Tryton answers at once: prices, credit and debts, an invoice as paper."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from koppel.connectors.base import (
    Choice,
    Document,
    Fields,
    Gone,
    OrderComparison,
    OrderLine,
    PartyFigures,
    PriceAnswer,
    PriceBreak,
    TaxSum,
)
from koppel.connectors.tryton.documents import Documents
from koppel.connectors.tryton.orders import CODED
from koppel.connectors.tryton.rpc import TrytonSession
from koppel.connectors.tryton.selling import SALES, Seller
from koppel.connectors.tryton.shapes import quantity as exact
from koppel.connectors.tryton.shapes import ref
from koppel.errors import NeedsUser

MEDIA_TYPES = {
    "pdf": "application/pdf",
    "odt": "application/vnd.oasis.opendocument.text",
    "html": "text/html",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}
ZERO = Decimal(0)


class Asker:
    """Asks one session."""

    def __init__(self, session: TrytonSession, documents: Documents, seller: Seller) -> None:
        self._session = session
        self._documents = documents
        self._seller = seller

    def price(
        self,
        party: str,
        product: str,
        quantity: Decimal,
        unit: str | None,
        day: date | None,
        currency: str | None,
    ) -> PriceAnswer:
        """See `SalesFunctions.price_enquiry`."""
        codes = self._documents.codes
        asked = {
            "party": int(party),
            "product": int(product),
            "quantity": float(quantity),
            "unit": self._number("unit", unit, codes.unit_number) if unit else None,
            "date": day,
            "currency": self._number("currency", currency, self._currency) if currency else None,
        }
        found = self._session.call(SALES, "koppel_price", asked)
        return PriceAnswer(
            unit_price=found["unit_price"],
            list_price=found["list_price"],
            price_list=found["price_list"],
            currency=found["currency"],
            unit=codes.unit(found["unit"]) or "",
            at=datetime.fromtimestamp(self._session.server_date or 0, UTC),
        )

    def breaks(self, product: str) -> tuple[PriceBreak, ...]:
        """See `SalesFunctions.price_breaks`. Tryton's price lists know no dates."""
        if not self._documents.has("product.price_list"):
            return ()
        found = self._documents.fetch("product.product", [product])[product]
        if isinstance(found, Gone):
            raise NeedsUser(f"Tryton has no product {product}", place=self._session.name)
        rows = self._session.call("product.price_list", "koppel_breaks", int(product))
        return tuple(
            PriceBreak(
                price_list=row["price_list"],
                from_quantity=exact(row["quantity"]) or ZERO,
                unit_price=row["unit_price"],
                currency=found.fields["currency"] or "",
                unit=found.fields["unit"] or "",
                tax_included=row["tax_included"],
            )
            for row in rows
        )

    def lists(self) -> dict[str, tuple[Choice, ...]]:
        """See `SalesFunctions.value_lists`: what is not archived, and taxes that customers pay."""

        def named(model: str, code: str, label: str) -> tuple[Choice, ...]:
            rows = self._session.call(
                model, "search_read", [], 0, None, [[code, "ASC"]], [code, label]
            )
            return tuple(Choice(row[code], row[label] or row[code]) for row in rows if row[code])

        categories = self._session.call(
            "product.category", "search_read", [["accounting", "=", True]], 0, None, None,
            ["customer_taxes"],
        )  # fmt: skip
        taxes = {tax for row in categories for tax in row["customer_taxes"]}
        rates = {self._documents.codes.tax(tax)["rate"] for tax in taxes} - {None}
        percents = sorted(rate * 100 for rate in rates)
        return {
            "payment_terms": named("account.invoice.payment_term", "name", "description"),
            "currencies": named("currency.currency", "code", "name"),
            "tax_rates": tuple(
                Choice(f"{one.normalize():f}", f"{one.normalize():f} %") for one in percents
            ),
        }

    def _currency(self, code: str) -> int | None:
        return self._documents.codes.number(CODED["currency"], code)

    def _number(self, what: str, code: str, look: Any) -> int:
        number = look(code)
        if number is None:
            raise NeedsUser(
                f"Tryton knows no {what} {code!r}",
                place=self._session.name,
                remedy=f"Use a {what} that Tryton has, or add it there",
            )
        return int(number)

    def figures(self, parties: Sequence[str]) -> dict[str, PartyFigures]:
        """See `SalesFunctions.party_figures`."""
        numbers = [int(party) for party in parties]
        known = self._session.call("party.party", "fields_get", None)
        wanted = [name for name in _FIGURES if name in known]
        rows = self._session.call(
            "party.party", "search_read", [["id", "in", numbers]], 0, None, None, wanted,
            context={"active_test": False},
        )  # fmt: skip
        overdue = self._overdue(numbers)
        levels, blocking = self._dunned(numbers)
        return {
            str(row["id"]): PartyFigures(
                currency=self._documents.codes.name(CODED["currency"], row["currency"]) or "",
                credit_limit=row.get("credit_limit_amount"),
                exposure=row.get("credit_amount"),
                receivable=row["receivable"] or ZERO,
                receivable_today=row["receivable_today"] or ZERO,
                overdue=overdue[row["id"]],
                dunning_level=levels[row["id"]],
                blocked=row["id"] in blocking,
            )
            for row in rows
        }

    def _overdue(self, parties: Sequence[int]) -> dict[int, Decimal]:
        today = self._documents.today()
        rows = self._session.call(
            "account.move.line", "search_read",
            [["party", "in", list(parties)], ["reconciliation", "=", None],
             ["account.type.receivable", "=", True], ["maturity_date", "<", today]],
            0, None, None, ["party", "debit", "credit"],
        )  # fmt: skip
        sums: dict[int, Decimal] = defaultdict(Decimal)
        for row in rows:
            sums[row["party"]] += (row["debit"] or ZERO) - (row["credit"] or ZERO)
        return sums

    def _dunned(self, parties: Sequence[int]) -> tuple[dict[int, int], set[int]]:
        levels: dict[int, int] = defaultdict(int)
        blocking: set[int] = set()
        if not self._documents.has("account.dunning"):
            return levels, blocking
        known = self._session.call("account.dunning.level", "fields_get", None)
        limit = ["level.credit_limit"] if "credit_limit" in known else []
        rows = self._session.call(
            "account.dunning", "search_read",
            [["party", "in", list(parties)], ["state", "!=", "draft"]], 0, None, None,
            ["party", "level.sequence", "blocked", *limit],
        )  # fmt: skip
        for row in rows:
            party, level = row["party"], row["level."]
            levels[party] = max(levels[party], level["sequence"] or 0)
            if level.get("credit_limit") and not row["blocked"]:
                blocking.add(party)
        return levels, blocking

    def document(self, invoice: str) -> Document:
        """See `SalesFunctions.invoice_document`."""
        kind, content, _, name = self._session.report("account.invoice", [int(invoice)])
        if isinstance(content, str):
            content = content.encode()
        return Document(
            name=f"{name}.{kind}",
            media_type=MEDIA_TYPES.get(kind, "application/octet-stream"),
            content=content,
        )

    def compare(self, fields: Fields) -> OrderComparison:
        """See `SalesFunctions.compare_order`."""
        found, codes = self._seller.compare(fields), self._documents.codes
        return OrderComparison(
            currency=found["currency"],
            untaxed_amount=found["untaxed_amount"],
            tax_amount=found["tax_amount"],
            total_amount=found["total_amount"],
            taxes=tuple(
                TaxSum(
                    rate=codes.tax(tax)["rate"],
                    category=codes.tax(tax)["category"],
                    base=Decimal(base),
                    amount=Decimal(amount),
                )
                for tax, base, amount in found["taxes"]
                if tax is not None
            ),
            lines=tuple(
                OrderLine(
                    type=line["type"],
                    product=ref(line["product"]),
                    product_code=line["code"],
                    description=line["description"],
                    quantity=exact(line["quantity"]),
                    unit=codes.unit(line["unit"]),
                    unit_price=line["unit_price"],
                    amount=line["amount"],
                    tax_rates=tuple(codes.tax(tax)["rate"] for tax in line["taxes"]),
                )
                for line in found["lines"]
            ),
            differences=tuple(
                f"{what.replace('_', ' ')}: {expected} against {reckoned}"
                for what, expected, reckoned in found["differences"]
            ),
        )


_FIGURES = (
    "currency", "credit_limit_amount", "credit_amount", "receivable", "receivable_today"
)  # fmt: skip
