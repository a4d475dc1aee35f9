"""`koppel match`: what the matching weighs, and what people's answers have taught it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from koppel.cli.app import Json, app, session
from koppel.cli.session import plain, table
from koppel.engine import lessons
from koppel.engine.lines import Line
from koppel.engine.pairing import rarity_in
from koppel.mapping.document import default_rule, load_rule
from koppel.store import Store
from koppel.sync.learning import LEAST, weights

match = typer.Typer(help="Matching: weights that answers have moved; forget or remember them.")
app.add_typer(match, name="match")

Entity = Annotated[str, typer.Argument(help="Which entity.")]


@match.command("weights")
def weights_(context: typer.Context, entity: Entity = "partner", json: Json = False) -> None:
    """Each weight that answers were about: its points, what they add, how many answers say so."""
    here = session(context, json)
    store = here.store()
    line = _line(store, entity)
    found = weights(lessons.lessons(store, entity, line.rule.match, lambda: rarity_in(store, line)))

    def print_it(_: Any) -> None:
        table(
            f"Weights of {entity} that answers were about",
            ("evidence", "points", "learned", "in use", "answered same", "answered different"),
            [
                (one.kind, f"{one.points:+.1f}", f"{one.learned:+.2f}",
                 f"{one.points + one.learned:+.2f}", one.same, one.different)
                for one in found
            ],
        )  # fmt: skip
        here.say(
            f"Points are natural logarithms of odds. Evidence with fewer than {LEAST} answers, or "
            "that contradicts an identifier, stays as it is."
            if found
            else "No answer teaches anything yet: koppel couplings review"
        )

    here.print([plain(one) for one in found], print_it)


@match.command()
def forget(context: typer.Context, entity: Entity = "partner") -> None:
    """Let the answers given so far teach nothing: the weights are the shipped ones again."""
    here = session(context)
    count = lessons.forget(here.store(), entity, by=here.user)
    here.say(f"{count} answers teach nothing any more; the pairs themselves stay answered.")


@match.command()
def remember(context: typer.Context, entity: Entity = "partner") -> None:
    """Let forgotten answers count again."""
    here = session(context)
    count = lessons.remember(here.store(), entity, by=here.user)
    here.say(f"{count} answers count again.")


def _line(store: Store, entity: str) -> Line:
    text = store.documents.get("rule", entity) or default_rule(entity)
    return Line(entity=entity, rule=load_rule(text, source=f"rule for {entity}"), lanes={})
