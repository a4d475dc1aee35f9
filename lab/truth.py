"""Who is who in the demo world, as native ids: for tests and figures, never read by Koppel.

`.lab/truth.json` holds `partners` and `contacts` as [Creme id, Tryton id] pairs, and
`crm_duplicates` as pairs of Creme ids that are one company. All ids are strings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.system import lab_folder
from lab.world import World, build

Seeded = Mapping[str, Mapping[str, int]]
"""World key -> native id, by kind of record: what a seeder has written."""


@dataclass(frozen=True)
class Truth:
    """Pairs of native ids, Creme's first."""

    partners: tuple[tuple[str, str], ...]
    contacts: tuple[tuple[str, str], ...]
    crm_duplicates: tuple[tuple[str, str], ...]


def truth(creme: Seeded, tryton: Seeded, world: World | None = None) -> Truth:
    """The world's truth in native ids. A key that a seeder left out is a `KeyError`."""
    world = world or build()
    organisations, people = creme["organisations"], creme["contacts"]
    partners, contacts = tryton["partners"], tryton["contacts"]
    return Truth(
        partners=tuple((str(organisations[c]), str(partners[e])) for c, e in world.pairs),
        contacts=tuple((str(people[c]), str(contacts[e])) for c, e in world.contact_pairs),
        crm_duplicates=tuple(
            (str(organisations[one]), str(organisations[two])) for one, two in world.crm_duplicates
        ),
    )


def write(found: Truth, file: Path | None = None) -> Path:
    """Write the truth file, by default `.lab/truth.json`."""
    file = file or lab_folder() / "truth.json"
    file.write_text(json.dumps(vars(found), indent=1) + "\n", encoding="utf-8")
    return file


def read(file: Path | None = None) -> Truth:
    """Read what `write` wrote."""
    content = json.loads((file or lab_folder() / "truth.json").read_text(encoding="utf-8"))
    return Truth(**{name: tuple((a, b) for a, b in pairs) for name, pairs in content.items()})
