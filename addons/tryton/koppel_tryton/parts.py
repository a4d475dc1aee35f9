"""One version per whole document: the document and all the rows that it is made of.

What belongs to a document is told as a tree of `Part`: a sale has lines, a line has stock moves and
invoice lines, these have shipments and invoices, and so on. Walking down from documents gives their
versions; walking up from the rows with a new stamp gives the documents that have changed.

A due date that passes is a change too, though nothing is written then: see `Part.due`.
"""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import blake2b
from zoneinfo import ZoneInfo

from sql import Column, Null, Select
from sql.aggregate import Count, Max, Sum
from sql.conditionals import Coalesce
from sql.functions import CurrentTimestamp
from trytond.model import fields
from trytond.pool import Pool
from trytond.tools import grouped_slice
from trytond.transaction import Transaction

SLICE = 1_000
"""Values per query."""


@dataclass(frozen=True)
class Part:
    """Rows of `model` that belong to the rows of the part above: `column` equals its `of`.

    A column of references carries the name of a model before the id: `prefix` in this part's
    column, `above` in that of the part above.
    """

    model: str
    column: str = "id"
    of: str = "id"
    prefix: str = ""
    above: str = ""
    due: bool = False
    """Only rows with a due date; one that passes unpaid counts as a change."""
    summed: bool = False
    """There may be very many rows: count them instead of telling each."""
    parts: tuple["Part", ...] = field(default=())

    @property
    def wanted(self):
        """The columns that the parts below need."""
        return sorted({part.of for part in self.parts} - {"id"})


def known(part):
    """The same tree without what this database does not have."""
    pool = Pool()
    try:
        pool.get(part.model)
    except KeyError:
        return None
    below = tuple(found for found in map(known, part.parts) if found is not None)
    return Part(
        part.model, part.column, part.of, part.prefix, part.above, part.due, part.summed, below
    )


def clock():
    """The moment of this transaction as the database stamps it, naive."""
    cursor = Transaction().connection.cursor()
    cursor.execute(*Select([CurrentTimestamp().as_("now")]))
    (moment,) = cursor.fetchone()
    if isinstance(moment, str):
        moment = dt.datetime.fromisoformat(moment)
    return moment.replace(tzinfo=None)


def _zone():
    """The zone in which due dates pass: that of the company, else the server's own."""
    pool = Pool()
    company = Transaction().context.get("company")
    if company is not None:
        name = pool.get("company.company")(company).timezone
        if name:
            return ZoneInfo(name)
    return None


def _today():
    return dt.datetime.now(_zone()).date()


def _passed(due, zone):
    """The moment at which a due date passes, as the database would stamp it."""
    start = dt.datetime.combine(due + dt.timedelta(days=1), dt.time(), zone)
    return start.astimezone().replace(tzinfo=None)


def _stamp(table):
    return Coalesce(table.write_date, table.create_date)


def _select(part, table, where):
    if part.due:
        where &= table.maturity_date != Null
    column = Column(table, part.column)
    if part.summed:
        return table.select(
            column, Count(table.id), Sum(table.id), Max(_stamp(table)),
            where=where, group_by=column,
        )  # fmt: skip
    columns = [column, table.id, _stamp(table)]
    if part.due:
        columns += [table.maturity_date, table.reconciliation]
    columns += [Column(table, name) for name in part.wanted]
    return table.select(*columns, where=where)


def _table(part):
    return Pool().get(part.model).__table__()


def versions(root, ids):
    """Give {id: (version, newest stamp)}; ids that do not exist are left out."""
    found, newest = defaultdict(set), {}
    zone, today = _zone(), _today()

    def note(owners, told, stamp):
        for owner in owners:
            found[owner].add(told)
            if stamp > newest.get(owner, ""):
                newest[owner] = stamp

    def walk(part, owners):
        """`owners`: which documents a value of the part's column belongs to."""
        below = [defaultdict(set) for _ in part.parts]
        table = _table(part)
        cursor = Transaction().connection.cursor()
        within = fields.SQL_OPERATORS["in"]
        for values in grouped_slice(list(owners), SLICE):
            values = [f"{part.prefix}{value}" if part.prefix else value for value in values]
            cursor.execute(*_select(part, table, within(Column(table, part.column), values)))
            for row in cursor.fetchall():
                value = _plain(row[0], part.prefix)
                mine = owners[value]
                if part.summed:
                    note(mine, f"{part.model},{row[1]},{row[2]},{row[3]}", str(row[3]))
                    continue
                note(mine, f"{part.model},{row[1]},{row[2]}", str(row[2]))
                rest = row[3:]
                if part.due:
                    due, paid = rest[:2]
                    rest = rest[2:]
                    due = due if isinstance(due, dt.date) else dt.date.fromisoformat(due)
                    if paid is None and due < today:
                        note(mine, f"due,{row[1]}", str(_passed(due, zone)))
                told = {"id": row[1], **dict(zip(part.wanted, rest, strict=True))}
                for place, child in zip(below, part.parts, strict=True):
                    link = _plain(told[child.of], child.above)
                    if link is not None:
                        place[link] |= mine
        for place, child in zip(below, part.parts, strict=True):
            if place:
                walk(child, place)

    tree = known(root)
    walk(tree, {id_: {id_} for id_ in ids})
    return {
        id_: (
            blake2b("\n".join(sorted(found[id_])).encode(), digest_size=8).hexdigest(),
            newest[id_],
        )
        for id_ in ids
        if id_ in found
    }


def _plain(value, prefix):
    """The id in a reference to that model; None for a reference to another."""
    if not prefix or value is None:
        return value
    return int(value[len(prefix) :]) if value.startswith(prefix) else None


def changed(root, since):
    """The ids of the documents of which any row's stamp is `since` or later."""
    zone, today = _zone(), _today()
    late = since.astimezone(zone).date() if zone else since.date()

    def rows(part):
        """The changed rows of this part itself: the ids."""
        table = _table(part)
        where = _stamp(table) >= since
        if part.due:
            passed = (
                (table.reconciliation == Null)
                & (table.maturity_date >= late)
                & (table.maturity_date < today)
            )
            where |= passed
        return _ids(table.select(table.id, where=where))

    def walk(part):
        """All ids of this part's rows that have changed, or of which something below has."""
        numbers = rows(part)
        for child in part.parts:
            below = walk(child)
            if below:
                numbers |= _above(part, child, below)
        return numbers

    return walk(known(root))


def _above(part, child, numbers):
    """The ids of the rows to which rows of the part below belong."""
    within = fields.SQL_OPERATORS["in"]
    table = _table(child)
    links = set(numbers)
    if child.column != "id":
        links = set()
        for some in grouped_slice(list(numbers), SLICE):
            query = table.select(Column(table, child.column), where=within(table.id, list(some)))
            links |= {_plain(value, child.prefix) for value in _ids(query)}
        links.discard(None)
    if child.of == "id":
        return links
    above = _table(part)
    found = set()
    for some in grouped_slice(list(links), SLICE):
        values = [f"{child.above}{link}" if child.above else link for link in some]
        found |= _ids(above.select(above.id, where=within(Column(above, child.of), values)))
    return found


def _ids(query):
    cursor = Transaction().connection.cursor()
    cursor.execute(*query)
    return {row[0] for row in cursor.fetchall()}
