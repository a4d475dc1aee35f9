"""The assessment as one HTML page that needs nothing else: charts are inline SVG, no script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from koppel.insight.assess import SHORTEST

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem;
color:#1d2530;background:#fff}
h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:1px solid #d5dbe3}
table{border-collapse:collapse;width:100%;margin:1rem 0;font-size:.9rem}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #e6eaef;vertical-align:top}
th{font-weight:600}td.n{text-align:right;font-variant-numeric:tabular-nums}
pre{background:#f4f6f8;padding:1rem;overflow:auto;font-size:.8rem}
.crm{fill:#2f6db5}.erp{fill:#c9772b}.both{fill:#4b8f5c}.rest{fill:#e6eaef}
.differ{fill:#b23b4e}
.note{color:#5a6573}
@media(prefers-color-scheme:dark){body{background:#161a20;color:#e3e7ec}
th,td{border-color:#2c333c}h2{border-color:#2c333c}pre{background:#1f252d}.rest{fill:#2c333c}
.note{color:#9aa5b1}}
"""


def page(report: Mapping[str, Any]) -> str:
    """The page of a report of plain values, as `koppel assess --json` prints it."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>Assessment</title><style>{_STYLE}</style></head><body>",
        f"<h1>Assessment of {escape(' and '.join(report['resources']))}</h1>",
        f'<p class="note">Read at {escape(str(report["at"]))}; nothing was written.</p>',
    ]
    for one in report["entities"]:
        parts += _entity(one, report["assumed"])
    parts.append("</body></html>")
    return "\n".join(parts)


def _entity(one: Mapping[str, Any], assumed: Mapping[str, Any]) -> Iterable[str]:
    yield f"<h2>{escape(one['entity'])}</h2>"
    if not one["coupled"]:
        yield '<p class="note">No rule couples these yet; this is what coupling them would be.</p>'
    counts = {
        "only in the CRM": (one["only"]["crm"], "crm"),
        "the same, likely": (one["likely"], "both"),
        "the same, perhaps": (one["perhaps"], "rest"),
        "only in the ERP": (one["only"]["erp"], "erp"),
    }
    yield _bars(counts, f"Overlap of {one['entity']} records")
    yield _table(
        ("", "CRM", "ERP"),
        [
            ("records", one["records"].get("crm", 0), one["records"].get("erp", 0)),
            ("twice within the side", *_sides(one["duplicates"])),
            ("accounts with several numbers", *_sides(one["accounts"])),
            ("groups of companies", *_sides(one["groups"])),
            ("unreadable", *_sides(one["unreadable"])),
            ("unchanged for three years", *(one["volume"][s]["stale"] for s in ("crm", "erp"))),
        ],
    )
    sure = sorted(one["confidence"].items(), reverse=True)
    if sure:
        yield "<h3>How sure the pairs are</h3>"
        bands = {f"{band} and more": (many, "both") for band, many in sure}
        yield _bars(bands, "Pairs by confidence, 1 is certain")
    if one["related"]:
        yield "<h3>What belongs together within one side</h3>"
        yield _table(
            ("side", "names", "records", "because", "coupled with", "what it means"),
            [
                (r["side"].upper(), "; ".join(r["labels"]), ", ".join(r["records"]),
                 "; ".join(r["reasons"][:4]), ", ".join(r["coupled_as"]), r["meaning"])
                for r in one["related"]
            ],
        )  # fmt: skip
    yield "<h3>Fields</h3>"
    yield _LEGEND
    yield _filled(one["fields"])
    yield _table(
        ("field", "side", "filled", "valid", "outdated", "would be cut"),
        [
            (name, side.upper(), _share(f["filled"], f["records"]),
             _share(f["valid"], f["checked"]), f["outdated"] or "", f["cut"] or "")
            for name, sides in one["fields"].items()
            for side, f in sides.items()
        ],
    )  # fmt: skip
    yield "<h3>Where the two disagree</h3>"
    yield _between(one["between"])
    yield _table(
        ("field", "pairs", "same", "differ", "only CRM", "only ERP", "how alike", "for example"),
        [
            (name, d["pairs"], d["same"], d["differ"], d["only"]["crm"], d["only"]["erp"],
             f"{d['likeness'] / d['differ']:.0%}" if d["differ"] else "",
             "; ".join(f"{a} | {b}" for a, b in d["examples"][:1]))
            for name, d in one["between"].items()
        ],
    )  # fmt: skip
    yield "<h3>Effort</h3>"
    yield _table(
        ("", "CRM", "ERP"),
        [
            ("changes a day", *(_rate(one["volume"][side]) for side in ("crm", "erp"))),
            ("days counted", *(one["volume"][side]["days"] for side in ("crm", "erp"))),
            ("last change", *(_day(one["volume"][side]) for side in ("crm", "erp"))),
        ],
    )
    yield f"<p>{escape(effort(one, assumed))}</p>"
    yield "<h3>Proposed owners</h3>"
    yield _table(
        ("field", "now", "proposed", "why"),
        [(p["field"], p["now"], p["owner"], p["why"]) for p in one["proposals"]],
    )
    yield f"<details><summary>The rule</summary><pre>{escape(one['rule'])}</pre></details>"


_LEGEND = (
    '<p class="note"><svg width="12" height="12"><rect class="crm" width="12" height="12"/></svg> '
    'CRM <svg width="12" height="12"><rect class="erp" width="12" height="12"/></svg> ERP</p>'
)


def per_day(volume: Mapping[str, Any]) -> float | None:
    """Changes a day of a side; None where its history is too short to tell."""
    return volume["changes"] / volume["days"] if volume["days"] >= SHORTEST else None


def _rate(volume: Mapping[str, Any]) -> str:
    rate = per_day(volume)
    return "too short a history" if rate is None else f"at least {rate:.1f}"


def _day(volume: Mapping[str, Any]) -> str:
    return str(volume["last_change"] or "")[:10]


def _between(fields: Mapping[str, Any]) -> str:
    """One bar per field over all pairs: same, only in the CRM, only in the ERP, different."""
    rows = []
    shown = {name: d for name, d in fields.items() if d["pairs"]}
    for place, (name, d) in enumerate(shown.items()):
        y, x = 24 * place, 150.0
        rows.append(
            f'<text x="0" y="{y + 14}" fill="currentColor" font-size="12">{escape(name)}</text>'
        )
        parts = (
            ("both", d["same"]),
            ("crm", d["only"]["crm"]),
            ("erp", d["only"]["erp"]),
            ("differ", d["differ"]),
        )
        for kind, many in parts:
            width = 450 * many / d["pairs"]
            rows.append(f'<rect class="{kind}" x="{x:.1f}" y="{y + 2}" width="{width:.1f}" '
                        'height="15"/>')  # fmt: skip
            x += width
    label = "Pairs by field: the same, only in the CRM, only in the ERP, different"
    words = (
        ("both", "the same"),
        ("crm", "only CRM"),
        ("erp", "only ERP"),
        ("differ", "different"),
    )
    legend = " ".join(
        f'<svg width="12" height="12"><rect class="{kind}" width="12" height="12"/></svg> {text}'
        for kind, text in words
    )
    return (
        f'<p class="note">{legend}</p><svg role="img" aria-label="{label}" '
        f'viewBox="0 0 680 {24 * len(shown)}" width="100%"><title>{label}</title>'
        f"{''.join(rows)}</svg>"
    )


def effort(one: Mapping[str, Any], assumed: Mapping[str, Any]) -> str:
    """What coupling saves and what the first load takes, with the assumptions, in words."""
    hours = one["hours_per_month"]
    minutes = assumed["minutes_per_entry"]
    if hours is None:
        saved = "The history is shorter than a week and tells nothing about changes per day."
    else:
        known = assumed["changes_per_day"]
        source = "as the time stamps tell" if known is None else f"of {known:g} that were given"
        saved = (
            f"{'At least ' if known is None else ''}{hours:g} hours of double typing a month: "
            f"{one['changes_per_day']:g} changes a day ({source}; {one['shared']:.0%} of the "
            f"records are on both sides) at {minutes:g} minutes each."
        )
    load = one["load"]
    return (
        f"{saved} The first load reads {load['reads']:,} and writes about {load['writes']:,} "
        f"records in about {duration(load['seconds'])}, at {load['seconds_per_call'] * 1000:.0f} "
        f"ms a call as measured and {assumed['calls_per_write']:g} calls a write."
    )


def duration(seconds: float) -> str:
    """A time span for people."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


