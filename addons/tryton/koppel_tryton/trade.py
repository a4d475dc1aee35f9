"""What Koppel watches beside parties: products, prices, sales, deliveries, invoices, dunnings."""

from trytond.pool import Pool, PoolMeta
from trytond.rpc import RPC

from .parts import Part
from .watched import Watched

DUE = Part(
    "account.move.line", "move", of="move", due=True, parts=(Part("account.dunning", "line"),)
)
"""What is to be paid of an invoice, and how far that has been dunned."""

INVOICE = (DUE, Part("account.invoice-account.move.line", "invoice"))

SALE = Part(
    "sale.sale",
    parts=(
        Part(
            "sale.line",
            "sale",
            parts=(
                Part("sale.line-account.tax", "line"),
                Part(
                    "stock.move",
                    "origin",
                    prefix="sale.line,",
                    parts=(Part("stock.shipment.out", of="shipment", above="stock.shipment.out,"),),
                ),
                Part(
                    "account.invoice.line",
                    "origin",
                    prefix="sale.line,",
                    parts=(
                        Part("account.invoice", of="invoice", parts=INVOICE),
                        Part(
                            "account.invoice.line",
                            "origin",
                            prefix="account.invoice.line,",
                            parts=(Part("account.invoice", of="invoice", parts=INVOICE),),
                        ),
                    ),
                ),
            ),
        ),
    ),
)


class Product(Watched, metaclass=PoolMeta):
    __name__ = "product.product"

    koppel_parts = Part(
        "product.product",
        parts=(
            Part("product.list_price", "product"),
            Part("product.identifier", "product"),
            Part("stock.move", "product", summed=True),
            Part(
                "product.template",
                of="template",
                parts=(
                    Part("product.list_price", "template"),
                    Part(
                        "product.template-product.category",
                        "template",
                        parts=(Part("product.category", of="category"),),
                    ),
                    Part(
                        "product.category-customer-account.tax",
                        "category",
                        of="account_category",
                        parts=(Part("account.tax", of="tax"),),
                    ),
                ),
            ),
        ),
    )


class PriceList(Watched, metaclass=PoolMeta):
    __name__ = "product.price_list"

    koppel_parts = Part(
        "product.price_list", parts=(Part("product.price_list.line", "price_list"),)
    )

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.__rpc__.update({"koppel_breaks": RPC()})

    @classmethod
    def koppel_breaks(cls, product):
        """The steps of the company's price lists for a product, by the lists' own formulas.

        Rows of {"price_list", "quantity" (from it on), "unit_price", "tax_included"}, for one of
        the product's default unit in the company's currency. A step that changes nothing is left
        out, and so is a list without a price for the product.
        """
        product = Pool().get("product.product")(product)
        categories = set()
        for category in product.categories_all:
            while category:
                categories.add(category.id)
                category = category.parent
        rows = []
        for price_list in cls.search([], order=[("name", "ASC")]):
            starts = {0.0}
            for line in price_list.lines:
                fits = line.product in (None, product) and (
                    line.category is None or line.category.id in categories
                )
                if fits and line.quantity:
                    starts.add(line.quantity)
            before = None
            for start in sorted(starts):
                price = price_list.compute(product, start, product.default_uom)
                if price != before:
                    rows.append({
                        "price_list": price_list.name, "quantity": start, "unit_price": price,
                        "tax_included": bool(price_list.tax_included),
                    })  # fmt: skip
                before = price
        return rows


class PaymentTerm(Watched, metaclass=PoolMeta):
    __name__ = "account.invoice.payment_term"

    koppel_parts = Part(
        "account.invoice.payment_term",
        parts=(
            Part(
                "account.invoice.payment_term.line",
                "payment",
                parts=(Part("account.invoice.payment_term.line.delta", "line"),),
            ),
        ),
    )


class Currency(Watched, metaclass=PoolMeta):
    __name__ = "currency.currency"

    koppel_parts = Part("currency.currency", parts=(Part("currency.currency.rate", "currency"),))


class Invoice(Watched, metaclass=PoolMeta):
    __name__ = "account.invoice"

    koppel_domain = (("type", "=", "out"),)
    koppel_parts = Part(
        "account.invoice",
        parts=(
            *INVOICE,
            Part("account.invoice.tax", "invoice"),
            Part(
                "account.invoice.line",
                "invoice",
                parts=(Part("account.invoice.line-account.tax", "line"),),
            ),
        ),
    )


class Shipment(Watched, metaclass=PoolMeta):
    __name__ = "stock.shipment.out"

    koppel_parts = Part(
        "stock.shipment.out", parts=(Part("stock.move", "shipment", prefix="stock.shipment.out,"),)
    )


class Dunning(Watched, metaclass=PoolMeta):
    __name__ = "account.dunning"

    koppel_parts = Part("account.dunning", parts=(Part("account.dunning.level", of="level"),))
