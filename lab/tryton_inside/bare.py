"""Makes the `bare` Tryton: modules, company, accounts, taxes, terms, users; no customers.

Run inside Tryton's environment: `python -m lab.tryton_inside.bare DATABASE ACCESS.json`, with
TRYTOND_DATABASE__PATH naming the folder. One process, one transaction for all records: proteus
with a save per record takes five times as long.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pycountry
from trytond import admin
from trytond.pool import Pool
from trytond.transaction import Transaction

from lab.tryton_inside.telling import ModuleTeller, tell
from lab.tryton_inside.within import in_transaction

MODULES = (
    "party", "company", "currency", "country", "product", "product_price_list", "account",
    "account_invoice", "account_product", "account_dunning", "account_payment", "bank", "stock",
    "sale", "sale_price_list", "sale_opportunity", "sale_credit_limit", "sale_discount", "incoterm",
    "edocument_unece", "party_relationship", "koppel",
)  # fmt: skip
COMPANY = "Nordwerk Maschinenbau GmbH"
LANGUAGES = ("en", "de", "fr", "pl", "fi", "it", "nl", "es", "cs", "sv", "da", "nb")
NEW_LANGUAGES = {"sv": "Svenska", "da": "Dansk", "nb": "Norsk bokmål"}
"""Tryton has no translation for these, but customers speak them."""
SHOWN = ("de",)
"""Languages beside English in which Tryton shows itself; the others are for customers alone."""
CURRENCIES = {
    "EUR": ("Euro", "€", "1"),
    "CHF": ("Swiss Franc", "CHF", "0.94"),
    "PLN": ("Złoty", "zł", "4.25"),
    "SEK": ("Swedish Krona", "kr", "11.2"),
    "NOK": ("Norwegian Krone", "kr", "11.7"),
    "DKK": ("Danish Krone", "kr", "7.46"),
    "USD": ("US Dollar", "$", "1.1"),
}
"""Code -> name, symbol, units per euro."""
YEARS = (2025, 2026)
TAXES = (("VAT 19 %", "0.19", "S"), ("VAT 7 %", "0.07", "AA"), ("VAT 0 %", "0", "Z"))
"""Name, rate, category of UNCL 5305."""
TERM_DAYS = {"prepaid": 0, "net 14": 14, "net 30": 30, "net 60": 60}
RELATIONS = (("employee of", "has contact"),)
GROUPS = (
    "party.group_party_admin", "bank.group_bank_admin", "product.group_product_admin",
    "account.group_account", "account_product.group_account_product_admin",
    "account_payment.group_payment", "account_dunning.group_dunning",
    "account_credit_limit.group_credit_limit", "stock.group_stock", "sale.group_sale",
    "sale.group_sale_admin", "sale_opportunity.group_opportunity", "koppel.group_koppel",
)  # fmt: skip
"""What Koppel's user may do: the daily business, no administration, no chart of accounts."""


def activate(database: str) -> None:
    """Create the tables and load all modules at once."""
    logger = logging.getLogger("trytond")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(ModuleTeller(len(MODULES) + 4, 0.02, 0.85))
    admin.run(
        SimpleNamespace(
            database_names=[database], update=["ir", *MODULES], languages=SHOWN, indexes=None,
            activatedeps=True, update_modules_list=False, email="", login="admin",
            administrator=True, active=True, password=True, reset_password=False,
            hostname=None, export_translations=False, validate=None, validate_percentage=100,
            test_email=None,
        )
    )  # fmt: skip


def _one(model: str, domain: list[Any]) -> Any:
    (record,) = Pool().get(model).search(domain, limit=1)
    return record


def _xml_id(name: str) -> int:
    return int(Pool().get("ir.model.data").get_id(name))


