"""What a changed rule or mapping would do, reckoned from what was read last; nothing is written.

Coupled pairs are read once with the terms that are live and once with the changed ones: fields that
read otherwise, values that one side would receive, pairs that would fall asleep or wake. Uncoupled
records are matched anew under both: which would be coupled, asked about, or made in the other
system. Only what the change itself brings is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct, field

from koppel.connectors.base import Gone, Record
from koppel.engine.lines import Line
from koppel.engine.links import Links
from koppel.engine.pairing import pair
from koppel.mapping.compiled import Mapper
from koppel.mapping.faults import BadValue
from koppel.model import agree
from koppel.store import Store
from koppel.store.models import Replica
from koppel.store.values import CouplingRow
from koppel.sync.decide import decide
from koppel.sync.rule import SIDES, FieldRule, Rule, Side, holds, other
from koppel.sync.state import View

Kind = Literal["write", "read", "unreadable", "sleep", "wake", "couple", "ask", "create", "stay"]

EXAMPLES = 100
"""Effects of a kind that are named one by one; beyond that they are counted."""
LOOKED = 20_000
"""Coupled pairs that are looked at."""
WEIGHED = 5_000
"""Uncoupled records that are matched anew; where there are more, a plan has to tell."""
PAGE = 500


class Terms(Struct, frozen=True, kw_only=True):
    """A rule with the mappings of both sides."""

    rule: Rule
    mappers: Mapping[Side, Mapper]


class Effect(Struct, frozen=True, kw_only=True):
    """One thing that would become otherwise.

    `side`: where the value is written or read, or where the record is made. `at_once`: a conflict
    is open there and is settled by this; else with the record's next change.
    """

    kind: Kind
    label: str
    side: Side
    coupling: str = ""
    record: str = ""
    field: str = ""
    old: Any = None
    new: Any = None
    at_once: bool = False


class Foreseen(Struct, kw_only=True):
    """All effects. `too_many`: there are more uncoupled records than are matched for this."""

    effects: list[Effect] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    looked_at: int = 0
    of: int = 0
    weighed: int = 0
    too_many: bool = False

    def add(self, effect: Effect) -> None:
        """One more; counted in any case."""
        self.counts[effect.kind] += 1
        if self.counts[effect.kind] <= EXAMPLES:
            self.effects.append(effect)

    @property
    def more(self) -> int:
        """How many are counted and not named."""
        return self.counts.total() - len(self.effects)


def foresee(store: Store, before: Terms, after: Terms) -> Foreseen:
    """Everything that would become otherwise."""
    return _Foresight(store, before, after).all()


class _Foresight:
    def __init__(self, store: Store, before: Terms, after: Terms) -> None:
        self.store = store
        self.before = before
        self.after = after
        self.entity = after.rule.entity
        self.links = Links(store)
        self.remapped = [side for side in SIDES if before.mappers[side] is not after.mappers[side]]
        self.found = Foreseen(of=store.couplings.count(self.entity, "active"))

    def all(self) -> Foreseen:
        one, two = self.before.rule, self.after.rule
        names = changed_fields(one, two)
        if names or self.remapped or one.scope != two.scope:
            for row in self.store.couplings.each(self.entity):
                if self.found.looked_at >= LOOKED:
                    break
                if row.state in ("active", "dormant"):
                    self._pair(row, names)
        if (one.match, one.create, one.scope) != (two.match, two.create, two.scope):
            self._uncoupled()
        return self.found

    # coupled pairs

    def _pair(self, row: CouplingRow, names: set[str]) -> None:
        self.found.looked_at += row.state == "active"
        old = {side: self._read(self.before, side, row.base(side)) for side in SIDES}
        new = dict(old)
        for side in self.remapped:
            new[side] = self._read(self.after, side, row.base(side))
            if isinstance(new[side], BadValue) and not isinstance(old[side], BadValue):
                self._tell(row, "unreadable", side, "", None, str(new[side]))
        values = {s: v for s, v in new.items() if isinstance(v, Mapping)}
        was = {s: v for s, v in old.items() if isinstance(v, Mapping)}
        if len(values) < 2:
            return
        if self._scope(row, was, values) or row.state != "active":
            return
        for side in self.remapped:
            self._reads_otherwise(row, side, was.get(side, {}), values[side])
        self._writes(row, names, was, values)

    def _read(
        self, terms: Terms, side: Side, record: Record | Gone | None
    ) -> Mapping[str, Any] | BadValue | None:
        if not isinstance(record, Record):
            return None
        try:
            return terms.mappers[side].get(record, self.links.resolve(side))
        except BadValue as error:
            return error

    def _tell(
        self, row: CouplingRow, kind: Kind, side: Side, name: str, old: Any, new: Any,
        *, at_once: bool = False,
    ) -> None:  # fmt: skip
        self.found.add(
            Effect(
                kind=kind,
                label=row.label,
                side=side,
                coupling=row.id,
                field=name,
                old=old,
                new=new,
                at_once=at_once,
            )
        )

    def _scope(
        self,
        row: CouplingRow,
        was: Mapping[Side, Mapping[str, Any]],
        now: Mapping[Side, Mapping[str, Any]],
    ) -> bool:
        """Would the pair fall asleep or wake up? Then its fields do not travel."""
        for side in SIDES:
            inside = holds(self.after.rule.scope.get(side, ()), now[side])
            before = holds(self.before.rule.scope.get(side, ()), was.get(side, {}))
            if before and not inside and row.state == "active":
                self._tell(row, "sleep", side, "", None, None)
                return True
            if inside and not before and row.state == "dormant":
                self._tell(row, "wake", side, "", None, None)
                return True
        return False

    def _reads_otherwise(
        self, row: CouplingRow, side: Side, was: Mapping[str, Any], now: Mapping[str, Any]
    ) -> None:
        for name in dict.fromkeys((*was, *now)):
            if not agree(was.get(name), now.get(name)):
                self._tell(row, "read", side, name, was.get(name), now.get(name))

    def _writes(
        self,
        row: CouplingRow,
        names: set[str],
        was: Mapping[Side, Mapping[str, Any]],
        now: Mapping[Side, Mapping[str, Any]],
    ) -> None:
        wanted = names | ({*now["crm"], *now["erp"]} if self.remapped else set())
        before = {
            (name, side): value for name, side, _old, value in _received(self.before, wanted, was)
        }
        open_fields: Mapping[str, Any] | None = None
        for name, side, value, given in _received(self.after, wanted, now):
            if (name, side) in before and agree(before[name, side], given):
                continue
            if open_fields is None:
                open_fields = self.store.inbox.open_fields([row.id]).get(row.id, {})
            unit = _unit_of(self.after.rule, name)
            self._tell(row, "write", side, name, value, given, at_once=unit in open_fields)

    # uncoupled records

    def _uncoupled(self) -> None:
        replica = self.store.replica
        self.found.weighed = sum(replica.count(self.entity, side, coupled=False) for side in SIDES)
        if self.found.weighed > WEIGHED:
            self.found.too_many = True
            return
        before, after = _outcome(self, self.before), _outcome(self, self.after)
        for what in sorted(after.keys() - before.keys()):
            kind, side, crm, erp = what
            self.found.add(
                Effect(kind=kind, side=side, label=after[what], record=erp if crm == "" else crm)
            )
        for what in sorted(before.keys() - after.keys()):
            kind, side, crm, erp = what
            if kind == "create" and not any(_same_record(what, one) for one in after):
                record = erp if crm == "" else crm
                self.found.add(Effect(kind="stay", side=side, label=before[what], record=record))

    def label(self, side: Side, record: str) -> str:
        """The name of a record."""
        known = self.store.replica.get(self.entity, side, [record]).get(record)
        return known.label if known is not None else record


_What = tuple[Kind, Side, str, str]
"""Kind, side, CRM record, ERP record; an empty one where there is none yet."""


def _outcome(at: _Foresight, terms: Terms) -> dict[_What, str]:
    """What would become of the uncoupled records under these terms, with their names."""
    store, entity = at.store, at.entity
    pair(store, Line(entity=entity, rule=terms.rule, lanes={}), again=True)
    asked = {(row.crm_id, row.erp_id) for row in store.inbox.reviews() if row.entity == entity}
    told: dict[_What, str] = {}
    kinds: tuple[tuple[Literal["couple", "review"], Kind], ...] = (
        ("couple", "couple"), ("review", "ask"),
    )  # fmt: skip
    for found, kind in kinds:
        for page in store.pairs.pairs(found, PAGE):
            for crm, erp, *_ in page:
                if kind == "couple" or (crm, erp) not in asked:
                    names = dict.fromkeys((at.label("crm", crm), at.label("erp", erp)))
                    told[kind, "crm", crm, erp] = " / ".join(names)
    for side in SIDES:
        told.update(_created(at, terms, side))
    return told


def _created(at: _Foresight, terms: Terms, side: Side) -> Iterator[tuple[_What, str]]:
    """Uncoupled records of `side` that the rule makes in the other system."""
    store, entity = at.store, at.entity
    records = list(
        Replica.objects.filter(entity=entity, side=side, coupled=False)
        .order_by("id")
        .values_list("record", flat=True)
    )
    held = store.pairs.paired(side, records) | store.inbox.under_review(entity, side, records)
    rows = store.replica.get(entity, side, [one for one in records if one not in held])
    for record, row in rows.items():
        if not isinstance(row.content, Record) or not terms.mappers[side].scope(row.content):
            continue
        values = at._read(terms, side, row.content)
        if not isinstance(values, Mapping):
            continue
        inside = holds(terms.rule.scope.get(side, ()), values)
        views: dict[Side, View] = {
            side: View(id=record, now=values, in_scope=inside),
            other(side): View(presence="none"),
        }
        if decide(terms.rule, views["crm"], views["erp"]).kind == "create":
            ids = (record, "") if side == "crm" else ("", record)
            yield ("create", other(side), *ids), row.label


def _same_record(one: _What, two: _What) -> bool:
    return (one[2] != "" and one[2] == two[2]) or (one[3] != "" and one[3] == two[3])


def changed_fields(before: Rule, after: Rule) -> set[str]:
    """Single fields whose rule is another one."""
    names = [
        name
        for name in {**before.fields, **after.fields}
        if before.fields.get(name) != after.fields.get(name)
        or before.groups.get(name) != after.groups.get(name)
    ]
    return {m for name in names for r in (before, after) for m in r.groups.get(name, (name,))}


def _unit_of(rule: Rule, name: str) -> str:
    """The group that a field is in, else the field."""
    return next((unit for unit, members in rule.groups.items() if name in members), name)


def _received(
    terms: Terms, names: set[str], values: Mapping[Side, Mapping[str, Any]]
) -> Iterator[tuple[str, Side, Any, Any]]:
    """(field, side, its value, the value due to it) where both differ and a rule says whose."""
    for name in sorted(names):
        if not all(name in values.get(side, {}) for side in SIDES):
            continue
        giver = _giver(terms.rule.fields.get(_unit_of(terms.rule, name)))
        if giver is None or agree(values["crm"][name], values["erp"][name]):
            continue
        side: Side = other(giver)
        yield name, side, values[side][name], values[giver][name]


def _giver(rule: FieldRule | None) -> Side | None:
    """Whose value a rule prefers where the two differ; None: nobody's, or it does not travel."""
    if rule is None or rule.direction == "none":
        return None
    if rule.direction != "both":
        return "crm" if rule.direction == "to_erp" else "erp"
    chosen = rule.owner if rule.owner != "shared" else rule.policy
    return chosen if chosen in SIDES else None
