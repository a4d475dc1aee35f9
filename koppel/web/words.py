"""The names of things in the person's language: entities, fields, sides, states, kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

Words = Mapping[str, Any]

ENTITIES: Words = {
    "partner": _("Partner"),
    "contact": _("Contact"),
    "product": _("Product"),
    "order": _("Order"),
    "invoice": _("Invoice"),
}

SIDES: Words = {"crm": _("CRM"), "erp": _("ERP")}

OWNERS: Words = {"": "–", "crm": _("CRM"), "erp": _("ERP"), "shared": _("both")}

DIRECTIONS: Words = {
    "both": _("both ways"),
    "to_crm": _("only to the CRM"),
    "to_erp": _("only to the ERP"),
    "none": _("does not travel"),
}

POLICIES: Words = {
    "ask": _("a person decides"),
    "crm": _("the CRM's counts"),
    "erp": _("the ERP's counts"),
    "newest": _("the newer counts"),
    "union": _("both are joined"),
}

STEPS: Words = {
    "quote": _("Quote"),
    "order": _("Order"),
    "confirmation": _("Confirmation"),
    "delivery": _("Delivery"),
    "invoice": _("Invoice"),
    "payment": _("Payment"),
    "dunning": _("Reminders"),
}

PLACES: Words = {
    "crm": _("in the CRM"),
    "erp": _("in the ERP"),
    "koppel": _("Koppel, by itself"),
    "person": _("Koppel, when a person presses"),
    "elsewhere": _("in another system"),
}

DELETIONS: Words = {
    "uncouple": _("stays, and the pair ends"),
    "delete": _("is deleted, too"),
    "ask": _("a person decides"),
}

EFFECTS: Words = {
    "write": _("would be written"),
    "read": _("reads otherwise"),
    "unreadable": _("could not be read any more"),
    "sleep": _("leaves the scope: falls asleep"),
    "wake": _("comes into scope: wakes up"),
    "couple": _("would be coupled"),
    "ask": _("a person would be asked whether they are the same"),
    "create": _("would be made"),
    "stay": _("would not be made any more"),
}

OPERATORS: Words = {
    "equals": _("is"),
    "not_equals": _("is not"),
    "contains": _("contains"),
    "present": _("is there"),
    "one_of": _("is one of"),
}

FIELDS: Words = {
    "": _("The whole record"),
    "(record)": _("The whole record"),
    "active": _("Active"),
    "available": _("Available"),
    "billing_address": _("Billing address"),
    "category": _("Category"),
    "currency": _("Currency"),
    "description": _("Description"),
    "email": _("E-mail"),
    "family_name": _("Family name"),
    "fax": _("Fax"),
    "given_name": _("Given name"),
    "gtin": _("GTIN"),
    "iban": _("IBAN"),
    "job_title": _("Job title"),
    "kind": _("Kind"),
    "language": _("Language"),
    "list_price": _("List price"),
    "mobile": _("Mobile phone"),
    "name": _("Name"),
    "number": _("Number"),
    "partner": _("Partner"),
    "payment_terms": _("Payment terms"),
    "phone": _("Phone"),
    "registration_id": _("Registration number"),
    "roles": _("Roles"),
    "salutation": _("Salutation"),
    "sector": _("Sector"),
    "shipping_address": _("Shipping address"),
    "status": _("Status"),
    "tax_category": _("Tax category"),
    "tax_id": _("VAT id"),
    "tax_number": _("Tax number"),
    "tax_rate": _("Tax in percent"),
    "unit": _("Unit"),
    "website": _("Website"),
}

STATES: Words = {
    "active": _("in step"),
    "again": _("to be repeated"),
    "applying": _("being written"),
    "cancelled": _("cancelled"),
    "closed": _("closed"),
    "different": _("different"),
    "done": _("done"),
    "dormant": _("asleep: out of the rule's scope"),
    "failed": _("failed"),
    "given up": _("given up"),
    "held": _("held for a person"),
    "intent": _("begun"),
    "interrupted": _("interrupted"),
    "later": _("later: a system is away"),
    "open": _("open"),
    "parted": _("parted"),
    "planned": _("planned"),
    "planning": _("being planned"),
    "ready": _("ready"),
    "refused": _("refused"),
    "resolved": _("decided, not written yet"),
    "running": _("running"),
    "sent": _("sent"),
    "same": _("the same"),
    "superseded": _("replaced by a newer plan"),
    "undone": _("taken back"),
    "unknown": _("outcome unknown"),
    "void": _("not written"),
    "waiting": _("waiting"),
}

VERDICTS: Words = {
    "accept": _("accept it"),
    "hold": _("hold it"),
    "clerk": _("leave it to a clerk"),
}

KINDS: Words = {
    "plan": _("Plan"),
    "sync": _("Synchronisation"),
    "undo": _("Undo"),
    "couple": _("Couple"),
    "create": _("Create"),
    "update": _("Update"),
    "delete": _("Delete"),
    "uncouple": _("End the coupling"),
    "conflict": _("Conflict"),
    "follow": _("Follow a merge"),
    "sleep": _("Put to sleep"),
    "wake": _("Wake up"),
    "rebase": _("Take note"),
    "review": _("Ask a person"),
    "nothing": _("Nothing"),
}

EVENTS: Words = {
    "run.ended": _("a run ended"),
    "conflict.opened": _("a new conflict"),
    "plan.held": _("a plan is held"),
    "order.changed": _("an order's state changed"),
    "alarm.raised": _("an alarm"),
}

TASKS: Words = {"sync": _("Batch: bring all into step"), "audit": _("Audit: prove that all is")}

TRIGGERS: Words = {
    "": "",
    "button": _("Button"),
    "hint": _("Change reported"),
    "manual": _("By hand"),
    "plan": _("By hand"),
    "poll": _("Polling"),
    "schedule": _("Schedule"),
}

ACTIONS: Words = {
    "view": _("See records, runs and the journal"),
    "figures": _("See money: orders, invoices, figures"),
    "synchronise": _("Synchronise one record"),
    "decide": _("Decide what waits in the inbox"),
    "approve": _("Approve held plans and take runs back"),
    "export": _("Download lists"),
    "configure": _("Change connections, mappings and rules"),
    "privacy": _("Export and erase a person's data"),
    "people": _("Manage users and read the audit log"),
}

ROLES: Words = {
    "administrator": _("Administrator"),
    "integrator": _("Integrator"),
    "clerk": _("Clerk"),
    "sales": _("Sales"),
    "viewer": _("Viewer"),
}

PARTNER_ROLES: Words = {
    "customer": _("customer"),
    "prospect": _("prospect"),
    "supplier": _("supplier"),
    "competitor": _("competitor"),
}

PRODUCT_STATUSES: Words = {
    "for_sale": _("for sale"),
    "not_for_sale": _("not for sale"),
    "discontinued": _("discontinued"),
}

UNITS: Words = {
    "C62": _("piece"),
    "HUR": _("hour"),
    "DAY": _("day of work"),
    "KGM": "kg",
    "GRM": "g",
    "TNE": "t",
    "MTR": "m",
    "CMT": "cm",
    "MMT": "mm",
    "KMT": "km",
    "LTR": "l",
    "MTK": "m²",
    "MTQ": "m³",
}
"""Of UN/ECE Recommendation 20; any other code is shown as it is."""

SEEN: Words = {
    "order": _("Order"),
    "quote": _("Quote"),
    "opportunity": _("Opportunity"),
    "invoice": _("Invoice"),
    "credit_note": _("Credit note"),
    "payment": _("Payment"),
    "reminder": _("Reminder"),
    "delivery": _("Delivery"),
    "written": _("written"),
    "draft": _("draft"),
    "quoted": _("quoted"),
    "quotation": _("quoted"),
    "confirmed": _("confirmed"),
    "processing": _("confirmed"),
    "partly delivered": _("partly delivered"),
    "partly shipped": _("partly delivered"),
    "delivered": _("delivered"),
    "shipped": _("delivered"),
    "invoiced": _("invoiced"),
    "paid": _("paid"),
    "open": _("open"),
    "partial": _("partly paid"),
    "overdue": _("overdue"),
    "cancelled": _("cancelled"),
    "waiting": _("waiting"),
    "assigned": _("reserved"),
    "picked": _("picked"),
    "packed": _("packed"),
    "done": _("done"),
    "champion": _("champion"),
    "loyal": _("loyal"),
    "promising": _("promising"),
    "attention": _("needs attention"),
    "at risk": _("at risk"),
    "lost": _("lost"),
    "new": _("new"),
    "growing": _("growing"),
    "steady": _("steady"),
    "shrinking": _("shrinking"),
    "gone": _("gone"),
    "none": _("no turnover"),
    "unknown": _("unknown"),
    "prompt": _("on time"),
    "late": _("a little late"),
    "slow": _("late"),
    "bad": _("very late"),
    "both": _("both systems"),
    "crm": _("the CRM alone"),
    "erp": _("the ERP alone"),
    "overview": _("Overview"),
    "orders": _("Orders"),
    "invoices": _("Invoices"),
    "timeline": _("Timeline"),
    "fields": _("Origin of the fields"),
    "region": _("Region"),
    "class": _("Class"),
    "salesperson": _("Salesperson"),
    "country": _("Country"),
    "sector": _("Sector"),
    "not due": _("not due"),
    "1-30": "1–30",
    "31-60": "31–60",
    "61-90": "61–90",
    "over 90": _("over 90"),
    "yes": _("yes"),
    "no": _("no"),
    "planned": _("planned, waits for approval"),
    "partly": _("written in part"),
    "policy ask": _("a person decides"),
    "policy crm": _("the CRM wins"),
    "policy erp": _("the ERP wins"),
    "policy newest": _("the newest wins"),
    "policy union": _("all values together"),
}

ERASING: Words = {
    "couplings": _("Couplings"),
    "copies": _("Copies of records"),
    "views": _("Lists and search"),
    "conflicts": _("Conflicts"),
    "notices": _("Values put back"),
    "quarantine": _("Quarantine"),
    "matches": _("Proposed pairs"),
    "waiting": _("Waiting records"),
    "journal": _("Journal"),
    "steps": _("Steps of plans"),
    "findings": _("Findings of audits, alarms"),
    "audit log": _("Audit log"),
    "documents": _("Business documents"),
    "erased": _("erased"),
    "emptied": _("loses every value"),
    "kept": _("kept"),
    "planned": _("planned, waits for approval"),
    "partly": _("done in part"),
    "done": _("done"),
    "rejected": _("dropped"),
    "erase": _("blank every field, then delete"),
    "reduce": _("blank what no document needs"),
    "nothing": _("nothing: it is gone already"),
    "there": _("as it was"),
    "gone": _("gone"),
    "trashed": _("in the trash, without a name"),
    "blank": _("there, without a name"),
    "reduced": _("there, with what documents need"),
    "invoice": _("Invoices"),
    "credit_note": _("Credit notes"),
    "order": _("Orders"),
    "quote": _("Quotes"),
    "opportunity": _("Opportunities"),
    "delivery": _("Deliveries"),
}

PARTS: Words = {
    "name": _("Name"),
    "line1": _("Street"),
    "line2": _("Further line"),
    "po_box": _("PO box"),
    "postal_code": _("Postal code"),
    "city": _("Town"),
    "subdivision": _("State or canton"),
    "country": _("Country"),
}


def word(words: Words, name: str) -> str:
    """The word for a name; the name itself where there is none."""
    return str(words.get(name, name))


def field_label(name: str) -> str:
    """A canonical field's name; a field of one's own (`x_...`) by its own words."""
    if name in FIELDS:
        return str(FIELDS[name])
    return name.removeprefix("x_").replace("_", " ").strip().capitalize()
