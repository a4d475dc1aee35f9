"""What the engine says, in the language of the person.

The engine and the store speak English: a plan's reasons are made once and kept. Each sentence that
it makes stands here as a pattern with its places in braces; a stored sentence that fits a pattern
is shown in the person's language with the same values, and any other (such as what a coupled
system itself answered) as it is. A place called `field...` is a field's name and is shown as the
field's label, one called `part...` is a piece of a sentence and translated in its turn (`part_why`:
several, joined by "and"), `amount...` is a number, `state` that of an order.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from babel.numbers import format_decimal
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N

from koppel.web.words import SEEN, VERDICTS, field_label, word

PATTERNS: tuple[str, ...] = (
    # decisions about a pair
    N("Both sides are in step."),
    N("{part}. Matched: {part_reasons}."),
    N("Matched: {part_reasons}."),
    N("{score}: {part_reasons}"),
    N("{label}'s record exists only in the {giver}; the rule creates it in the {side}."),
    N("The record exists only in the {giver}; the rule creates it in the {side}."),
    N("The record left the scope in the {side}; nothing is written or deleted."),
    N("The {side}'s record was merged into {target}; the pair follows it."),
    N(
        "The {side}'s record was merged into {target}, which is coupled already; a person decides "
        "which pair stays."
    ),
    N("The {side}'s record was deleted"),
    N("The {side}'s record was put in the trash"),
    N("{part}; the {side}'s stays, and the pair is over."),
    N("{part}; the pair was out of scope and is over."),
    N("{part}, but the {side}'s was changed since; a person decides."),
    N("{part}; the rule removes the {side}'s too."),
    N("{part}; the rule leaves the decision to a person."),
    N("A person decided to remove the {side}'s record too."),
    N("A person decided to make the {side}'s record again."),
    N("A person decided to end the pair."),
    N("Both records are gone; the pair is over."),
    N("The record does not meet the rule's conditions to enter the {side} yet."),
    N("The record is in scope again."),
    N("The pair sleeps: out of scope in the {side}."),
    N("The {side} receives 1 field, {part}"),
    N("The {side} receives {many} fields, {part}"),
    N("The {side} receives 1 field."),
    N("The {side} receives {many} fields."),
    N("The {side} receives 1 field"),
    N("The {side} receives {many} fields"),
    N("the {side} receives 1 field, {part}"),
    N("the {side} receives {many} fields, {part}"),
    N("the {side} receives 1 field."),
    N("the {side} receives {many} fields."),
    N("the {side} receives 1 field"),
    N("the {side} receives {many} fields"),
    N("1 field waits for a person."),
    N("{many} fields wait for a person."),
    N("1 field waits for a person"),
    N("{many} fields wait for a person"),
    N("The conflict about 1 field is over."),
    N("The conflict about {many} fields is over."),
    # guards
    N(
        "The plan would {verb} {steps} of {many} coupled records ({share}); {limit} are allowed "
        "without approval."
    ),
    N(
        "The plan would create {many} records that match nothing ({part}); {limit} are allowed "
        "without approval."
    ),
    N("The {side} suddenly shows no records, although {many} are coupled."),
    N("{name} describes {resource} otherwise than before: {changes}."),
    N("{many} in the {side}"),
    # fields
    N("The {owner} owns '{field}'; its value replaces the {side}'s edit."),
    N("The {owner} owns '{field}', where it was cleared; so the {side} clears it."),
    N("The {owner} owns '{field}'; the {side} receives its value."),
    N("'{field}' travels only to the {to}; the {owner}'s value replaces the {side}'s edit."),
    N("'{field}' travels only to the {to}, where it was cleared; so the {side} clears it."),
    N("'{field}' travels only to the {to}; the {side} receives its value."),
    N("'{field}' is shared; the entries of both sides are joined."),
    N("'{field}' is shared and only the {side} changed it."),
    N("The new record in the {side} starts with the {giver}'s value."),
    N("The {side} has no '{field}' yet; it receives the {giver}'s."),
    N("The two sides hold different values for '{field}'; a person decides."),
    N("The two sides hold different values for '{field}'; the policy prefers the {side}."),
    N("The two sides hold different values for '{field}'; the {side}'s is newer."),
    N("The two sides hold different values for '{field}', and it is not known which is newer."),
    N("The two sides hold different values for '{field}' at the same moment."),
    N("Both sides changed '{field}'; a person decides."),
    N("Both sides changed '{field}'; the policy prefers the {side}."),
    N("Both sides changed '{field}'; the {side}'s is newer."),
    N("Both sides changed '{field}', and it is not known which is newer."),
    N("Both sides changed '{field}' at the same moment."),
    N("A person decided about '{field}'."),
    # matching
    N("There are several candidates of nearly equal weight."),
    N("There are several candidates of nearly equal weight: also {names}."),
    N("The evidence is not enough to couple without a person."),
    N("Perhaps a duplicate: {other} is coupled already."),
    N("a person said that they are the same"),
    N("said by a person"),
    N("one of the two is coupled to another record already"),
    N("they were a pair until one of them was gone, and it came back"),
    N("a person had ended the pair"),
    N("one of the two was set aside meanwhile"),
    N("one of the two is coupled to another record by now"),
    N("another pair follows a merge to one of the two"),
    N("same name"),
    N("similar name ({share})"),
    N("similar name"),
    N("different names"),
    N("same address"),
    N("same street"),
    N("same town"),
    N("other town"),
    N("other country"),
    N("same phone {value}"),
    N("different phones"),
    N("same e-mail {value}"),
    N("same domain {value}"),
    N("different domains"),
    N("same VAT id {value}"),
    N("different VAT ids"),
    N("same tax number {value}"),
    N("different tax numbers"),
    N("same registration number {value}"),
    N("different registration numbers"),
    N("same date of birth"),
    N("different dates of birth"),
    N("same customer number {value}"),
    N("different legal forms"),
    N("names of two members of a group"),
    N("each name has a word of its own"),
    N("a person and a company"),
    N("nothing but a word in common"),
    N("same GTIN {value}"),
    N("different GTINs"),
    N("same description"),
    N("different sizes"),
    # undo
    N("takes back what the run wrote"),
    N("restores what stood there before the run"),
    N("The record was removed since."),
    N("'{field}' was edited since; it stays."),
    N("'{field}' was edited since; the new record stays."),
    # what happened to a write
    N("{place} refused it: {said}"),
    N("{place} refused it ({fields_named}): {said}"),
    N("{place} did not get it"),
    N("it did not happen"),
    N("waits for its {what}"),
    N("waits for {what}"),
    N("Correct the value in the system that it comes from"),
    N("Correct the value in {name}"),
    N("Two records claim the same value; correct one of them"),
    N("Give Koppel's user the right, or take the field out of the rule"),
    N("The record is in use there; deal with it in that system"),
    N("Unlock the record there, or wait until it is free"),
    N("The record is not there any more; break the coupling or restore it"),
    # the company's sign-in service
    N("none of your groups has a role here."),
    N("Ask an administrator for one."),
    N("you are kept out."),
    N("Ask an administrator."),
    N("you are no user here yet."),
    N("Ask an administrator: koppel sign-in link {name} {said}."),
    N("the sign-in service tells no {what}."),
    N("there is a user called '{name}' already, and nobody said that it is you."),
    N("two sign-ins met."),
    N("Sign in again."),
    N("this sign-in was not begun here, or too long ago."),
    N("the answer is from another sign-in service."),
    N("the sign-in service does not answer."),
    # what erasing a person makes of each kind of row, and why
    N("what each side returned last"),
    N("what was read for matching"),
    N("made for lists and search"),
    N("values of both sides"),
    N("values that were put back"),
    N("what a system said of the record"),
    N("proposed pairs with their reasons"),
    N("records to be looked at again"),
    N("that something was written, when and why stays; no value does"),
    N("that a plan had this step stays; no value does"),
    N("the counts of audits stay; the name does not"),
    N("it proves who did and saw what, by number; changing it would break it"),
    N("orders and invoices are kept for as long as tax law wants them"),
    N("It keeps: {fields_named}."),
    N("It was edited again and again meanwhile."),
    N("a name needs three letters or more."),
    N("Type more of it."),
    # faults of rules and mappings
    N("{name} has no field {what}"),
    N("{what} A field of your own begins with x_"),
    N("there is no lens {name}"),
    N("the lens {name} does not work on {what}, a field of type {kind}"),
    N("the lens {name} gives {kind}, which {what} cannot hold"),
    N("Choose a lens for the type of that field"),
    N("For {kind} there are {names}"),
    N("{name} has no such option"),
    N("{name} is not known here"),
    N("Choose one of {names}"),
    N("{name} is none of the choices of {what}"),
    N("{name} is written by {what} already"),
    N("Set readonly = true for one of them"),
    N("the native field {name} is required, and nothing feeds it"),
    N("Map it, give it a value under [create], or name it in supplied"),
    N("it shall travel to the {side}, which cannot write it"),
    N('Write direction = "{name}" for it'),
    N("both sides know {name}, and the rule says nothing about it"),
    N("Give it an owner, or write {what}"),
    N("the {side} does not know {name}, so this never holds"),
    N("{name} is not known on both sides"),
    N("{name} is no entity"),
    N("only a list of values can be joined"),
    N("must be a number"),
    N("must be true or false"),
    N("Give a share from 0 to 1"),
    N("Give one from 0 to 1"),
    N("{name} is not a share"),
    N("review ({name}) is above couple ({what})"),
    N("Set review lower than couple"),
    N("there is no field {name} to remove"),
    N("Correct the value"),
    N("is missing"),
    N("Name one native field"),
    N("Take it away"),
    N("the system was not described yet"),
    N("Check the connection first"),
    # schedules and alarms
    N("there is no such setting"),
    N("there is no such connection"),
    N("{name} is no time zone"),
    N("{name} is no cron expression: {part}"),
    N("minute, hour, day, month, day of the week"),
    N("{name} never comes"),
    N("{name} is no span of hours"),
    N("{name} is nothing that can be run"),
    N("cannot name a job"),
    N("must be whole minutes"),
    N("must be a number of seconds"),
    N("it is not TOML: {said}"),
    N("Correct the line"),
    N("Write 60"),
    N("Write 5, or 0 for none"),
    N("Write it as {example}"),
    N("Use small letters, digits and dashes"),
    N("Did you mean {name}?"),
    N("There are {names}"),
    N("run {run}: {many} writes"),
    N("in step"),
    N("in step but for conflicts that wait for a person"),
    N("the introduction is under way"),
    N("The job {name} was held: {part}"),
    N("The job {name} failed: {part}"),
    N("The audit found records that are not in step: {what}."),
    N("A plan that puts it right: {command}"),
    # the way of an order into the ERP
    N("{name} hands the order over."),
    N("{name} asks for it too."),
    N("{name} tries again."),
    N("{name} tries again, accepting {what}."),
    N("Cancelled by {name}."),
    N("cancelled by {name}"),
    N("read the order"),
    N("find the customer"),
    N("decide"),
    N("write it for the ERP"),
    N("make it in the ERP"),
    N("compare the totals"),
    N("give it a number"),
    N("confirm it"),
    N("read it back"),
    N("tell the CRM"),
    N("Read {name}: {many} lines, net {amount}, gross {amount_gross} {currency}."),
    N("The customer was made in the ERP ({name})."),
    N("Decision: {verdict}, because {part_why} (rule '{name}')."),
    N("Decision: {verdict}, because {part_why}."),
    N("no rule holds it"),
    N("the rule applies to every order"),
    N("the order is worth {amount}, more than {amount_limit}"),
    N("the customer is new"),
    N("the customer is known"),
    N("the customer is blocked"),
    N("the customer is not blocked"),
    N("the customer has a reminder of level {many}"),
    N("{amount} are open, and with this order the credit limit of {amount_limit} is exceeded"),
    N("it holds {names}"),
    N("a price is {share} off the ERP's"),
    N("Every price is the ERP's own."),
    N("A price cannot be compared: {said}"),
    N("The order is in the ERP as a draft."),
    N("The order was there already; no second one is made."),
    N("Net, tax by rate and gross agree to the cent."),
    N("Every net amount agrees to the cent. {part}."),
    N(
        "The tax is {amount} {currency} in the CRM and {amount_erp} in the ERP, which counts: the "
        "CRM rounds {part}, the ERP {part_erp}; every net amount is the same"
    ),
    N("once for each rate, halves up"),
    N("once for each rate, halves to even"),
    N("line by line, halves up"),
    N("line by line, halves to even"),
    N("Taken with the ERP's amounts: {part}"),
    N("The order is {state} in the ERP."),
    N("The order {name} is {state} in the ERP."),
    N("The draft {name} could not be removed: {said}"),
    N("the rule '{name}' holds the order: {part_why}"),
    N("To let it go: {command}"),
    N("the order is gone from the CRM"),
    N("this is the ERP's own order; there is nothing to hand over"),
    N("Put it right in the CRM, then try again"),
    N("Add it to the value tables of the order settings, then try again"),
    N("the customer is not in the ERP"),
    N("the ERP may know this customer already"),
    N("Say whether it is the same: {command}. Then try again"),
    N("Make it a customer in the CRM, or let the sync rule create it in the ERP"),
    N("Put it right on the customer's page, then try again"),
    N("the ERP does not take the customer: {part}"),
    N("the ERP reckons otherwise: {part}"),
    N("the ERP reckons otherwise (only the rounding of tax differs): {part}"),
    N("Correct it in the CRM or the ERP and try again, or take the ERP's amounts: {command}"),
    N("The order exceeds the customer's credit limit: {said}"),
    N("The customer is blocked in the ERP: {said}"),
    N("The ERP's amounts are not those of the CRM: {said}"),
    N("The ERP does not take a quantity: {said}"),
    N("The ERP has no price for a product: {said}"),
    N("The ERP does not know how to book a product of this order: {said}"),
    N("The ERP does not sell a product of this order: {said}"),
    N("The accounting period of the order is closed: {said}"),
    N("Koppel's user in the ERP may not do this: {said}"),
    N("The ERP does not take the order: {said}"),
    N("Accounting can raise the limit or take a payment; whoever may accept it: {command}"),
    N("{part}; whoever may accept it: {command}"),
    N("Accounting can lift the block; then try again"),
    N(
        "Correct prices, discounts or taxes in the CRM, or the price list in the ERP; then try "
        "again"
    ),
    N("Give the line a quantity that its unit allows (whole pieces), or another unit"),
    N("Who keeps the price list can add it, or give the line a price"),
    N("Accounting can complete the product's accounts; then try again"),
    N("Who keeps the products can release it; or take another product"),
    N("Accounting can open it, or give the order a date in an open period"),
    N("The ERP's administrator can grant the right"),
    N("Put it right, then try again"),
    # what is wrong with an order
    N("the quote that this order was made of is in the ERP already ({name})"),
    N("Change that order, or to make a second one: {command}"),
    N("the ERP has an order of this document for another customer already ({name})"),
    N("If the CRM was restored from a backup, make a new one: {command}"),
    N("the ERP has this order as {name} already, and otherwise: {part}"),
    N("Compare both, and to take it as it is: {command}"),
    N("the order was removed from the ERP while it was handed over"),
    N("To hand it over again: {command}"),
    N("the customer cannot be made in the ERP: {part}"),
    N("Look at it with: {command}"),
    N("the customer is gone from the CRM"),
    N("Give the order a customer"),
    N("the CRM does not make the prospect a customer: {said}"),
    N("Make it a customer by hand, then try again"),
    N("the order cannot be cancelled: {said}"),
    N("It is under way in the ERP: a clerk there can stop or return it"),
    N("this order has no such invoice"),
    N("this ERP prints no invoices"),
    N("there is no order of {name} in the ERP"),
    N("Hand it over: {command}. One of the ERP is seen at the next look"),
    N("quotes are written in the ERP here, so this document is not handed over"),
    N("orders are entered in the ERP here, so this document is not handed over"),
    N("Enter it in the ERP; where the step runs says the order settings: {name}"),
    N("Hand the order over again: {command}"),
    N("The currency '{name}' is none of ISO 4217"),
    N("The order has no customer"),
    N("The order has no lines"),
    N("Line {many}: the product '{name}' has no number"),
    N("Line {many}: a discount of the kind '{name}' is not known"),
    N("Line {many}: the tax rate '{name}' is no number"),
    N("The CRM shows {amount} {part}, its lines come to {amount_lines}"),
    N("net"),
    N("gross"),
    N("The unit '{name}' is in no value table"),
    N("The payment terms '{name}' are not known in the ERP (it has: {names})"),
    N("{part_place}: {amount} in the CRM, {amount_erp} in the ERP"),
    N("{part_place}: nothing in the CRM, {amount_erp} in the ERP"),
    N("{part_place}: {amount} in the CRM, nothing in the ERP"),
    N("tax of {share}"),
    N("taxable at {share}"),
    # change requests
    N(
        "Change request: the CRM says otherwise ({what}), and the order is {state} in the ERP. "
        "A clerk decides there."
    ),
    N("An edit in the CRM cannot be read: {said}"),
    N("The ERP does not take an edit of the CRM: {said}"),
    # webhooks
    N("no answer in time"),
    N("not reached: {what}"),
    N("answered with {many}"),
    N("too many were waiting"),
    N("the address says that it wants no more messages (410)"),
    N("stopped by {name}"),
    N("Messages to {name} do not arrive: {part}"),
    # runs and progress
    N("reading {what} from {name}"),
    N("planning {what}"),
    N("writing {what}"),
    N("a plan is held and waits for a person"),
    N("the connection is paused: {said}"),
    N("another Koppel is at work ({name})"),
    N("run {many} cannot be applied: it is {state}. {part}"),
    N("run {many} wrote nothing that could be undone: {state}"),
    N(
        "run {run} is out of date: {many} records have changed since it was made ({names}). "
        "Make a new plan with: koppel plan"
    ),
    # which step of quote to cash runs where
    N("Quotes are written in the CRM and can be handed over."),
    N("Quotes are written in the ERP; a quote of the CRM is not handed over."),
    N(
        "Koppel makes the ERP's order from the CRM's document, when somebody presses or when "
        "its status says so."
    ),
    N("Koppel makes the ERP's order when somebody presses, never by itself."),
    N("Orders are entered in the ERP; nothing is handed over."),
    N("Koppel confirms the order in the ERP as soon as the totals agree."),
    N("The order waits as a quotation with its number until a clerk confirms it in the ERP."),
    N("The ERP delivers; the CRM shows shipments, quantities and dates."),
    N("Another system delivers; the CRM shows nothing of it."),
    N("The ERP invoices; the CRM shows invoices and credit notes."),
    N("Another system invoices; the CRM shows neither invoices nor what follows from them."),
    N("The ERP books payments; the CRM shows what is open, paid or overdue."),
    N("Another system books payments; the CRM does not show them."),
    N("The ERP reminds; the CRM shows the level, and rules may look at it."),
    N("Another system reminds; the CRM does not show it, and no rule looks at it."),
)


@lru_cache(maxsize=1)
def _compiled() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((pattern, _expression(pattern)) for pattern in PATTERNS)


def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", pattern)
    text = "".join(
        re.escape(part) if place % 2 == 0 else f"(?P<{part}>{_allowed(part)})"
        for place, part in enumerate(parts)
    )
    return re.compile(f"^{text}$", re.S)


def _allowed(place: str) -> str:
    if place in ("side", "giver", "owner", "to"):
        return "CRM|ERP"
    if place in ("many", "steps", "limit", "score", "share", "run"):
        return r"[\d.,]+ ?%?"
    if place.startswith("amount"):
        return r"-?\d+(?:\.\d+)?"
    if place == "verdict":
        return "|".join(VERDICTS)
    if place == "field":
        return r"[\w.() ]+"
    if place == "value":
        # Evidence stands in lists: what follows it is a reason of its own.
        return "[^,;]+"
    return ".+?"


def in_language(text: str) -> str:
    """A sentence of the engine in the language that is active, with its fields by their labels."""
    return _translated(text, get_language() or "en")


@lru_cache(maxsize=4096)
def _translated(text: str, language: str) -> str:
    whole = _whole(text)
    if whole is None and text.endswith("."):
        # Some are told as a sentence here and as a part of one there.
        part = _whole(text[:-1])
        whole = None if part is None else part + "."
    return _pieces(text) if whole is None else whole


def _whole(text: str) -> str | None:
    """A text that fits a pattern; None where none does."""
    for pattern, expression in _compiled():
        found = expression.match(text)
        if found is not None:
            values = {name: _value(name, said) for name, said in found.groupdict().items()}
            return _(pattern).format(**values)
    return None


def _pieces(text: str) -> str:
    """Several sentences, or a list of reasons, each by itself."""
    for mark in (". ", "; ", ", "):
        if mark in text:
            last = text.split(mark)
            told = [
                in_language(one + mark.strip() if mark == ". " and one is not last[-1] else one)
                for one in last
            ]
            return " ".join(told) if mark == ". " else mark.join(told)
    return text


def _value(name: str, said: str) -> str:
    if name == "field":
        return field_label(said)
    if name == "fields_named":
        return ", ".join(field_label(one) for one in said.split(", "))
    if name == "part_why":
        return _(" and ").join(in_language(one) for one in re.split("(?<!,) and ", said))
    if name.startswith("amount"):
        return format_decimal(Decimal(said), "#,##0.00####", locale=get_language() or "en")
    if name in ("state", "verdict"):
        return word(SEEN if name == "state" else VERDICTS, said)
    return in_language(said) if name.startswith("part") else said
