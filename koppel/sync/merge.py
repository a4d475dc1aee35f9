"""The field merge: two views of one coupling and a rule give what each side receives, and why.

Pure and total. A unit is a field or a group of fields; each is judged by itself against *two*
bases, what each side itself returned last time. So a side that cuts, rounds or upper-cases is not
taken for one that was edited, and a merge that was written and read back has nothing left to do.

After the writes `rebase` says which bases move. It is the other half of the merge: a base moves
only for units that need no write, or whose write was read back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from koppel.model import agree
from koppel.sync.rule import SIDES, FieldRule, Owner, Rule, Side, other
from koppel.sync.state import Canonical, FieldChange, FieldConflict, FieldNotice, Merge, View

LABEL: Mapping[Side, str] = {"crm": "CRM", "erp": "ERP"}

Shown = Mapping[str, tuple[Any, Any]]
"""Field or group -> the values of the CRM and the ERP that a person saw when deciding."""


def is_empty(value: Any) -> bool:
    """Is there no value: None, an empty text, list or address? (0 and False are values.)"""
    if value is None or type(value) is str:
        return not value
    return agree(value, None) or (isinstance(value, list | frozenset | set) and not value)


def same(one: Any, two: Any) -> bool:
    """Are two values equal, as far as both are known? All ways of having no value count as one."""
    return agree(one, two) or (is_empty(one) and is_empty(two))


def merge(
    rule: Rule,
    crm: View,
    erp: View,
    open_conflicts: frozenset[str] = frozenset(),
    resolved: Mapping[str, Any] | None = None,
    shown: Shown | None = None,
) -> Merge:
    """Merge all units that both sides know and the rule names.

    `open_conflicts` are fields (or groups) that wait for a person: they stay in conflict until
    both sides agree, the rule no longer asks, or `resolved` holds the person's value. A group's
    value in conflicts and in `resolved` is a dict of its fields. A resolved value goes to
    whichever side differs, unless a side holds another value by now than the one that was `shown`
    to who decided: nobody has seen that one, and the person is asked again.
    """
    outcome = _Outcome(crm={}, erp={}, changes=[], conflicts=[], notices=[], closed=set())
    for unit in units(rule, crm.now or {}, erp.now or {}):
        side_values = _Pair(unit=unit, crm=crm, erp=erp, forced=unit.name in open_conflicts)
        before = len(outcome.conflicts)
        if resolved and unit.name in resolved and side_values.seen(shown, resolved[unit.name]):
            _resolve(outcome, side_values, resolved[unit.name])
        else:
            _merge_unit(outcome, side_values)
        if unit.name in open_conflicts and len(outcome.conflicts) == before:
            outcome.closed.add(unit.name)
    return Merge(
        crm=outcome.crm,
        erp=outcome.erp,
        changes=tuple(outcome.changes),
        conflicts=tuple(outcome.conflicts),
        notices=tuple(outcome.notices),
        closed=frozenset(outcome.closed),
    )


def creation(rule: Rule, side: Side, source: Canonical) -> Merge:
    """What a record that is made on `side` receives from the other side's `source`.

    Empty values are left out. A field that `side` owns is given once, if its rule says `fill`.
    """
    fields: dict[str, Any] = {}
    changes: list[FieldChange] = []
    why = f"The new record in the {LABEL[side]} starts with the {LABEL[other(side)]}'s value."
    for unit in units(rule, source, source):
        fills = unit.rule.owner != side or unit.rule.fill
        if not (fills and _may(unit.rule, side)):
            continue
        for name in unit.fields:
            value = source[name]
            if is_empty(value):
                continue
            fields[name] = value
            changes.append(
                FieldChange(
                    field=name, side=side, old=None, new=value, owner=unit.rule.owner, why=why
                )
            )
    return Merge(
        crm=fields if side == "crm" else {},
        erp=fields if side == "erp" else {},
        changes=tuple(changes),
    )


class Settled(Struct, frozen=True, kw_only=True):
    """What a written merge leaves behind: both new bases, and what is over or still to be done."""

    crm: dict[str, Any]
    erp: dict[str, Any]
    closed: frozenset[str] = frozenset()
    """Open conflicts that are over."""
    failed: frozenset[str] = frozenset()
    """Units whose write did not happen; the next merge asks for them again."""


def rebase(
    rule: Rule,
    merged: Merge,
    crm: View,
    erp: View,
    *,
    crm_after: Canonical | None = None,
    erp_after: Canonical | None = None,
) -> Settled:
    """The bases after a merge was written, to be stored in one transaction with the outcome.

    `crm_after` and `erp_after` are the read-backs; None: that side was not written, or the write
    did not happen. Unit by unit:

    * written and read back: the receiver's read-back, and the giver's value as merged;
    * to be written, but it did not happen (on one side is enough), or in conflict: both old bases
      stay, so that the edit is still an edit next time;
    * nothing to write: both sides' values as merged. A value that only the read-back shows is left
      to the next merge, as somebody may have put it there meanwhile.
    """
    after: dict[Side, Canonical | None] = {"crm": crm_after, "erp": erp_after}
    views: dict[Side, View] = {"crm": crm, "erp": erp}
    bases: dict[Side, dict[str, Any]] = {side: dict(views[side].now or {}) for side in SIDES}
    disputed = {conflict.field for conflict in merged.conflicts}
    failures: set[str] = set()
    for unit in units(rule, crm.now or {}, erp.now or {}):
        writes = {side: [n for n in unit.fields if n in merged.to(side)] for side in SIDES}
        failed = any(writes[side] and after[side] is None for side in SIDES)
        if failed:
            failures.add(unit.name)
        for side in SIDES:
            if failed or unit.name in disputed:
                _keep_old(bases[side], views[side].base or {}, unit.fields)
                continue
            read_back = after[side]
            if read_back is not None:
                for name in writes[side]:
                    if name in read_back:
                        bases[side][name] = read_back[name]
    return Settled(
        crm=bases["crm"],
        erp=bases["erp"],
        closed=merged.closed - failures,
        failed=frozenset(failures),
    )


def _keep_old(base: dict[str, Any], old: Canonical, names: tuple[str, ...]) -> None:
    for name in names:
        if name in old:
            base[name] = old[name]
        else:
            base.pop(name, None)


class Unit(Struct, frozen=True, kw_only=True):
    """A field, or a group of fields that move together, with its rule."""

    name: str
    fields: tuple[str, ...]
    rule: FieldRule


def units(rule: Rule, crm: Canonical, erp: Canonical) -> Sequence[Unit]:
    """The units that the rule names and both sides know, in the order of the rule."""
    key = (id(rule), tuple(crm), tuple(erp))
    found = _units.get(key)
    # The rule is kept with its units: its number cannot go to another one meanwhile.
    if found is None or found[0] is not rule:
        if len(_units) >= _FEW:
            _units.clear()
        found = _units[key] = (rule, tuple(_units_of(rule, crm, erp)))
    return found[1]


_FEW = 200
_units: dict[tuple[int, tuple[str, ...], tuple[str, ...]], tuple[Rule, tuple[Unit, ...]]] = {}
"""The units by rule and by the names that both sides know, for all records of a mapping."""


def _units_of(rule: Rule, crm: Canonical, erp: Canonical) -> Iterator[Unit]:
    grouped = {name for members in rule.groups.values() for name in members}
    for name, field_rule in rule.fields.items():
        if field_rule.direction == "none":
            continue
        if name in rule.groups:
            members = tuple(m for m in rule.groups[name] if m in crm and m in erp)
        else:
            known = name in crm and name in erp and name not in grouped
            members = (name,) if known else ()
        if members:
            yield Unit(name=name, fields=members, rule=field_rule)


class _Outcome(Struct, kw_only=True):
    crm: dict[str, Any]
    erp: dict[str, Any]
    changes: list[FieldChange]
    conflicts: list[FieldConflict]
    notices: list[FieldNotice]
    closed: set[str]

    def send(self, pair: _Pair, side: Side, name: str, value: Any, why: str) -> None:
        old = pair.now(side, name)
        if same(old, value):
            return
        (self.crm if side == "crm" else self.erp)[name] = value
        owner = pair.unit.rule.owner
        self.changes.append(
            FieldChange(field=name, side=side, old=old, new=value, owner=owner, why=why)
        )


class _Pair(Struct, frozen=True, kw_only=True):
    """One unit on both sides."""

    unit: Unit
    crm: View
    erp: View
    forced: bool
    """An open conflict: both sides count as moved."""

    def view(self, side: Side) -> View:
        return self.crm if side == "crm" else self.erp

    def now(self, side: Side, name: str) -> Any:
        return (self.view(side).now or {})[name]

    def base(self, side: Side, name: str) -> Any:
        return (self.view(side).base or {}).get(name)

    def field_moved(self, side: Side, name: str) -> bool:
        return self.forced or not same(self.now(side, name), self.base(side, name))

    def moved(self, side: Side) -> bool:
        return any(self.field_moved(side, name) for name in self.unit.fields)

    def edited(self, side: Side) -> bool:
        """Did somebody edit it there since that side was in step? (Even where the other never was:
        the pair may have followed a merge to another record.)"""
        base = self.view(side).base
        known = base is not None and all(name in base for name in self.unit.fields)
        return known and not self.forced and self.moved(side)

    def followed(self, side: Side) -> bool:
        """Does the pair stand at another record of this side, which one was merged into?"""
        return self.view(side).base is None and self.view(other(side)).base is not None

    def empty(self, side: Side) -> bool:
        return all(is_empty(self.now(side, name)) for name in self.unit.fields)

    def agree(self) -> bool:
        return all(self.field_agrees(name) for name in self.unit.fields)

    def field_agrees(self, name: str) -> bool:
        crm, erp = self.now("crm", name), self.now("erp", name)
        if self.unit.rule.policy == "union" and _is_list(crm) and _is_list(erp):
            return set(crm or ()) == set(erp or ())
        return same(crm, erp)

    def first(self) -> bool:
        """Was the unit never in step yet?"""
        bases = (self.crm.base, self.erp.base)
        return any(base is None or n not in base for base in bases for n in self.unit.fields)

    def seen(self, shown: Shown | None, chosen: Any) -> bool:
        """Does each side still hold what a person saw when deciding, or what was chosen?"""
        if not shown or self.unit.name not in shown:
            return True
        return all(
            same(now := self.now(side, name), _part(told, name, self.unit))
            or same(now, _part(chosen, name, self.unit))
            for side, told in zip(SIDES, shown[self.unit.name], strict=True)
            for name in self.unit.fields
        )

    def value(self, side: Side, *, base: bool = False) -> Any:
        """The unit's value as a person sees it: the value, or a dict for a group."""
        read = self.base if base else self.now
        if self.unit.fields == (self.unit.name,):
            return read(side, self.unit.name)
        return {name: read(side, name) for name in self.unit.fields}


