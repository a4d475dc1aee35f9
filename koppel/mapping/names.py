"""Names of people in one text or in two: "Ludwig van Beethoven" <-> ("Ludwig", "van Beethoven")."""

from __future__ import annotations

from functools import lru_cache

_PARTICLES = frozenset({
    "af", "al", "am", "auf", "av", "da", "das", "de", "degli", "dei", "del", "della", "den", "der",
    "des", "di", "do", "dos", "du", "e", "el", "la", "le", "les", "lo", "op", "san", "santa", "st",
    "st.", "ten", "ter", "tom", "van", "vom", "von", "y", "zu", "zum", "zur",
})  # fmt: skip
"""Words that begin a family name rather than end a given one, where they are in lower case."""


@lru_cache(maxsize=4096)
def split_name(whole: str) -> tuple[str | None, str | None]:
    """Given and family name. "Beethoven, Ludwig" is read by its comma; one word is a family name.

    The family name is the last word with the particles before it; so a family name of two words
    without a particle is not recognised ("Maria García López").
    """
    text = " ".join(whole.split())
    if not text:
        return None, None
    family, comma, given = text.partition(",")
    if comma and family.strip() and given.strip():
        return given.strip(), family.strip()
    words = text.split(" ")
    start = len(words) - 1
    while start > 0 and words[start - 1] in _PARTICLES:
        start -= 1
    return " ".join(words[:start]) or None, " ".join(words[start:])


def join_name(given: str | None, family: str | None) -> str | None:
    """One text, given name first, such that `split_name` gives both parts back where it can.

    Where it could not ("García López"), the parts are joined by a comma, family name first.
    """
    if not given or not family:
        return family or given or None
    plain = f"{given} {family}"
    if split_name(plain) == (given, family) or "," in plain:
        return plain
    return f"{family}, {given}"
