"""The guided introduction: eight steps from two connections to a coupling that runs by itself.

Each step can be shown, repeated and undone. What was done when, by whom, and what came of it is
kept in the store; a step whose forerunner was done again since is to be repeated. Nothing is
written to either system before the sample, and from there on each write can be taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from django.db import transaction
from msgspec import Struct, field

from koppel.engine import schedules
from koppel.engine.assess import Assessor
from koppel.engine.load import Fill, plan_load
from koppel.engine.runner import Engine, steps_of
from koppel.engine.takeback import take_back
from koppel.errors import NeedsUser
from koppel.insight.assess import Assumptions
from koppel.mapping.document import load_rule
from koppel.mapping.schedule import Job, with_job, with_setting
from koppel.store import Store
from koppel.store.models import GuideEntry, Run

SAMPLE = 20
"""Records of the sample that a person looks at in both systems."""

_SHOWN = 20

State = Literal["open", "done", "again", "failed", "undone"]


class Step(Struct, frozen=True):
    """One step: its name in commands, its title, and what it is for."""

    name: str
    title: str
    what: str


STEPS = (
    Step("connect", "Connect both systems", "Both answer, and their records are described."),
    Step("assess", "Assess what they hold", "Reads both, writes to neither, proposes owners."),
    Step("owners", "Choose owners", "The proposed rule, accepted or edited, checked at once."),
    Step("match", "Match and review", "Couples on paper; doubtful pairs wait for a person's word."),
    Step("plan", "Dry run", "The exact plan: record, field, old and new. Nothing is written."),
    Step("sample", "Load a sample", "Some records, to be looked at in both systems."),
    Step("load", "Load all", "Everything else, at a pace, followed by the proof."),
    Step("schedules", "Switch schedules on", "The nightly batch and the nightly audit."),
)
NAMES = tuple(step.name for step in STEPS)


class Standing(Struct, frozen=True, kw_only=True):
    """Where a step is. `again`: done, but something before it was done or undone since."""

    step: Step
    state: State
    at: Any = None
    by: str = ""
    result: dict[str, Any] = field(default_factory=dict)


def standings(store: Store) -> list[Standing]:
    """All steps in their order."""
    found: list[Standing] = []
    newest = 0
    for step in STEPS:
        entry = store.guide.last(step.name)
        if entry is None:
            found.append(Standing(step=step, state="open"))
            continue
        state: Any = entry.state
        if state == "done" and entry.id < newest:
            state = "again"
        if not entry.result.get("skipped"):
            newest = max(newest, entry.id)
        found.append(
            Standing(step=step, state=state, at=entry.at, by=entry.by, result=entry.result)
        )
    return found


def coming(store: Store) -> Standing | None:
    """The first step that is not done; None where all are."""
    return next((one for one in standings(store) if one.state != "done"), None)


def step_named(name: str) -> Step:
    """The step; `NeedsUser` where there is none of that name."""
    for step in STEPS:
        if step.name == name:
            return step
    raise NeedsUser(f"there is no step '{name}'", remedy=f"The steps are: {', '.join(NAMES)}")


class Guide:
    """Does and undoes steps with an engine. What raises leaves the step `failed`."""

    def __init__(self, engine: Engine, *, user: str) -> None:
        self._engine = engine
        self._store = engine.store
        self.user = user

    def _do(self, name: str, work: Callable[[], dict[str, Any]]) -> GuideEntry:
        self._ready(name)
        try:
            result = work()
        except Exception as error:
            # Told again to whoever called; kept so that the step shows where it stopped.
            self._store.guide.add(name, "failed", by=self.user, result={"error": str(error)})
            raise
        return self._store.guide.add(name, "done", by=self.user, result=result)

    def _ready(self, name: str) -> None:
        """Nothing is loaded over two systems that nobody has looked at."""
        needs = {"owners": "assess", "sample": "plan", "load": "plan"}
        before = needs.get(name)
        if before is None:
            return
        entry = self._store.guide.last(before)
        if entry is None or entry.state != "done":
            raise NeedsUser(
                f"the step '{before}' comes first", remedy=f"Do it with: koppel guide run {before}"
            )

    # The steps.

    def connect(self) -> GuideEntry:
        """Both systems answer, and rules and mappings fit them."""

        def work() -> dict[str, Any]:
            health = self._engine.check()
            if len(health) < 2:
                raise NeedsUser("two connections are needed", remedy="Make them: koppel init")
            for name, answer in health.items():
                if not answer.ok:
                    raise NeedsUser(" ".join(answer.messages), place=name)
            self._engine.lines.all()
            return {
                "systems": {n: f"{h.system} {h.version}".strip() for n, h in health.items()},
                "entities": [line.entity for line in self._engine.lines.all()],
            }

        return self._do("connect", work)

    def assess(
        self, entities: Sequence[str] | None = None, assumed: Assumptions | None = None
    ) -> GuideEntry:
        """The assessment, kept whole, with the proposed rules in it."""

        def work() -> dict[str, Any]:
            engine = self._engine
            found = Assessor(
                self._store, engine.lines, progress=engine.progress, assumed=assumed
            ).assess(entities)
            report: dict[str, Any] = msgspec.to_builtins(found)
            return {"report": report}

        return self._do("assess", work)

    def proposed(self) -> dict[str, str]:
        """Entity -> the rule that the last assessment proposes, as TOML."""
        entry = self._store.guide.last("assess")
        if entry is None or entry.state != "done":
            raise NeedsUser(
                "no assessment has proposed owners yet",
                remedy="Do it with: koppel guide run assess",
            )
        return {one["entity"]: one["rule"] for one in entry.result["report"]["entities"]}

    def owners(self, rules: Mapping[str, str] | None = None) -> GuideEntry:
        """Make these rules (default: the proposed ones) the live ones, if all of them fit."""

        def work() -> dict[str, Any]:
            texts = dict(rules if rules is not None else self.proposed())
            documents, lines = self._store.documents, self._engine.lines
            before: dict[str, int] = {}
            after: dict[str, int] = {}
            for row in self._store.connections.all():
                lines.describe(row.name)
            try:
                with transaction.atomic():
                    for entity, text in texts.items():
                        rule = load_rule(text, source=f"rules/{entity}.toml")
                        if rule.entity != entity:
                            raise NeedsUser(
                                f"the rule is about '{rule.entity}'",
                                place=f"rules/{entity}.toml",
                                remedy="Give each rule under its own entity",
                            )
                        versions = documents.versions("rule", entity)
                        before[entity] = versions[0].version if versions else 0
                        after[entity] = documents.put("rule", entity, text, author=self.user)
                    lines.follow_documents()
                    lines.all()
            except NeedsUser:
                lines.refresh()
                raise
            return {"before": before, "after": after}

        return self._do("owners", work)

    def match(self, entities: Sequence[str] | None = None) -> GuideEntry:
        """Match everything; what is doubtful goes to the review list. Couples nothing yet."""

        def work() -> dict[str, Any]:
            run = plan_load(self._engine, entities, user=self.user)
            proposed = 0
            with transaction.atomic():
                for step in steps_of(self._store, run, kinds=("review",)):
                    score, _, reasons = step.body.reason.partition(": ")
                    self._store.inbox.propose(
                        step.entity,
                        step.crm_id or "",
                        step.erp_id or "",
                        score=float(score),
                        reasons=reasons.split("; "),
                    )
                    proposed += 1
            return {
                "run": run.id,
                "kinds": _kinds(run),
                "proposed": proposed,
                "open": len(self._store.inbox.reviews()),
            }

        return self._do("match", work)

    def plan(self, entities: Sequence[str] | None = None, *, fill: Fill = "owned") -> GuideEntry:
        """The exact plan of the load, held; the answers of the review are in it."""

        def work() -> dict[str, Any]:
            run = plan_load(self._engine, entities, fill=fill, user=self.user)
            return {
                "run": run.id,
                "fill": fill,
                "entities": list(entities or ()),
                "kinds": _kinds(run),
                "first": _first(self._store, run),
            }

        return self._do("plan", work)

    def sample(self, size: int = SAMPLE) -> GuideEntry:
        """Load that many records of the first entity that has any; where to look at them."""

        def work() -> dict[str, Any]:
            chosen = self._chosen()
            run = plan_load(
                self._engine, chosen["entities"] or None, fill=chosen["fill"], sample=size,
                user=self.user,
            )  # fmt: skip
            if run.state == "held":
                run = self._engine.apply(run, user=self.user, approve=True)
            return {
                "runs": [run.id],
                "writes": run.counts.get("writes", 0),
                "records": self._records(run),
            }

        return self._do("sample", work)

    def load(self, *, apply: Callable[[Run], Run] | None = None) -> GuideEntry:
        """Load all, as the dry run showed, then prove it. `apply`: carries an approved run out.

        A load that is stopped goes on where it stopped when the step is done again.
        """

        def work() -> dict[str, Any]:
            chosen = self._chosen()
            entities = chosen["entities"] or None
            run = plan_load(self._engine, entities, fill=chosen["fill"], user=self.user)
            if run.state == "held":
                run = (apply or self._apply)(run)
            audits, row = schedules.audit_and_keep(
                self._engine, entities, trigger="guide", user=self.user
            )
            return {
                "runs": [run.id],
                "state": run.state,
                "writes": run.counts.get("writes", 0),
                "coupled": {one.entity: one.couplings for one in audits},
                "waits": {k: n for k, n in self._store.inbox.totals().items() if n},
                "audit": row.id,
                "in_step": row.in_step,
            }

        return self._do("load", work)

    def _apply(self, run: Run) -> Run:
        return self._engine.apply(run, user=self.user, approve=True)

    def schedules(self, *, zone: str, batch: str, audit: str) -> GuideEntry:
        """The nightly batch and the nightly audit (cron; empty: none), on the zone's clocks."""

        def work() -> dict[str, Any]:
            before = schedules.text_of(self._store)
            text = with_setting(before, ("time_zone",), zone)
            if batch:
                text = with_job(text, Job(name="nightly", run="sync", cron=batch))
            if audit:
                text = with_job(text, Job(name="proof", run="audit", cron=audit))
            schedules.save(self._store, text, user=self.user)
            return {"before": before, "zone": zone, "batch": batch, "audit": audit}

        return self._do("schedules", work)

    def skip(self, name: str) -> GuideEntry:
        """Take a step for done without doing it."""
        return self._store.guide.add(
            step_named(name).name, "done", by=self.user, result={"skipped": True}
        )

    # Undoing.

    def undo(self, name: str) -> GuideEntry:
        """Take a step back: what it wrote, what it decided, or what it found."""
        step_named(name)
        entry = self._store.guide.last(name)
        if entry is None or entry.state == "undone":
            raise NeedsUser(f"the step '{name}' is not done, so there is nothing to undo")
        undoing: dict[str, Callable[[GuideEntry], dict[str, Any]]] = {
            "connect": self._forget_connections,
            "owners": self._former_rules,
            "match": self._withdraw,
            "plan": self._drop_plan,
            "sample": self._take_back,
            "load": self._take_back,
            "schedules": self._former_schedules,
        }
        result = undoing.get(name, _forgotten)(entry)
        return self._store.guide.add(name, "undone", by=self.user, result=result)

    def _forget_connections(self, entry: GuideEntry) -> dict[str, Any]:
        many = self._store.couplings.count(state="active")
        if many:
            raise NeedsUser(
                f"{many:,} records are coupled over these connections",
                remedy="Take the load back first: koppel guide undo load",
            )
        names = [row.name for row in self._store.connections.all()]
        self._engine.close()
        for name in names:
            self._store.connections.remove(name)
        return {"removed": names}

    def _former_rules(self, entry: GuideEntry) -> dict[str, Any]:
        documents = self._store.documents
        for entity, version in entry.result.get("before", {}).items():
            former = documents.get("rule", entity, version)
            if former is not None:
                documents.put("rule", entity, former, author=self.user)
        return {"restored": entry.result.get("before", {})}

    def _withdraw(self, entry: GuideEntry) -> dict[str, Any]:
        first = self._store.guide.of("match")[-1]
        withdrawn = self._store.inbox.withdraw(since=first.at)
        self._drop_plan(entry)
        return {"withdrawn": withdrawn}

    def _drop_plan(self, entry: GuideEntry) -> dict[str, Any]:
        run = entry.result.get("run")
        if run is not None:
            row = self._store.runs.get(run)
            if row.state in ("ready", "held"):
                self._store.runs.end(row, "superseded")
        return {"run": run}

    def _take_back(self, entry: GuideEntry) -> dict[str, Any]:
        """All runs of this step, interrupted ones too, newest first."""
        numbers = [run.id for run in self._store.runs.standing(trigger=entry.step)]
        back = take_back(self._engine, numbers, user=self.user)
        return msgspec.to_builtins(back)  # type: ignore[no-any-return]

    def _former_schedules(self, entry: GuideEntry) -> dict[str, Any]:
        schedules.save(self._store, entry.result.get("before", ""), user=self.user)
        return {}

    # What is shown.

    def _chosen(self) -> dict[str, Any]:
        """What the dry run was made with."""
        entry = self._store.guide.last("plan")
        result = entry.result if entry is not None else {}
        return {"fill": result.get("fill", "owned"), "entities": result.get("entities", [])}

    def _records(self, run: Run) -> list[dict[str, Any]]:
        lines = {line.entity: line for line in self._engine.lines.all()}
        couplings = [s for s in steps_of(self._store, run) if s.state == "done" and s.coupling]
        rows = self._store.couplings.by_id(dict.fromkeys(step.coupling for step in couplings))
        found = []
        for row in rows.values():
            record: dict[str, Any] = {"entity": row.entity, "label": row.label}
            for side, lane in lines[row.entity].lanes.items():
                id = row.record(side)
                record[side] = {"id": id, "link": lane.link(id) if id else None}
            found.append(record)
        return found


def plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    return msgspec.to_builtins(value, enc_hook=str)


def _forgotten(entry: GuideEntry) -> dict[str, Any]:
    return {}


def _kinds(run: Run) -> dict[str, dict[str, int]]:
    """Entity -> kind of step -> how many."""
    return {
        entity: {
            kind: many for kind, many in counts.items() if kind not in ("read", "echoes") and many
        }
        for entity, counts in run.counts.items()
        if isinstance(counts, dict)
    }


def _first(store: Store, run: Run) -> list[dict[str, Any]]:
    """The first steps of a plan that change something, for looking at."""
    found = []
    for step in steps_of(store, run):
        if step.body.changes:
            changes = [
                {
                    "side": c.side,
                    "field": c.field,
                    "old": plain(c.old),
                    "new": plain(c.new),
                    "why": c.why,
                }
                for c in step.body.changes
            ]
            found.append(
                {"kind": step.kind, "entity": step.entity, "label": step.label, "changes": changes}
            )
        if len(found) == _SHOWN:
            break
    return found
