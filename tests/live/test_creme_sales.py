"""Products, quotes, orders, invoices and opportunities of a real Creme, through its add-on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from koppel.connectors.base import (
    Act,
    Change,
    Create,
    Delete,
    Gone,
    Outcome,
    Record,
    Refused,
    Update,
    Written,
)
from koppel.connectors.creme import CremeConnector
from koppel.errors import NeedsUser
from lab.creme_seller import CremeSeller
from lab.system import Running
from tests.live.creme_inside import inside

pytestmark = pytest.mark.creme

QUOTE, ORDER, INVOICE, NOTE = (
    "billing.quote",
    "billing.salesorder",
    "billing.invoice",
    "billing.creditnote",
)
ORGANISATION, PRODUCT, OPPORTUNITY = (
    "persons.organisation",
    "products.product",
    "opportunities.opportunity",
)
numbers = count(1)


@pytest.fixture(scope="module")
def connector(creme: Running) -> Iterator[CremeConnector]:
    made = CremeConnector(creme.url, creme.koppel["token"])
    yield made
    made.close()


@pytest.fixture(scope="module")
def clara(creme: Running) -> Iterator[CremeSeller]:
    human = CremeSeller.salesperson(creme, "clara")
    yield human
    human.close()


def write(connector: CremeConnector, wish: Any) -> Outcome:
    (outcome,) = connector.write([wish])
    return outcome


def record(outcome: Outcome) -> Record:
    assert isinstance(outcome, Written), outcome
    assert isinstance(outcome.after, Record)
    return outcome.after


def creating(connector: CremeConnector, resource: str, **fields: Any) -> Outcome:
    key = f"sales-{id(connector)}-{next(numbers)}"
    return write(connector, Create(resource=resource, key=key, fields=fields))


def create(connector: CremeConnector, resource: str, **fields: Any) -> Record:
    return record(creating(connector, resource, **fields))


def update(connector: CremeConnector, there: Record, **fields: Any) -> Outcome:
    return write(
        connector,
        Update(
            resource=there.resource,
            key=f"sales-{id(connector)}-{next(numbers)}",
            id=there.id,
            expected=there.version,
            fields=fields,
        ),
    )


def seen(connector: CremeConnector, there: Record) -> Record:
    found = connector.fetch(there.resource, [there.id])[there.id]
    assert isinstance(found, Record)
    return found


@pytest.fixture(scope="module")
def customer(connector: CremeConnector) -> Record:
    return create(
        connector,
        ORGANISATION,
        name=f"Kunde {next(numbers)}",
        billing_address={"address": "Weg 1", "city": "Ulm"},
    )


@pytest.fixture(scope="module")
def pump(connector: CremeConnector) -> Record:
    return create(
        connector,
        PRODUCT,
        name="Pumpe",
        erp_code=f"P-{next(numbers)}",
        unit_price=Decimal("12.50"),
        unit="C62",
    )


@pytest.fixture
def quote(connector: CremeConnector, customer: Record, pump: Record) -> Record:
    return create(
        connector,
        QUOTE,
        name=f"Angebot {next(numbers)}",
        target=customer.id,
        currency="EUR",
        lines=[
            {"product": pump.id, "quantity": Decimal(3), "vat": Decimal(19)},
            {
                "on_the_fly_item": "Fracht",
                "quantity": Decimal(1),
                "unit_price": Decimal("9.99"),
                "vat": Decimal(7),
            },
        ],
    )


# Documents.


def test_a_quote_has_all_that_an_order_needs(
    connector: CremeConnector, customer: Record, pump: Record
) -> None:
    made = create(
        connector,
        QUOTE,
        name="Pumpen",
        target=customer.id,
        currency="CHF",
        discount=Decimal("5"),
        issuing_date=date(2026, 11, 25),
        expiration_date=date(2026, 12, 24),
        customer_reference="B-4711",
        requested_date=date(2026, 12, 1),
        incoterm="DAP",
        comment="Bitte eilig",
        shipping_address={"address": "Tor 3", "zipcode": "89073", "city": "Ulm"},
        lines=[
            {
                "product_code": pump.fields["erp_code"],
                "quantity": Decimal(3),
                "discount": Decimal(10),
                "vat": Decimal("19.00"),
            }
        ],
    )
    fields = made.fields
    assert fields["number"].startswith("QUO-")
    assert (fields["currency"], fields["incoterm"]) == ("CHF", "DAP")
    assert (fields["customer_reference"], fields["requested_date"]) == (
        "B-4711",
        date(2026, 12, 1),
    )
    assert (fields["target"], fields["target_contact"]) == (customer.id, None)
    assert fields["billing_address"]["city"] == "Ulm", "Creme copies the customer's"
    assert fields["shipping_address"]["address"] == "Tor 3"
    (line,) = fields["lines"]
    assert (line["product"], line["product_code"]) == (pump.id, pump.fields["erp_code"])
    assert (line["name"], line["unit"], line["unit_price"]) == ("Pumpe", "C62", Decimal("12.50"))
    # 37.50 less 10 % and less 5 % on the whole: 32.0625, tax of the rounded net.
    assert (line["total_no_vat"], line["total_vat"]) == (Decimal("32.06"), Decimal("38.15"))
    assert (fields["total_no_vat"], fields["total_vat"]) == (Decimal("32.06"), Decimal("38.15"))
    assert seen(connector, made) == made


def test_an_address_that_creme_makes_up_is_none(quote: Record) -> None:
    assert quote.fields["shipping_address"] is None


def test_totals_are_reckoned_by_creme_when_lines_or_the_discount_change(
    connector: CremeConnector, quote: Record
) -> None:
    assert (quote.fields["total_no_vat"], quote.fields["total_vat"]) == (
        Decimal("47.49"),
        Decimal("55.32"),
    )
    pumps, freight = quote.fields["lines"]
    after = record(
        update(
            connector,
            quote,
            lines=[{"id": pumps["id"], "quantity": Decimal(4)}, {"id": freight["id"]}],
        )
    )
    assert after.fields["total_no_vat"] == Decimal("59.99")
    assert after.fields["lines"][1] == freight
    after = record(update(connector, after, discount=Decimal(50)))
    assert after.fields["total_no_vat"] == Decimal("30.00"), "25.00 and 4.995 rounded half up"
    refused = update(connector, after, total_vat=Decimal(1))
    assert isinstance(refused, Refused)
    assert refused.fields == ("total_vat",)


def test_another_product_makes_another_line_in_the_same_place(
    connector: CremeConnector, quote: Record
) -> None:
    valve = create(connector, PRODUCT, name="Ventil", erp_code="V-1", unit_price=Decimal(2))
    pumps, freight = quote.fields["lines"]
    after = record(
        update(
            connector,
            quote,
            lines=[{"id": pumps["id"], "product": valve.id}, {"id": freight["id"]}],
        )
    )
    first, second = after.fields["lines"]
    assert second == freight
    assert first["id"] != pumps["id"]
    assert (first["product"], first["quantity"]) == (valve.id, pumps["quantity"])
    assert first["unit_price"] == pumps["unit_price"], "what is not told stays"


def test_lines_stand_as_they_are_given(connector: CremeConnector, quote: Record) -> None:
    pumps, freight = quote.fields["lines"]
    after = record(update(connector, quote, lines=[{"id": freight["id"]}, {"id": pumps["id"]}]))
    assert [line["id"] for line in after.fields["lines"]] == [freight["id"], pumps["id"]]
    after = record(update(connector, after, lines=[]))
    assert after.fields["lines"] == []
    assert after.fields["total_vat"] == 0


@pytest.mark.parametrize(
    ("line", "blamed"),
    [
        ({"on_the_fly_item": "x", "vat": Decimal(17)}, "lines.vat"),
        ({"on_the_fly_item": "x", "discount": Decimal(101)}, ""),
        ({"on_the_fly_item": "x" * 101}, "lines.on_the_fly_item"),
        ({"product_code": "none such"}, "lines.product_code"),
        ({"product": "999999"}, "lines.product"),
        ({"quantity": Decimal(1)}, "lines.product"),
        ({"on_the_fly_item": "x", "total_vat": Decimal(1)}, "lines.total_vat"),
        ({"on_the_fly_item": "x", "colour": "red"}, "lines.colour"),
        ({"on_the_fly_item": "x", "id": "1"}, "lines"),
        ({"on_the_fly_item": "x", "discount_unit": "pounds"}, "lines.discount_unit"),
    ],
)
def test_a_wrong_line_is_refused_and_the_whole_document_with_it(
    connector: CremeConnector, customer: Record, line: dict[str, Any], blamed: str
) -> None:
    cursor = connector.now(QUOTE)
    good = {"on_the_fly_item": "gut", "unit_price": Decimal(1)}
    outcome = creating(connector, QUOTE, name="Q", target=customer.id, lines=[good, line])
    assert isinstance(outcome, Refused), outcome
    assert outcome.reason == "invalid"
    assert outcome.fields == ((blamed,) if blamed else ())
    assert connector.changes(QUOTE, cursor, 10).changes == ()


def test_a_document_needs_a_target(connector: CremeConnector, quote: Record) -> None:
    outcome = creating(connector, QUOTE, name="Q")
    assert isinstance(outcome, Refused)
    assert outcome.fields == ("target",)
    outcome = update(connector, quote, target=None)
    assert isinstance(outcome, Refused)
    assert outcome.fields == ("target",)


def test_another_target_brings_its_addresses(connector: CremeConnector, quote: Record) -> None:
    other = create(connector, ORGANISATION, name="Andere", billing_address={"city": "Köln"})
    after = record(update(connector, quote, target=other.id))
    assert after.fields["target"] == other.id
    assert after.fields["billing_address"]["city"] == "Köln"
    assert [line["id"] for line in after.fields["lines"]] == [
        line["id"] for line in quote.fields["lines"]
    ]


def test_a_quote_may_be_for_a_contact(connector: CremeConnector) -> None:
    person = create(connector, "persons.contact", last_name="Öz", first_name="Zoë")
    made = create(connector, QUOTE, name="Q", target_contact=person.id)
    assert (made.fields["target"], made.fields["target_contact"]) == (None, person.id)
    assert [one.id for one in connector.find(QUOTE, {"target_contact": person.id})] == [made.id]


def test_an_invoice_of_the_erp_keeps_its_number(
    connector: CremeConnector, customer: Record, pump: Record
) -> None:
    line = {"product": pump.id, "quantity": Decimal(1), "vat": Decimal(19)}
    for resource in (INVOICE, NOTE):
        made = create(
            connector,
            resource,
            name="Rechnung",
            number=f"RE-{resource}",
            target=customer.id,
            issuing_date=date(2026, 11, 25),
            expiration_date=date(2026, 12, 25),
            lines=[line],
        )
        assert made.fields["number"] == f"RE-{resource}"
        assert made.fields["total_vat"] == Decimal("14.88")
        status = next(d for d in connector.describe() if d.name == resource).field("status")
        assert status is not None
        for choice in status.choices[:2]:
            made = record(update(connector, made, status=choice.value))
            assert made.fields["status"] == choice.value


def test_a_document_goes_to_the_trash_and_comes_back_with_its_lines(
    connector: CremeConnector, quote: Record
) -> None:
    cursor = connector.now(QUOTE)
    outcome = write(
        connector,
        Delete(resource=QUOTE, key=f"d-{quote.id}-{id(connector)}", id=quote.id, expected=None),
    )
    assert isinstance(outcome, Written)
    assert isinstance(outcome.after, Gone)
    assert outcome.after.trashed
    (change,) = connector.changes(QUOTE, cursor, 10).changes
    assert change.gone
    back = record(
        write(
            connector,
            Act(resource=QUOTE, key=f"r-{quote.id}-{id(connector)}", id=quote.id, action="restore"),
        )
    )
    assert back.fields["lines"] == quote.fields["lines"]


def test_two_customers_merged_move_their_documents(
    connector: CremeConnector, clara: CremeSeller
) -> None:
    kept, lost = (create(connector, ORGANISATION, name=f"Doppelt {n}") for n in (1, 2))
    made = create(connector, QUOTE, name="Q", target=lost.id)
    cursor = connector.now(QUOTE)
    clara.merge(ORGANISATION, lost.id, kept.id)
    (change,) = connector.changes(QUOTE, cursor, 10).changes
    assert change.id == made.id
    assert seen(connector, made).fields["target"] == kept.id


# People.


def test_what_a_salesperson_writes_is_read_line_by_line(
    connector: CremeConnector, clara: CremeSeller, customer: Record, pump: Record
) -> None:
    id = clara.create(
        QUOTE,
        {
            "name": "Claras Angebot",
            "target": customer.id,
            "customer_reference": "R-7",
            "incoterm": "EXW",
            "lines": [
                {"product": pump.id, "quantity": Decimal(2), "vat": Decimal(19)},
                {
                    "on_the_fly_item": "Zuschlag",
                    "quantity": Decimal(1),
                    "unit_price": Decimal("4.20"),
                    "vat": Decimal(7),
                },
            ],
        },
    )
    found = connector.fetch(QUOTE, [id])[id]
    assert isinstance(found, Record)
    assert found.fields["user"] == "clara"
    assert (found.fields["customer_reference"], found.fields["incoterm"]) == ("R-7", "EXW")
    assert [(one["name"], one["total_no_vat"]) for one in found.fields["lines"]] == [
        ("Pumpe", Decimal("25.00")),
        ("Zuschlag", Decimal("4.20")),
    ]


@pytest.mark.parametrize("what", ["edit", "add", "remove", "status"])
def test_whatever_she_does_to_a_quote_is_in_its_feed(
    connector: CremeConnector, clara: CremeSeller, quote: Record, what: str
) -> None:
    cursor = connector.now(QUOTE)
    line = quote.fields["lines"][0]["id"]
    match what:
        case "edit":
            clara.edit_line(QUOTE, quote.id, line, {"quantity": Decimal(9)})
        case "add":
            clara.add_line(QUOTE, quote.id, {"on_the_fly_item": "Neu", "unit_price": Decimal(1)})
        case "remove":
            clara.delete_line(QUOTE, quote.id, line)
        case _:
            clara.set_status(QUOTE, quote.id, "Accepted")
    after = seen(connector, quote)
    assert after.version != quote.version
    (change,) = connector.changes(QUOTE, cursor, 10).changes
    assert change == Change(id=quote.id, version=after.version, at=change.at, by="clara")
    stale = update(connector, quote, comment="zu spät")
    assert isinstance(stale, Refused)
    assert stale.reason == "stale"


def test_an_order_made_from_a_quote_remembers_it_and_takes_what_the_customer_asked_for(
    connector: CremeConnector, clara: CremeSeller, quote: Record
) -> None:
    asked = {
        "customer_reference": "B-9",
        "requested_date": date(2026, 12, 24),
        "incoterm": "DDP",
    }
    quote = record(update(connector, quote, erp_number="SO-1", **asked))
    id = clara.convert_to_order(quote.id)
    order = connector.fetch(ORDER, [id])[id]
    assert isinstance(order, Record)
    assert order.fields["converted_from"] == quote.id
    assert {name: order.fields[name] for name in asked} == asked
    assert order.fields["erp_number"] is None
    assert order.fields["total_vat"] == quote.fields["total_vat"]
    assert [one.id for one in connector.find(ORDER, {"converted_from": quote.id})] == [id]
    outcome = update(connector, order, converted_from=None)
    assert isinstance(outcome, Refused)
    again = connector.fetch(ORDER, [clara.clone(ORDER, id)])
    for copy in (*again.values(), *connector.fetch(QUOTE, [clara.clone(QUOTE, quote.id)]).values()):
        assert isinstance(copy, Record)
        assert copy.fields["erp_number"] is None
        assert copy.fields.get("converted_from") is None
        assert copy.fields["customer_reference"] == "B-9"


def test_an_opportunity_is_read_and_never_written(
    connector: CremeConnector, clara: CremeSeller, creme: Running, customer: Record
) -> None:
    made = inside(
        creme,
        "from creme.opportunities import get_opportunity_model\n"
        "from creme.opportunities.models import SalesPhase\n"
        "from creme.persons import get_organisation_model\n"
        "from creme.creme_core.models import CremeUser\n"
        "orga = get_organisation_model().objects\n"
        "answer = get_opportunity_model().objects.create(\n"
        "    user=CremeUser.objects.get(username='clara'), name='Neubau', estimated_sales=5000,\n"
        "    sales_phase=SalesPhase.objects.first(), emitter=orga.filter(is_managed=True)[0],\n"
        "    target=orga.get(pk=int(customer))).pk",
        customer=customer.id,
    )
    found = connector.fetch(OPPORTUNITY, [str(made)])[str(made)]
    assert isinstance(found, Record)
    assert (found.fields["name"], found.fields["target"]) == ("Neubau", customer.id)
    assert found.fields["estimated_sales"] == 5000
    assert not connector.capabilities(OPPORTUNITY).writable
    outcome = update(connector, found, name="Umbau")
    assert isinstance(outcome, Refused)
    assert outcome.reason == "forbidden"


def test_who_may_not_use_billing_is_told_so_and_partners_go_on(creme: Running) -> None:
    token = inside(
        creme,
        "from creme.creme_core.auth.entity_credentials import EntityCredentials as Rights\n"
        "from creme.creme_core.models import CremeUser, SetCredentials, UserRole\n"
        "from koppel_creme.tokens import new_token\n"
        "from creme.persons import get_contact_model, get_organisation_model\n"
        "role = UserRole.objects.smart_create(name='Partners only', creatable_models=[\n"
        "    get_contact_model(), get_organisation_model()])\n"
        "role.allowed_apps = ['persons']\n"
        "role.save()\n"
        "SetCredentials.objects.create(role=role, set_type=SetCredentials.ESET_ALL,\n"
        "    value=Rights.VIEW | Rights.CHANGE | Rights.DELETE | Rights.LINK | Rights.UNLINK)\n"
        "answer = new_token(CremeUser.objects.create_user(username='partners', first_name='P',\n"
        "    last_name='P', email='p@nordwerk.example', password='p', role=role))",
    )
    connector = CremeConnector(creme.url, token)
    health = connector.check()
    assert health.ok, health
    assert "The Creme user partners may not access billing.quote." in health.messages
    assert connector.now(ORGANISATION)
    with pytest.raises(NeedsUser) as caught:
        connector.now(QUOTE)
    assert "this right" in caught.value.remedy
    connector.close()