def _part(value: Any, name: str, unit: Unit) -> Any:
    """One field of a unit's value, which is a dict where the unit is a group."""
    return value if unit.fields == (unit.name,) else (value or {}).get(name)


_TO: Mapping[Side, str] = {side: f"to_{side}" for side in SIDES}


def _may(rule: FieldRule, side: Side) -> bool:
    return rule.direction == "both" or rule.direction == _TO[side]


def _authority(rule: FieldRule) -> Owner:
    """Whose value counts: the owner, or the only side that may give."""
    if rule.owner != "shared":
        return rule.owner
    if rule.direction == "to_erp":
        return "crm"
    return "erp" if rule.direction == "to_crm" else "shared"


def _merge_unit(outcome: _Outcome, pair: _Pair) -> None:
    if pair.agree():
        return
    if pair.first() and not pair.forced and _fill(outcome, pair):
        return
    if not pair.first() and not pair.moved("crm") and not pair.moved("erp"):
        return
    authority = _authority(pair.unit.rule)
    if authority != "shared":
        _owned(outcome, pair, authority)
    else:
        _shared(outcome, pair)


def _fill(outcome: _Outcome, pair: _Pair) -> bool:
    """First coupling, one side has no value: give it the other's. True if that settles the unit."""
    for side in SIDES:
        if not pair.empty(side):
            continue
        owns = pair.unit.rule.owner == side
        if _may(pair.unit.rule, side) and (pair.unit.rule.fill or not owns):
            why = (
                f"The {LABEL[side]} has no {_q(pair)} yet; it receives the {LABEL[other(side)]}'s."
            )
            _carry(outcome, pair, side, why)
        return True
    return False