def _sides(counts: Mapping[str, int]) -> tuple[int, int]:
    return counts.get("crm", 0), counts.get("erp", 0)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else ""


def _bars(counts: Mapping[str, tuple[int, str]], title: str) -> str:
    most = max((many for many, _ in counts.values()), default=0) or 1
    rows = "".join(
        f'<text x="0" y="{y + 15}" fill="currentColor" font-size="13">{escape(name)}</text>'
        f'<rect class="{kind}" x="150" y="{y}" width="{450 * many / most:.1f}" height="20"/>'
        f'<text x="{156 + 450 * many / most:.1f}" y="{y + 15}" fill="currentColor" '
        f'font-size="13">{many:,}</text>'
        for y, (name, (many, kind)) in zip(
            range(0, 26 * len(counts), 26), counts.items(), strict=True
        )
    )
    return (
        f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 680 {26 * len(counts)}" '
        f'width="100%"><title>{escape(title)}</title>{rows}</svg>'
    )


def _filled(fields: Mapping[str, Any]) -> str:
    """Two bars per field: the share of records with a value, CRM above ERP."""
    rows = []
    for place, (name, sides) in enumerate(fields.items()):
        y = 24 * place
        rows.append(
            f'<text x="0" y="{y + 14}" fill="currentColor" font-size="12">{escape(name)}</text>'
        )
        for offset, side in ((1, "crm"), (10, "erp")):
            figures = sides[side]
            share = figures["filled"] / figures["records"] if figures["records"] else 0.0
            rows.append(
                f'<rect class="rest" x="150" y="{y + offset}" width="450" height="8"/>'
                f'<rect class="{side}" x="150" y="{y + offset}" width="{450 * share:.1f}" '
                'height="8"/>'
            )
    label = "Share of records with a value, CRM above, ERP below"
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 680 {24 * len(fields)}" width="100%">'
        f"<title>{label}</title>{''.join(rows)}</svg>"
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="n">{cell:,}</td>'
            if isinstance(cell, int)
            else f"<td>{escape(str(cell))}</td>"
            for cell in row
        )
        + "</tr>"
        for row in rows
    )
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
