"""The ERP's refusals in words for sales: what is wrong, and who can put it right."""

from __future__ import annotations

from msgspec import Struct

from koppel.connectors.base import Refused


class Cause(Struct, frozen=True):
    """Words by which a refusal is known, the sentence for sales, and who can act.

    An ERP refuses in the language of Koppel's user there: English or German.
    """

    words: tuple[str, ...]
    sentence: str
    remedy: str


CAUSES = (
    Cause(
        ("credit", "kreditlimit"),
        "The order exceeds the customer's credit limit",
        "Accounting can raise the limit or take a payment; whoever may accept it: "
        "koppel order retry {id} --accept {question}",
    ),
    Cause(
        ("blocked", "dunning", "gesperrt", "mahnung"),
        "The customer is blocked in the ERP",
        "Accounting can lift the block; then try again",
    ),
    Cause(
        ("differ", "reckon", "against"),
        "The ERP's amounts are not those of the CRM",
        "Correct prices, discounts or taxes in the CRM, or the price list in the ERP; then try "
        "again",
    ),
    Cause(
        ("digits", "quantity", "nachkommastellen", "menge"),
        "The ERP does not take a quantity",
        "Give the line a quantity that its unit allows (whole pieces), or another unit",
    ),
    Cause(
        ("price", "preis"),
        "The ERP has no price for a product",
        "Who keeps the price list can add it, or give the line a price",
    ),
    Cause(
        (
            "account category",
            "account revenue",
            "account expense",
            "buchhaltungskategorie",
            "ertragskonto",
            "aufwandskonto",
        ),
        "The ERP does not know how to book a product of this order",
        "Accounting can complete the product's accounts; then try again",
    ),
    Cause(
        ("product", "salable", "item", "artikel"),
        "The ERP does not sell a product of this order",
        "Who keeps the products can release it; or take another product",
    ),
    Cause(
        ("period", "fiscal", "buchungszeitraum", "geschäftsjahr"),
        "The accounting period of the order is closed",
        "Accounting can open it, or give the order a date in an open period",
    ),
    Cause(
        ("right", "access", "permission", "allowed", "zugriffsberechtigung"),
        "Koppel's user in the ERP may not do this",
        "The ERP's administrator can grant the right",
    ),
)

_OTHER = Cause((), "The ERP does not take the order", "Put it right, then try again")


def explain(refused: Refused, id: str) -> tuple[str, str]:
    """(sentence with the ERP's own words, who can do what). Reasons count before words."""
    text = f"{refused.message} {' '.join(refused.fields)}".lower()
    cause = next((one for one in CAUSES if any(word in text for word in one.words)), _OTHER)
    if refused.reason == "forbidden" and cause is _OTHER:
        cause = CAUSES[-1]
    asked = [name.partition(":")[2] for name in refused.fields if name.startswith("accept:")]
    question = asked[0] if asked else "credit_limit_amount"
    remedy = cause.remedy.format(id=id[:8], question=question)
    if asked and "--accept" not in remedy:
        remedy = f"{remedy}; whoever may accept it: koppel order retry {id[:8]} --accept {question}"
    return f"{cause.sentence}: {refused.message}", remedy
