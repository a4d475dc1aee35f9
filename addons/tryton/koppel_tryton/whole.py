"""Several questions as one: a sale with what came of it, a customer with its standing.

Each is answered by the same `search_read` and `read` that a client would call one after the other,
with the user's own rights.
"""

from trytond.pool import Pool
from trytond.transaction import Transaction, inactive_records

SALE, SHIPMENT, INVOICE = "sale.sale", "stock.shipment.out", "account.invoice"


def sales(domain, limit, names):
    """Sales by id with their deliveries and invoices, and the credit notes of these.

    `names` are the fields to read of each of the three models; the sales' must hold `lines.moves`
    and `lines.invoice_lines`. Gives {"rows": [..], "shipments": [..], "invoices": [..]}.
    """
    with inactive_records():
        return _sales(domain, limit, names)


def _sales(domain, limit, names):
    rows = _read(SALE, domain, names, limit)
    lines = [line for row in rows for line in row["lines."]]
    shipments = {
        int(move["shipment"].partition(",")[2])
        for line in lines
        for move in line["moves."]
        if (move["shipment"] or "").startswith(f"{SHIPMENT},")
    }
    billed = sorted(
        {bill["invoice"] for line in lines for bill in line["invoice_lines."] if bill["invoice"]}
    )
    credits = ("lines.origin.invoice", "in", billed, "account.invoice.line")
    wanted = ["OR", ("id", "in", billed), [("type", "=", "out"), credits]]
    return {
        "rows": rows,
        "shipments": _read(SHIPMENT, [("id", "in", sorted(shipments))], names) if shipments else [],
        "invoices": _read(INVOICE, wanted, names) if billed else [],
    }


def _read(model, domain, names, limit=None):
    return (
        Pool()
        .get(model)
        .search_read(domain, limit=limit, order=[("id", "ASC")], fields_names=list(names[model]))
    )


def standing(party):
    """Level of the customer's reminders, and whether they block it."""
    try:
        dunning = Pool().get("account.dunning")
    except KeyError:
        return {"dunning_level": 0, "blocked": False}
    rows = dunning.search([("party", "=", party.id), ("state", "!=", "draft")])
    stops = (getattr(row.level, "credit_limit", False) and not row.blocked for row in rows)
    level = max((row.level.sequence or 0 for row in rows), default=0)
    return {"dunning_level": level, "blocked": any(stops)}


def credit(party):
    """What counts against the customer's limit, and the limit; None where Tryton has no such."""
    return {
        "credit_limit": getattr(party, "credit_limit_amount", None),
        "exposure": getattr(party, "credit_amount", None),
    }


def work_off(before):
    """Process now the sales that this call has put into Tryton's queue; is anything else left?

    Without a worker Tryton does so itself after the call and before its answer. Done within, the
    answer tells of it, and what stands against it refuses the call with a sentence for people
    instead of a line in the administrator's list. `before`: what was in the queue already.
    """
    queue, tasks = Pool().get("ir.queue"), Transaction().tasks
    kept = set(before)
    while ours := [id_ for id_ in tasks if id_ not in kept]:
        with Transaction().set_user(0), Transaction().reset_context():
            task = queue(ours[0])
            if task.data["model"] == SALE and task.data["method"] == "process":
                task.run()
                tasks.remove(task.id)
        kept.add(ours[0])
    return bool(set(tasks) - set(before))