def add_places() -> None:
    """All countries, the currencies in use, the languages customers speak."""
    pool = Pool()
    pool.get("country.country").create(
        [
            {"name": c.name, "code": c.alpha_2, "code3": c.alpha_3, "code_numeric": c.numeric}
            for c in sorted(pycountry.countries, key=lambda c: str(c.alpha_2))
        ]
    )
    numeric = {c.alpha_3: c.numeric for c in pycountry.currencies}
    currencies = pool.get("currency.currency").create([
        {"name": name, "symbol": symbol, "code": code, "numeric_code": numeric[code],
         "rounding": Decimal("0.01"), "digits": 2}
        for code, (name, symbol, _) in CURRENCIES.items()
    ])  # fmt: skip
    pool.get("currency.currency.rate").create(
        [
            {
                "currency": c.id,
                "date": dt.date(YEARS[0], 1, 1),
                "rate": Decimal(CURRENCIES[c.code][2]),
            }
            for c in currencies
        ]
    )
    language = pool.get("ir.lang")
    language.create([
        {"code": code, "name": name, "date": "%Y-%m-%d", "grouping": "[3, 3, 0]",
         "decimal_point": ",", "thousands_sep": " ", "mon_grouping": "[3, 3, 0]",
         "mon_decimal_point": ",", "mon_thousands_sep": " ", "p_cs_precedes": False,
         "n_cs_precedes": False, "p_sep_by_space": True, "n_sep_by_space": True}
        for code, name in NEW_LANGUAGES.items()
    ])  # fmt: skip
    language.write(language.search([("code", "in", LANGUAGES)]), {"translatable": True})


def add_company() -> Any:
    """The manufacturer itself, with address and VAT id."""
    pool = Pool()
    germany = _one("country.country", [("code", "=", "DE")])
    (party,) = pool.get("party.party").create([{
        "name": COMPANY,
        "lang": _one("ir.lang", [("code", "=", "de")]).id,
        "addresses": [("create", [{
            "street_unstructured": "Hafenstraße 12", "postal_code": "24103", "city": "Kiel",
            "country": germany.id, "invoice": True, "delivery": True,
        }])],
        "identifiers": [("create", [{"type": "eu_vat", "code": "DE136695976"}])],
    }])  # fmt: skip
    euro = _one("currency.currency", [("code", "=", "EUR")])
    (company,) = pool.get("company.company").create(
        [{"party": party.id, "currency": euro.id, "timezone": "Europe/Berlin"}]
    )
    return company


def add_chart(company: Any) -> dict[str, Any]:
    """The chart of accounts; returns the accounts by kind."""
    pool = Pool()
    wizard = pool.get("account.create_chart", type="wizard")
    session, _, _ = wizard.create()
    template = _xml_id("account.account_template_root_en")
    wizard.execute(
        session,
        {"account": {"account_template": template, "company": company.id}},
        "create_account",
    )
    found = pool.get("account.account").search([
        ("company", "=", company.id), ("closed", "!=", True), ("type", "!=", None)
    ])  # fmt: skip
    accounts = {
        kind: next(a for a in found if getattr(a.type, kind))
        for kind in ("receivable", "payable", "revenue", "expense")
    }
    accounts["tax"] = next(a for a in found if a.code == "6.3.6")
    accounts["cash"] = next(a for a in found if a.code == "1.1.1")
    wizard.execute(
        session,
        {"properties": {
            "company": company.id,
            "account_receivable": accounts["receivable"].id,
            "account_payable": accounts["payable"].id,
            "category_account_expense": accounts["expense"].id,
            "category_account_revenue": accounts["revenue"].id,
        }},
        "create_properties",
    )  # fmt: skip
    wizard.delete(session)
    return accounts


def add_fiscal_years(company: Any) -> None:
    """One fiscal year per calendar year, with its sequences and monthly periods."""
    pool = Pool()
    strict, year_model = pool.get("ir.sequence.strict"), pool.get("account.fiscalyear")
    move_type = _xml_id("account.sequence_type_account_move")
    invoice_type = _xml_id("account_invoice.sequence_type_account_invoice")
    for year in YEARS:
        names = ("Move", "Invoice", "Credit Note", "Supplier Invoice", "Supplier Credit Note")
        prefixes = ("M", "RE", "GU", "ER", "EG")
        made = strict.create([
            {"name": f"{name} {year}", "company": company.id,
             "sequence_type": invoice_type if n else move_type,
             "prefix": f"{prefix}{year}-", "padding": 5}
            for n, (name, prefix) in enumerate(zip(names, prefixes, strict=True))
        ])  # fmt: skip
        ids = [sequence.id for sequence in made]
        years = year_model.create([{
            "name": str(year), "company": company.id, "move_sequence": ids[0],
            "start_date": dt.date(year, 1, 1), "end_date": dt.date(year, 12, 31),
            "invoice_sequences": [("create", [{
                "company": company.id, "out_invoice_sequence": ids[1],
                "out_credit_note_sequence": ids[2], "in_invoice_sequence": ids[3],
                "in_credit_note_sequence": ids[4],
            }])],
        }])  # fmt: skip
        year_model.create_period(years)


