"""Lists as files: CSV and XLSX. A text that a spreadsheet would take for a formula is defused."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

MOST_ROWS = 50_000
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")
TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def defused(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would calculate it (CWE-1236)."""
    return f"'{text}" if text.startswith(_DANGEROUS) else text


def as_csv(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """UTF-8 with a mark, so that spreadsheets read umlauts; numbers with a point, dates ISO."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([defused(text) for text in headings])
    for row in rows:
        writer.writerow([_plain(value) for value in row])
    return out.getvalue().encode("utf-8-sig")


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool | int | Decimal):
        return value
    if isinstance(value, date | datetime):
        return value.isoformat()
    return defused(str(value))


def as_xlsx(title: str, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A workbook of one sheet, with real numbers and dates, a fixed heading and a filter."""
    import xlsxwriter

    out = io.BytesIO()
    told = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    book = xlsxwriter.Workbook(out, told)
    sheet = book.add_worksheet("".join(sign for sign in title if sign not in "[]:*?/\\")[:31])
    bold = book.add_format({"bold": True})
    money, day = (
        book.add_format({"num_format": "#,##0.00"}),
        book.add_format({"num_format": "yyyy-mm-dd"}),
    )
    for place, text in enumerate(headings):
        sheet.write_string(0, place, text, bold)
    last = 0
    for last, row in enumerate(rows, start=1):
        for place, value in enumerate(row):
            if isinstance(value, Decimal):
                sheet.write_number(last, place, float(value), money)
            elif isinstance(value, int) and not isinstance(value, bool):
                sheet.write_number(last, place, value)
            elif isinstance(value, datetime):
                sheet.write_datetime(last, place, value.replace(tzinfo=None), day)
            elif isinstance(value, date):
                sheet.write_datetime(last, place, datetime(value.year, value.month, value.day), day)
            elif value is not None:
                sheet.write_string(last, place, str(value))
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, max(last, 1), max(len(headings) - 1, 0))
    sheet.set_column(0, len(headings), 18)
    book.close()
    return out.getvalue()