def _owned(outcome: _Outcome, pair: _Pair, owner: Side) -> None:
    target = other(owner)
    if not _may(pair.unit.rule, target):
        return
    edited = pair.edited(target)
    title = f"The {LABEL[owner]} owns {_q(pair)}"
    if pair.unit.rule.owner == "shared":
        title = f"{_q(pair)} travels only to the {LABEL[target]}"
    if edited:
        why = f"{title}; its value replaces the {LABEL[target]}'s edit."
        if pair.unit.rule.owner == "shared":
            why = f"{title}; the {LABEL[owner]}'s value replaces the {LABEL[target]}'s edit."
    elif pair.empty(owner):
        why = f"{title}, where it was cleared; so the {LABEL[target]} clears it."
    else:
        why = f"{title}; the {LABEL[target]} receives its value."
    notice = edited or pair.forced or pair.followed(target)
    _carry(outcome, pair, target, why, notice=notice)


def _shared(outcome: _Outcome, pair: _Pair) -> None:
    if pair.unit.rule.policy == "union" and _union(outcome, pair):
        return
    first = pair.first()
    for side in SIDES:
        if not first and pair.moved(side) and not pair.moved(other(side)):
            target = other(side)
            why = f"{_q(pair)} is shared and only the {LABEL[side]} changed it."
            _carry(outcome, pair, target, why)
            return
    winner, why = _winner(pair)
    if winner is None:
        outcome.conflicts.append(_conflict(pair, why))
    else:
        loser = other(winner)
        notice = not first or pair.edited(loser) or pair.followed(loser)
        _carry(outcome, pair, loser, why, notice=notice)