def add_trade(company: Any, accounts: dict[str, Any]) -> None:
    """Taxes, an accounting category for each, payment terms, dunning, a way to pay."""
    pool = Pool()
    taxes = pool.get("account.tax").create([
        {"name": name, "description": name, "company": company.id, "type": "percentage",
         "rate": Decimal(rate), "invoice_account": accounts["tax"].id,
         "credit_note_account": accounts["tax"].id, "unece_code": "VAT",
         "unece_category_code": category}
        for name, rate, category in TAXES
    ])  # fmt: skip
    pool.get("product.category").create([
        {"name": f"Goods {rate * 100:.0f} %", "accounting": True,
         "account_revenue": accounts["revenue"].id, "account_expense": accounts["expense"].id,
         "customer_taxes": [("add", [tax.id])]}
        for tax, rate in zip(taxes, (float(rate) for _, rate, _ in TAXES), strict=True)
    ])  # fmt: skip
    pool.get("account.invoice.payment_term").create([
        {"name": name, "lines": [("create", [
            {"type": "remainder", "relativedeltas": [("create", [{"days": days}])]}])]}
        for name, days in TERM_DAYS.items()
    ])  # fmt: skip
    pool.get("account.dunning.procedure").create([{
        "name": "Standard",
        "levels": [("create", [
            {"sequence": n, "overdue": dt.timedelta(days=days)}
            for n, days in enumerate((10, 20, 30), 1)
        ])],
    }])  # fmt: skip
    journal = _one("account.journal", [("type", "=", "cash")])
    pool.get("account.invoice.payment.method").create([{
        "name": "Bank", "company": company.id, "journal": journal.id,
        "credit_account": accounts["cash"].id, "debit_account": accounts["cash"].id,
    }])  # fmt: skip


def add_relations() -> None:
    """The pair of relation types that ties a contact person to the company."""
    relation = Pool().get("party.relation.type")
    for there, back in RELATIONS:
        one, other = relation.create([
            {"name": there, "usages": ["koppel_contact"]}, {"name": back}
        ])  # fmt: skip
        relation.write([one], {"reverse": other.id}, [other], {"reverse": one.id})


def add_users(company: Any, access: dict[str, str]) -> None:
    """The administrator gets the company; Koppel gets a user of its own."""
    user = Pool().get("res.user")
    at_company = {"companies": [("add", [company.id])], "company": company.id}
    english = _one("ir.lang", [("code", "=", "en")]).id
    user.write(user.search([("login", "=", "admin")]), at_company)
    user.create([{
        "name": "Koppel", "login": access["username"], "password": access["password"],
        "language": english, "groups": [("add", [_xml_id(name) for name in GROUPS])],
        **at_company,
    }])  # fmt: skip


def fill(access: dict[str, str]) -> None:
    """All records of the bare system, in the order in which one needs the other."""
    add_places()
    company = add_company()
    context = {"company": company.id, "companies": [company.id], "language": "en"}
    with Transaction().set_context(context):
        accounts = add_chart(company)
        add_fiscal_years(company)
        add_trade(company, accounts)
        add_relations()
        add_users(company, access)


def main(database: str, access_file: str) -> None:
    """Activate, then fill."""
    access = json.loads(Path(access_file).read_text(encoding="utf-8"))
    tell(0.01, "tryton: creating the database")
    activate(database)
    tell(0.86, "tryton: company, accounts and taxes")
    in_transaction(database, lambda: fill(access))
    tell(1.0, "tryton: set up")


if __name__ == "__main__":
    main(*sys.argv[1:])
