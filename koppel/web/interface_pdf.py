"""The interface documentation as PDF: the same parts as the page, on A4 across, to print or send.

Text is set in a font of its own (`fonts/`), so that umlauts, accents, Greek and Cyrillic names look
the same everywhere. What the font lacks is shown as a question mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace

from koppel.web.templatetags import show

FONTS = Path(__file__).resolve().parent / "fonts"
_FAMILY = "dejavu"
_GREY = (82, 96, 109)
_HEAD = (238, 242, 246)
_WIDTHS = (17, 24, 27, 8, 12, 12)
"""Of the columns, in hundredths of the table."""


def interface_pdf(
    parts: Sequence[Mapping[str, Any]],
    made_at: datetime,
    steps: Sequence[tuple[str, str, str]] = (),
    steps_fault: str = "",
) -> bytes:
    """The document for what `rulebook` tells of it, in the language that is active."""
    document = _Document(_("Interface documentation"))
    document.begin(made_at)
    for part in parts:
        document.part(part)
    document.steps(steps, steps_fault)
    return bytes(document.output())


class _Document(FPDF):
    def __init__(self, title: str) -> None:
        super().__init__(orientation="landscape", format="A4")
        self.heading = title
        self.add_font(_FAMILY, "", FONTS / "DejaVuSansCondensed.ttf")
        self.add_font(_FAMILY, "B", FONTS / "DejaVuSansCondensed-Bold.ttf")
        self.set_title(title)
        self.set_creator("Koppel")
        self.set_lang(show.locale())
        self.set_auto_page_break(True, margin=16)
        self.set_margins(14, 14)

    def footer(self) -> None:
        """What it is, and which page."""
        self.set_y(-12)
        self.set_font(_FAMILY, size=8)
        self.set_text_color(*_GREY)
        self.cell(0, 6, f"{self.heading} · {self.page_no()}/{{nb}}", align="R")
        self.set_text_color(0)

    def begin(self, made_at: datetime) -> None:
        """The first page's head."""
        self.add_page()
        self._text(self.heading, 18, bold=True)
        told = _("Exactly what is live, generated from the rules and mappings.")
        self._text(f"{told} {made_at:%Y-%m-%d %H:%M %Z}", 9, grey=True)

    def part(self, part: Mapping[str, Any]) -> None:
        """One entity: who is coupled with whom, what is made and deleted, fields, versions."""
        self.ln(4)
        if self.will_page_break(40):
            self.add_page()
        self.start_section(show.entity(part["entity"]))
        self._text(show.entity(part["entity"]), 13, bold=True)
        systems = " ⇄ ".join(f"{show.side(s)}: {n} ({c.type})" for s, n, c in part["systems"])
        self._text(systems, 10)
        for line in _sentences(part["rule"]):
            self._text(f"• {line}", 9)
        self.ln(1)
        self._fields(part["fields"])
        versions = (
            f"{one.version} ({show.day(one.created_at.date())}, {one.author or '–'})"
            for one in part["versions"]
        )
        self.ln(1)
        self._text(f"{_('Versions')}: {', '.join(versions)}", 8, grey=True)

    def steps(self, steps: Sequence[tuple[str, str, str]], fault: str) -> None:
        """Which step of quote to cash runs where."""
        self.ln(4)
        if self.will_page_break(60):
            self.add_page()
        title = _("Which step runs where")
        self.start_section(title)
        self._text(title, 13, bold=True)
        if fault:
            self._text(show.sentence(fault), 9)
            return
        rows = [(show.step(s), show.place(p), show.sentence(follows)) for s, p, follows in steps]
        self._table((_("Step"), _("Where"), _("What follows")), (20, 25, 55), rows)

    def _text(self, text: str, size: int, *, bold: bool = False, grey: bool = False) -> None:
        self.set_font(_FAMILY, "B" if bold else "", size)
        self.set_text_color(*(_GREY if grey else (0, 0, 0)))
        self.multi_cell(
            0, size * 0.5, self._known(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT
        )
        self.set_text_color(0)

    def _fields(self, fields: Iterable[Mapping[str, Any]]) -> None:
        head = (_("Field"), "CRM", "ERP", _("Owner"), _("Way"), _("Both changed"))
        self._table(head, _WIDTHS, [_cells(one) for one in fields])

    def _table(
        self, head: Sequence[str], widths: Sequence[int], rows: Iterable[Sequence[str]]
    ) -> None:
        self.set_font(_FAMILY, size=8)
        self.set_draw_color(213, 221, 230)
        face = FontFace(emphasis="BOLD", fill_color=_HEAD)
        with self.table(
            col_widths=tuple(widths), text_align="LEFT", line_height=4, headings_style=face,
            padding=1,
        ) as table:  # fmt: skip
            table.row(head)
            for row in rows:
                table.row([self._known(cell) for cell in row])

    def _known(self, text: str) -> str:
        """The text without what the font lacks."""
        glyphs = self.fonts[_FAMILY].cmap  # type: ignore[union-attr]
        return "".join(c if ord(c) in glyphs or c == "\n" else "?" for c in text)


def _cells(one: Mapping[str, Any]) -> list[str]:
    rule = one["rule"]
    sides = [
        "\n".join(f"{lens['native']} – {lens['lens']}".strip(" –") for lens in side)
        for side in one["sides"]
    ]
    return [
        f"{show.field(one['name'])} ({one['name']})",
        *sides,
        show.owner(rule.owner),
        show.direction(rule.direction),
        show.policy(rule.policy) if rule.owner == "shared" else "",
    ]


def _sentences(rule: Any) -> Iterable[str]:
    """What is made and deleted, as the page says it."""
    for side, policy in rule.create.items():
        if policy.allowed:
            told = _("Records are created in the %(system)s") % {"system": show.side(side)}
            when = ", ".join(show.condition(test) for test in policy.when)
            yield f"{told}, {_('where')} {when}" if when else told
    for side, policy in rule.delete.items():
        told = _("Where the other record is deleted, the one in the %(system)s:")
        yield f"{told % {'system': show.side(side)}} {show.deletion(policy)}"