def _winner(pair: _Pair) -> tuple[Side | None, str]:
    """The side whose value counts after both moved, by policy; None: a person decides."""
    rule = pair.unit.rule
    policy = (rule.first or rule.policy) if pair.first() else rule.policy
    what = f"The two sides hold different values for {_q(pair)}"
    if not pair.first():
        what = f"Both sides changed {_q(pair)}"
    if policy == "crm" or policy == "erp":
        return policy, f"{what}; the policy prefers the {LABEL[policy]}."
    if policy == "newest":
        crm, erp = pair.crm.changed_at, pair.erp.changed_at
        if crm is None or erp is None:
            return None, f"{what}, and it is not known which is newer."
        if crm == erp:
            return None, f"{what} at the same moment."
        newer: Side = "crm" if crm > erp else "erp"
        return newer, f"{what}; the {LABEL[newer]}'s is newer."
    return None, f"{what}; a person decides."


def _union(outcome: _Outcome, pair: _Pair) -> bool:
    """Join two lists: what either side added is kept, what either side removed is removed.

    Only what a side itself returned at the last sync can have been removed from it; so an entry
    that a side is unable to store is never taken for a removal. False where the unit is no list.
    """
    if not all(_is_list(pair.now(side, n)) for side in SIDES for n in pair.unit.fields):
        return False
    why = f"{_q(pair)} is shared; the entries of both sides are joined."
    for name in pair.unit.fields:
        crm, erp = (set(pair.now(side, name) or ()) for side in SIDES)
        removed: set[Any] = set()
        if not pair.first():
            for side, entries in zip(SIDES, (crm, erp), strict=True):
                base = pair.base(side, name)
                removed |= set(base if _is_list(base) and base else ()) - entries
        ordered = sorted((crm | erp) - removed, key=str)
        for side, entries in zip(SIDES, (crm, erp), strict=True):
            if entries != set(ordered):
                kind = frozenset if isinstance(pair.now(side, name), frozenset | set) else tuple
                outcome.send(pair, side, name, kind(ordered), why)
    return True


def _resolve(outcome: _Outcome, pair: _Pair, value: Any) -> None:
    """Send the person's value to whichever side differs."""
    single = pair.unit.fields == (pair.unit.name,)
    chosen = {pair.unit.name: value} if single else value
    for name in pair.unit.fields:
        if name not in chosen:
            continue
        for side in SIDES:
            outcome.send(pair, side, name, chosen[name], f"A person decided about {_q(pair)}.")


def _carry(outcome: _Outcome, pair: _Pair, side: Side, why: str, *, notice: bool = False) -> None:
    """Send the unit's value to `side`: of a group only the fields where somebody moved."""
    for name in pair.unit.fields:
        if not pair.first() and not any(pair.field_moved(s, name) for s in SIDES):
            continue
        value, lost = pair.now(other(side), name), pair.now(side, name)
        if same(value, lost):
            continue
        outcome.send(pair, side, name, value, why)
        if notice and pair.field_moved(side, name):
            outcome.notices.append(
                FieldNotice(
                    field=name, side=side, lost=lost, kept=value,
                    owner=pair.unit.rule.owner, why=why,
                )
            )  # fmt: skip


def _conflict(pair: _Pair, why: str) -> FieldConflict:
    return FieldConflict(
        field=pair.unit.name,
        crm_base=pair.value("crm", base=True),
        erp_base=pair.value("erp", base=True),
        crm=pair.value("crm"),
        erp=pair.value("erp"),
        why=why,
    )


def _is_list(value: Any) -> bool:
    return value is None or isinstance(value, tuple | frozenset | set | list)


def _q(pair: _Pair) -> str:
    return f"'{pair.unit.name}'"
