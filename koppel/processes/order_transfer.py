"""An order from the CRM into the ERP: one order, whole, to the cent, or held with the reason.

The steps, each durable: read the order, find the customer, decide, write it for the ERP, make it
there, compare the totals, quote, confirm, read it back, tell the CRM. The ERP keeps the order's key
(`koppel_key`); whatever happened before, the order is looked for by it before one is made, so there
is never a second one. Until the totals agree it is a draft, and a draft that differs is removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from koppel import typed
from koppel.connectors.base import Act, Create, Delete, Gone, Record, Refused, Written
from koppel.engine.durable import Ended, Held, Steps
from koppel.errors import Defect, TryLater
from koppel.mapping.orders import OrderFault
from koppel.model.sales import Order
from koppel.processes import rules
from koppel.processes.customer import Customer
from koppel.processes.partner_promotion import Promotion
from koppel.processes.records import Records
from koppel.processes.refusals import explain
from koppel.processes.rounding import explained, of_tax_alone, with_the_erps_tax
from koppel.processes.systems import Systems, written
from koppel.processes.telling import tell_crm
from koppel.store import Store
from koppel.store.orders import status_of
from koppel.sync.totals import compare

KIND = "order_transfer"

READ = "read the order"
FIND = "find the customer"
DECIDE = "decide"
WRITE = "write it for the ERP"
MAKE = "make it in the ERP"
COMPARE = "compare the totals"
QUOTE = "give it a number"
CONFIRM = "confirm it"
TAKE_BACK = "read it back"
TELL = "tell the CRM"
NOTICE = "notice"
"""What a person should know of an order that is fine."""

BEFORE_THE_ERP = (READ, FIND, DECIDE, WRITE)
"""What is done anew when a person tries again: the document may have been put right meanwhile."""


def subject_of(resource: str, record: str) -> str:
    """What a transfer is about."""
    return f"{resource}/{record}"


def next_key(key: str) -> str:
    """The key of the next order for the same document: `crm/quote/1`, `crm/quote/1#2`."""
    base, _, number = key.partition("#")
    return f"{base}#{int(number or 1) + 1}"


class OrderTransfer:
    """The work of one transfer."""

    def __init__(self, systems: Systems, promotion: Promotion, steps: Steps) -> None:
        self._systems = systems
        self._store: Store = systems.store
        self._promotion = promotion
        self._steps = steps
        self._settings = systems.settings
        self.resource, _, self.record = steps.row.subject.rpartition("/")
        self._customers: dict[str, Customer] = {}
        self._read_record: Record | None = None
        """The CRM's document as this very run has read it."""
        self._answered: Record | None = None
        """The order as the ERP's last answer to a write of this very run had it."""

    def run(self) -> None:
        """All steps, from where the process stands."""
        steps = self._steps
        version = str(steps.do(READ, self._read, sends=False))
        order = self._order()
        found = steps.do(FIND, lambda: self._find(order), sends=False)
        verdict = steps.do(DECIDE, lambda: self._decide(order, found), sends=False)
        if verdict["verdict"] == "hold" and not self._accepted("decision"):
            raise Held(
                f"the rule '{verdict['rule']}' holds the order: {verdict['why']}",
                remedy=f"To let it go: koppel order retry {steps.row.id[:8]} --accept decision",
            )
        fields = steps.do(WRITE, lambda: self._write(order, found["erp"]), sends=False)
        erp = str(steps.do(MAKE, lambda: self._make(fields)))
        steps.do(COMPARE, lambda: self._compare(erp, order, fields), sends=False)
        until = "draft" if verdict["verdict"] == "clerk" else self._settings.transfer.until
        if until in ("quote", "confirm"):
            steps.do(QUOTE, lambda: self._act(erp, "quote", ("draft",)))
        if until == "confirm":
            steps.do(CONFIRM, lambda: self._act(erp, "confirm", ("draft", "quotation")))
        steps.do(TAKE_BACK, lambda: self._take_back(erp, version), sends=False)
        steps.do(TELL, self._tell)

    # Before the ERP.

    def _read(self) -> str:
        seen = self._systems.crm.fetch(self.resource, [self.record])[self.record]
        if isinstance(seen, Gone):
            raise Ended("the order is gone from the CRM")
        reader = self._systems.reader(self.resource)
        look = self._systems.looking(reader.references(seen))
        if Records(self._systems).is_record(self.resource, self.record) is not None:
            raise Ended("this is the ERP's own order; there is nothing to hand over")
        source = f"{self._settings.crm}/{self._steps.row.subject}"
        try:
            order = reader.read(seen, source, look)
        except OrderFault as fault:
            raise Held(
                fault.sentences[0].rstrip("."),
                details=fault.sentences,
                remedy="Put it right in the CRM, then try again",
            ) from fault
        self._store.processes.save(
            self._steps.row,
            snapshot=msgspec.json.encode([msgspec.to_builtins(order), msgspec.to_builtins(seen)]),
            label=f"{order.number or order.name}".strip(),
        )
        self._steps.log(
            f"Read {order.number or self.record}: {len(order.lines)} lines, net "
            f"{order.totals.net:f}, gross {order.totals.gross:f} {order.currency}."
        )
        self._read_record = seen
        return seen.version

    def _order(self) -> Order:
        found = order_of(self._steps.row.snapshot)
        if found is None:
            raise Defect("a transfer has lost what it read", place=self._steps.row.id)
        return found

    def _find(self, order: Order) -> dict[str, Any]:
        if self._promotion.known(order.partner) is None:
            self._steps.firm()
        found = self._promotion.ensure(
            order.partner,
            self._steps.row.user,
            promote=self._settings.transfer.promote,
            key=self._steps.row.id,
        )
        if found.made:
            self._steps.log(f"The customer was made in the ERP ({found.erp}).")
        return {"erp": found.erp, "made": found.made}

    def _decide(self, order: Order, found: Mapping[str, Any]) -> dict[str, Any]:
        self._refuse_second(order)
        customer = self._customer(str(found["erp"]))
        now = customer.situation(order, self._settings.incoming, new=bool(found["made"]))
        if any(one.price_difference_over is not None for one in self._settings.incoming):
            now = self._with_prices(now, customer, order)
        decision = rules.judge(self._settings.incoming, now)
        said = f" (rule '{decision.rule}')" if decision.rule else ""
        self._steps.log(f"Decision: {decision.verdict}, because {decision.why}{said}.")
        return {"verdict": decision.verdict, "rule": decision.rule, "why": decision.why}

    def _customer(self, party: str) -> Customer:
        """The customer, read at most once in this run."""
        return self._customers.setdefault(party, Customer(self._systems, party, self._steps.firm))

    def _with_prices(
        self, now: rules.Situation, customer: Customer, order: Order
    ) -> rules.Situation:
        """The CRM's prices beside the ERP's own, each difference in the log."""
        prices = customer.prices(order)
        for sentence in prices.unknown:
            self._steps.log(f"A price cannot be compared: {sentence}")
        for one in prices.differences:
            self._steps.log(f"{str(one)[:1].upper()}{str(one)[1:]}.")
        if prices.compared and not prices.differences:
            self._steps.log("Every price is the ERP's own.")
        if not prices.compared:
            return now
        worst = max(prices.differences, key=lambda one: one.percent, default=None)
        return replace(
            now,
            price_difference=worst.percent if worst else Decimal(0),
            price_differs=str(worst) if worst else "",
        )

    def _refuse_second(self, order: Order) -> None:
        """A sale that was handed over as a quote is not handed over again as an order."""
        resource, _, record = order.made_from.rpartition("/")
        link = self._store.orders.of_crm(resource, record) if record else None
        if link is None or link.state in ("cancelled", "gone") or self._accepted("again"):
            return
        raise Held(
            f"the quote that this order was made of is in the ERP already ({link.number})",
            remedy="Change that order, or to make a second one: "
            f"koppel order retry {self._steps.row.id[:8]} --accept again",
        )

    def _write(self, order: Order, party: str) -> dict[str, Any]:
        """The ERP's fields; held with every value that it would not know."""
        unknown: list[str] = []
        lines = rules.erp_lines(order, self._settings.transfer.price_digits)
        for line in lines:
            if "unit" in line:
                line["unit"] = self._unit(str(line["unit"]), unknown)
        customer = self._customer(party)
        fields: dict[str, Any] = {
            "party": party,
            "currency": order.currency,
            "lines": lines,
            **customer.places(order, self._steps.row.key),
        }
        terms = self._terms(order.payment_terms, unknown)
        delivery = self._settings.values.delivery_terms.get(
            order.delivery_terms, order.delivery_terms
        )
        optional = {
            "reference": order.buyer_reference,
            "description": order.name,
            "comment": customer.comment(order),
            "payment_term": terms,
            "incoterm": delivery,
            "shipping_date": order.requested_delivery,
        }
        fields |= {name: value for name, value in optional.items() if value}
        fields |= self._face(order)
        if unknown:
            raise Held(
                unknown[0].rstrip("."),
                details=unknown,
                remedy="Add it to the value tables of the order settings, then try again",
            )
        if not self._accepted("difference"):
            exact = self._settings.transfer.tax_rounding != "erp"
            fields |= rules.expected_totals(order.totals, taxes=exact)
        return fields

    def _face(self, order: Order) -> dict[str, str]:
        """What people in the ERP see of the CRM's document, where the ERP has a place for it."""
        row, resource = self._steps.row, self._settings.erp_resource
        name = " ".join(filter(None, (order.number, order.name))) or row.subject
        told = {
            "koppel_crm_owner": order.owner,
            "koppel_crm_source": f"{name} (trace {row.trace})",
            "koppel_crm_activity": f"Handed over by {row.user}, {row.made_at:%Y-%m-%d}",
            "koppel_crm_url": self._systems.link(f"/processes/{row.id}"),
        }
        return {
            field: text
            for field, text in told.items()
            if text and self._systems.erp_has(resource, field)
        }

    def _unit(self, unit: str, unknown: list[str]) -> str:
        tables = self._settings.values.units
        if unit in tables:
            return tables[unit]
        if unit in tables.values():
            return unit
        unknown.append(f"The unit '{unit}' is in no value table.")
        return unit

    def _terms(self, terms: str, unknown: list[str]) -> str:
        table = self._settings.values.payment_terms
        if not terms or terms in table:
            return table.get(terms, "")
        known = self._systems.payment_terms()
        if terms in known or not known:
            return terms
        unknown.append(
            f"The payment terms '{terms}' are not known in the ERP "
            f"(it has: {', '.join(sorted(known))})."
        )
        return terms

    # In the ERP.

    def _make(self, fields: Mapping[str, Any]) -> str:
        found = self._made_before()
        if found is not None and self._same_customer(found, fields):
            return self._there(found)
        outcome = self._created(fields)
        if isinstance(outcome, Refused) and self._provable(outcome):
            # Only now, for this costs a call more.
            asked = with_the_erps_tax(self._systems, self._order(), fields)
            outcome = outcome if asked is None else self._created(asked[0])
        if isinstance(outcome, Refused):
            raise self._refused(outcome)
        after = outcome.after
        if isinstance(after, Record) and not self._same_customer(after, fields):
            return self._make(fields)
        if isinstance(after, Record) and after.fields.get("state") != "draft":
            return self._there(after)
        self._steps.log("The order is in the ERP as a draft.")
        self._answer(outcome)
        return after.id

    def _made_before(self) -> Record | None:
        """The order of this key, looked for where the ERP does not do so itself at each creation.

        One that keeps the key as an external reference answers a creation with what it has.
        """
        erp, resource = self._systems.erp, self._settings.erp_resource
        if erp.capabilities(resource).create_key == "external_id":
            return None
        found = erp.find(resource, {"koppel_key": self._steps.row.key})
        if len(found) > 1:
            raise Defect(f"the ERP has {len(found)} orders of one key", place=self._steps.row.key)
        return found[0] if found else None

    def _there(self, seen: Record) -> str:
        self._answered = seen
        self._steps.log("The order was there already; no second one is made.")
        return seen.id

    def _created(self, fields: Mapping[str, Any]) -> Written | Refused:
        resource, key = self._settings.erp_resource, self._steps.row.key
        return written(self._systems.erp, Create(resource=resource, key=key, fields=dict(fields)))

    def _provable(self, outcome: Refused) -> bool:
        return self._settings.transfer.tax_rounding == "proved" and of_tax_alone(outcome)

    def _same_customer(self, seen: Record, fields: Mapping[str, Any]) -> bool:
        """Is the order of this key of this customer? A restored CRM gives ids out again.

        With `again` accepted the document gets the next key, and False is the answer.
        """
        if str(seen.fields.get("party")) == str(fields["party"]):
            return True
        if self._accepted("again"):
            key = next_key(self._steps.row.key)
            self._store.processes.save(self._steps.row, key=key)
            return False
        raise Held(
            f"the ERP has an order of this document for another customer already "
            f"({seen.fields.get('number')})",
            remedy="If the CRM was restored from a backup, make a new one: "
            f"koppel order retry {self._steps.row.id[:8]} --accept again",
        )

    def _refused(self, outcome: Refused) -> Exception:
        if outcome.reason in ("stale", "locked"):
            return TryLater(outcome.message, after=2)
        sentence, remedy = explain(outcome, self._steps.row.id)
        parts = outcome.message.split("; ")
        return Held(sentence, remedy=remedy, details=parts if len(parts) > 1 else ())

    def _compare(self, erp: str, order: Order, fields: Mapping[str, Any]) -> str:
        seen = self._seen(erp)
        state = str(seen.fields.get("state") or "draft")
        found = compare(
            order.totals,
            rules.erp_totals(seen.fields),
            rules.line_pairs(fields["lines"], seen.fields.get("lines") or ()),
            order.currency,
            len(fields["lines"]),
        )
        if not found:
            self._steps.log("Net, tax by rate and gross agree to the cent.")
            return "they agree"
        if self._settings.transfer.tax_rounding == "proved" and all(
            one.only_rounding for one in found
        ):
            why = explained(order, rules.erp_side(seen.fields))
            if why is not None:
                self._steps.log(f"Every net amount agrees to the cent. {why}.")
                self._steps.note(NOTICE, why)
                return "only the rounding of tax differs"
        sentences = [f"{one}." for one in found]
        rounding = all(one.only_rounding for one in found)
        if self._accepted("difference") or (
            rounding and self._settings.transfer.tax_rounding == "erp"
        ):
            self._steps.log("Taken with the ERP's amounts: " + " ".join(sentences))
            return "the ERP's amounts are taken"
        if state not in ("draft", "quotation"):
            raise Held(
                f"the ERP has this order as {seen.fields.get('number')} already, and otherwise: "
                f"{found[0]}",
                details=sentences,
                remedy="Compare both, and to take it as it is: "
                f"koppel order retry {self._steps.row.id[:8]} --accept difference",
            )
        self._remove(seen)
        self._begin_anew()
        hint = " (only the rounding of tax differs)" if rounding else ""
        raise Held(
            f"the ERP reckons otherwise{hint}: {found[0]}",
            details=sentences,
            remedy="Correct it in the CRM or the ERP and try again, or take the ERP's amounts: "
            f"koppel order retry {self._steps.row.id[:8]} --accept difference",
        )

    def _remove(self, seen: Record) -> None:
        """Take a draft out of the ERP again: nothing half made stays."""
        self._answered = None
        self._steps.firm()
        outcome = written(
            self._systems.erp,
            Delete(
                resource=seen.resource,
                key=f"{self._steps.row.key}-away-{seen.id}",
                id=seen.id,
                expected=seen.version,
            ),
        )
        if isinstance(outcome, Refused) and outcome.reason != "missing":
            self._steps.log(f"The draft {seen.id} could not be removed: {outcome.message}")

    def _act(self, erp: str, action: str, states: tuple[str, ...]) -> str:
        seen = self._seen(erp)
        if str(seen.fields.get("state")) not in states:
            return str(seen.fields.get("state"))
        questions = [one for one in self._steps.row.accepted if one not in _OWN_QUESTIONS]
        outcome = written(
            self._systems.erp,
            Act(
                resource=seen.resource,
                key=f"{self._steps.row.key}-{action}-{seen.version}-{len(questions)}",
                id=erp,
                action=action,
                expected=None,
                fields={"accept": questions} if questions else {},
            ),
        )
        if isinstance(outcome, Refused):
            raise self._refused(outcome)
        self._answer(outcome)
        after = outcome.after
        state = str(after.fields.get("state")) if isinstance(after, Record) else action
        number = str(after.fields.get("number") or "") if isinstance(after, Record) else ""
        self._steps.log(f"The order {number} is {state} in the ERP.".replace("  ", " "))
        return state

    def _answer(self, outcome: Written) -> None:
        """Keep what the ERP read back a moment ago: the next step need not ask for it again."""
        self._answered = outcome.after if isinstance(outcome.after, Record) else None

    def _seen(self, erp: str) -> Record:
        if self._answered is not None and self._answered.id == erp:
            return self._answered
        seen = self._systems.erp.fetch(self._settings.erp_resource, [erp])[erp]
        if isinstance(seen, Gone):
            self._begin_anew()
            raise Held(
                "the order was removed from the ERP while it was handed over",
                remedy=f"To hand it over again: koppel order retry {self._steps.row.id[:8]}",
            )
        return seen

    def _begin_anew(self) -> None:
        """The order is not in the ERP any more: another one gets another key."""
        self._store.processes.save(self._steps.row, key=next_key(self._steps.row.key))
        self._steps.forget(*BEFORE_THE_ERP, MAKE, COMPARE, QUOTE, CONFIRM)

    # Back.

    def _take_back(self, erp: str, version: str) -> dict[str, Any]:
        seen = self._seen(erp)
        today = self._store.clock().date()
        told = self._settings.steps.shown(rules.response(erp, seen.fields, today))
        link = self._store.orders.put(
            key=self._steps.row.key,
            trace=self._steps.row.trace,
            crm_resource=self.resource,
            crm_id=self.record,
            crm_version=version,
            erp_id=erp,
            erp_party=told.partner,
            note=f"{self._steps.noted(NOTICE)}." if self._steps.noted(NOTICE) else "",
        )
        self._store.orders.seen(link, seen.version, told)
        return {"number": told.number, "state": told.state}

    def _tell(self) -> str:
        link = self._store.orders.of_crm(self.resource, self.record)
        if link is None:
            raise Defect("a transferred order has no link", place=self._steps.row.id)
        told = status_of(link)
        if told is not None:
            Records(self._systems).follow(link, told)
        return tell_crm(self._systems, link, self._read_record)

    def _accepted(self, question: str) -> bool:
        return question in self._steps.row.accepted


_OWN_QUESTIONS = ("decision", "difference", "again")
"""What a person accepts towards Koppel; anything else answers a question of the ERP."""


def order_of(snapshot: Any) -> Order | None:
    """The order as a process read it."""
    if snapshot is None:
        return None
    order, _record = typed.from_json(bytes(snapshot))
    return typed.convert(order, Order, strict=False)
