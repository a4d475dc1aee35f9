"""One version per whole record: the record itself and everything that belongs to it.

Tryton stamps each row alone: an address, a phone number, an identifier or a bank account that
changes leaves the stamp of its party as it was, and a deleted one leaves no trace at all. The
version is a digest over id and stamp of every row, so it moves with each of these.
"""

from collections import defaultdict
from functools import reduce
from hashlib import blake2b
from operator import or_

from sql import Column
from sql.conditionals import Coalesce
from trytond.model import fields
from trytond.pool import Pool
from trytond.tools import grouped_slice
from trytond.transaction import Transaction

CHILDREN = (
    ("party.address", "party"),
    ("party.contact_mechanism", "party"),
    ("party.identifier", "party"),
    ("party.party-party.category", "party"),
    ("bank.account-party.party", "owner"),
)
"""Models that belong to a party, with their field that names it; absent modules do not count."""

CONTACT_USAGE = "koppel_contact"
"""Marks the relation type that leads from a contact person to the company."""

SLICE = 1_000
"""Ids per query."""


def _stamp(table):
    return Coalesce(table.write_date, table.create_date)


def sources():
    """Yield (tag, from item, owner, table, detail) for each table that a party consists of.

    The owner is the column of the party's id; the detail goes into the version with the stamp.
    """
    pool = Pool()
    party = pool.get("party.party").__table__()
    yield "party", party, party.id, party, party.id
    for name, field in CHILDREN:
        try:
            table = pool.get(name).__table__()
        except KeyError:
            continue
        yield f"{name},{field}", table, getattr(table, field), table, table.id
    yield from _relations(pool)
    try:
        link = pool.get("bank.account-party.party").__table__()
    except KeyError:
        return
    account = pool.get("bank.account").__table__()
    number = pool.get("bank.account.number").__table__()
    yield (
        "bank.account",
        link.join(account, condition=link.account == account.id),
        link.owner,
        account,
        account.id,
    )
    yield (
        "bank.account.number",
        link.join(number, condition=link.account == number.account),
        link.owner,
        number,
        number.id,
    )


def _relations(pool):
    """A relation belongs to one of its two parties: a company does not move with its contacts.

    It is the party at its start, unless the relation was made from the other end of a type that
    says of itself that it leads from a contact person to the company.
    """
    try:
        type_model = pool.get("party.relation.type")
    except KeyError:
        return
    backward = [
        type_.reverse.id
        for type_ in type_model.search([("reverse", "!=", None)])
        if CONTACT_USAGE in (type_.usages or ())
    ]
    compare = fields.SQL_OPERATORS["in"], fields.SQL_OPERATORS["not in"]
    for way, (near, far) in enumerate((("to", "from_"), ("from_", "to"))):
        table = pool.get("party.relation").__table__()
        chosen = table.select(
            table.id,
            Column(table, near).as_("near"),
            # Merging two companies moves a relation to the other one without a stamp.
            Column(table, far).as_("far"),
            table.create_date,
            table.write_date,
            where=compare[way](table.type, backward),
        )
        if backward or way:
            yield f"party.relation,{near}", chosen, chosen.near, chosen, chosen.far


def versions(ids):
    """Give {id: (version, newest stamp)}; ids that do not exist are left out.

    One query per table and slice of ids, whatever their number.
    """
    within = fields.SQL_OPERATORS["in"]
    cursor = Transaction().connection.cursor()
    rows, newest = defaultdict(list), {}
    for sub_ids in grouped_slice(ids, SLICE):
        sub_ids = list(sub_ids)
        for tag, from_, owner, table, detail in sources():
            query = from_.select(
                owner,
                table.id,
                _stamp(table),
                detail,
                where=within(owner, sub_ids),
                order_by=[owner, table.id],
            )
            cursor.execute(*query)
            for party, row_id, stamp, told in cursor:
                stamp = str(stamp)
                rows[party].append(f"{tag},{row_id},{stamp},{told}")
                if stamp > newest.get(party, ""):
                    newest[party] = stamp
    return {
        party: (blake2b("\n".join(lines).encode(), digest_size=8).hexdigest(), newest[party])
        for party, lines in rows.items()
        if lines[0].startswith("party,")
    }


def changed(operator, value):
    """A query of the parties of which any row's stamp is `operator` (">" or ">=") value."""
    compare = fields.SQL_OPERATORS[operator]
    return reduce(
        or_,
        (
            from_.select(owner, where=compare(_stamp(table), value))
            for _, from_, owner, table, _ in sources()
        ),
    )
