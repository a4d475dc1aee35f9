"""The German catalogue: `python -m koppel.web.catalogue` reads every string of the pages anew.

It keeps the translations, marks what is new, and compiles. No gettext program is needed: Django
turns templates into calls, Babel reads the calls and writes the catalogue. `--check` only says
what is missing or out of date (exit code 1).
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(__file__).resolve().parent / "locale"
LANGUAGES = ("de",)

_CALL = re.compile(
    r"""\b(?:gettext|ngettext|pgettext|npgettext|_)\("""
    r"""(?:[^()'"]|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")*\)""",
    re.S,
)

KEYWORDS = {
    "_": None, "gettext": None, "gettext_lazy": None, "gettext_noop": None, "N": None,
    "ngettext": (1, 2), "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2), "pgettext_lazy": ((1, "c"), 2), "npgettext": ((1, "c"), 2, 3),
}  # fmt: skip


def strings() -> Catalog:
    """Every string that the pages show."""
    found = Catalog(project="Koppel", charset="utf-8")
    for path, text in sorted(_sources()):
        for _line, message, _comments, context in extract(
            "python", io.BytesIO(text.encode()), keywords=KEYWORDS, options={"encoding": "utf-8"}
        ):
            found.add(message, locations=[(path, 1)], context=context)
    return found


def _sources() -> Iterator[tuple[str, str]]:
    from django.utils.translation.template import templatize

    for path in (ROOT / "web").rglob("*.py"):
        yield str(path.relative_to(ROOT)), path.read_text("utf-8")
    for folder in (ROOT / "web" / "templates").rglob("*"):
        if folder.suffix in (".html", ".txt"):
            text = templatize(folder.read_text("utf-8"), origin=str(folder))
            yield str(folder.relative_to(ROOT)), _calls_only(text)


def _calls_only(text: str) -> str:
    """What `templatize` gives, less the filling between the calls, which is no Python."""
    return "\n".join(found.group() for found in _CALL.finditer(text))


def path_of(language: str) -> Path:
    """Where a language's catalogue is kept."""
    return FOLDER / language / "LC_MESSAGES" / "django.po"


def load(language: str) -> Catalog:
    """The catalogue as it is kept; an empty one where there is none yet."""
    path = path_of(language)
    if not path.exists():
        return Catalog(locale=language, project="Koppel", charset="utf-8")
    with path.open("rb") as file:
        return read_po(file, locale=language)


def faults(language: str) -> list[str]:
    """What is missing, left over, or out of date, in sentences."""
    kept, wanted = load(language), strings()
    have = {(m.id, m.context): m for m in kept if m.id}
    need = {(m.id, m.context) for m in wanted if m.id}
    said = [f"'{key[0]}' is not in the catalogue" for key in need - set(have)]
    said += [f"'{key[0]}' is in the catalogue and on no page" for key in set(have) - need]
    for message in have.values():
        parts = message.string if isinstance(message.string, tuple) else (message.string,)
        if message.fuzzy or not all(parts):
            said.append(f"'{message.id}' is not translated")
    compiled = path_of(language).with_suffix(".mo")
    if not compiled.exists() or compiled.read_bytes() != _compiled(kept):
        said.append("the compiled catalogue is out of date")
    return said


def _compiled(catalogue: Catalog) -> bytes:
    out = io.BytesIO()
    write_mo(out, catalogue)
    return out.getvalue()


def renew(language: str) -> list[str]:
    """Read all strings, keep the translations, write and compile; what is still missing."""
    kept, wanted = load(language), strings()
    merged = Catalog(locale=language, project="Koppel", charset="utf-8", fuzzy=False)
    for message in sorted((m for m in wanted if m.id), key=lambda m: str(m.id)):
        before = kept.get(message.id, message.context)
        merged.add(
            message.id,
            before.string if before is not None else None,
            locations=message.locations,
            context=message.context,
        )
    path = path_of(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, merged, width=100, omit_header=False, include_lineno=False)
    path.with_suffix(".mo").write_bytes(_compiled(load(language)))
    return faults(language)


def main(arguments: list[str]) -> int:
    """Renew or check."""
    from koppel.store.opening import setup_django

    setup_django()
    bad = 0
    for language in LANGUAGES:
        for fault in faults(language) if "--check" in arguments else renew(language):
            sys.stdout.write(f"{language}: {fault}\n")
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
