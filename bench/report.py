"""From figures to tables: for the terminal (rich) and for `docs/performance.md`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import matching_report, plots, speed_report

DOCS = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
PLOTS = DOCS.parent / "figures"
PARTS = (
    "memory", "real", "orders", "million", "first_load", "latency", "workers", "pages", "matching",
    "matching_growth", "matching_people",
)  # fmt: skip
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


@dataclass(frozen=True)
class Sheet:
    """One table."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def print(self, console: Console) -> None:
        """For people at a terminal."""
        table = Table(title=self.title, title_justify="left")
        for place, column in enumerate(self.columns):
            table.add_column(column, justify="left" if place == 0 else "right")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)

    def markdown(self) -> str:
        """For the documentation."""
        lines = [
            f"**{self.title}**",
            "",
            _line(self.columns),
            _line(["---", *["---:"] * (len(self.columns) - 1)]),
            *[_line(row) for row in self.rows],
        ]
        return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def sheets(figures: Mapping[str, Any]) -> list[Sheet]:
    """All tables that these figures fill."""
    found = []
    if figures.get("memory"):
        found += [_memory(figures["memory"]), _calls(figures["memory"])]
    if figures.get("real"):
        found += [_real(figures["real"]), _later(figures["real"])]
    if figures.get("orders"):
        found += [_orders(figures["orders"]), _order_watch(figures["orders"])]
    if figures.get("million"):
        found.append(_million(figures["million"]))
    found += [Sheet(*table) for table in speed_report.tables(figures)]
    found += [Sheet(*table) for table in matching_report.tables(figures)]
    return [*found, _goals(figures)]


def _orders(orders: Mapping[str, Any]) -> Sheet:
    one = orders["transfer"]
    columns = (
        f"orders of {one['lines']} lines from Creme to Tryton",
        "tight loop, per s",
        "Koppel, per s",
        "Koppel / tight loop",
        "calls to Tryton per order",
        "calls to Creme per order",
    )
    row = (
        f"{one['orders']}",
        f"{one['tight_per_second']:.2f}",
        f"{one['per_second']:.2f}",
        f"{one['ratio']:.0%}",
        f"{one['calls']:.1f}",
        f"{one['calls_crm']:.1f}" if "calls_crm" in one else "-",
    )
    return Sheet("Orders handed over, read-back and cent check included", columns, [row])


def _order_watch(orders: Mapping[str, Any]) -> Sheet:
    sent, watch = orders["delivery"], orders["watch"]
    rows = [
        ("deliveries posted in Tryton", str(sent["samples"])),
        (f"seconds until the CRM's page shows it, polling every {sent['poll_seconds']:g} s: median",
         f"{sent['median']:.2f}"),
        ("... 95 % of them, slowest", f"{sent['p95']:.2f}, {sent['slowest']:.2f}"),
        ("open orders watched (memory ERP)", f"{watch['orders']:,}"),
        ("calls to the ERP per poll that finds nothing", f"{watch['calls_per_poll']:g}"),
        ("... per 100 unchanged orders", f"{watch['calls_per_100']:g}"),
        ("seconds per poll, own work", f"{watch['own_seconds']:.3f}"),
    ]  # fmt: skip
    return Sheet("Orders watched", ("what", "measured"), rows)


def _million(sizes: Sequence[Mapping[str, Any]]) -> Sheet:
    """With the exponent by which own work grows with size, from one size to the next: 1 is even."""
    columns = (
        "couplings, loaded directly",
        "nothing changed, s",
        "... all ids swept, s (own work)",
        "1,000 changed and written, s (own work)",
        "first audit, s",
        "second audit, s",
        "peak memory, MB",
        "store, MB",
        "growth of a sweep's own work",
    )
    rows = []
    for before, one in zip([None, *sizes], sizes, strict=False):
        audits = [f"{audit['seconds']:,.0f}" for audit in one.get("audit", ())] or ["-", "-"]
        rows.append(
            (
                f"{one['records']:,}",
                f"{one['nothing']['seconds']:.2f}",
                f"{one['sweep']['seconds']:.2f} ({one['sweep']['own_seconds']:.2f})",
                f"{one['changed']['seconds']:.2f} ({one['changed']['own_seconds']:.2f})",
                *audits,
                f"{one['peak_mb']:.0f}",
                f"{one['store_mb']:,}",
                "-" if before is None else f"n^{_exponent(before, one):.2f}",
            )
        )
    return Sheet("Very many couplings", columns, rows)


def _exponent(one: Mapping[str, Any], two: Mapping[str, Any]) -> float:
    grown = two["sweep"]["own_seconds"] / max(0.001, one["sweep"]["own_seconds"])
    return math.log(grown) / math.log(two["records"] / one["records"])


def _memory(sizes: Sequence[Mapping[str, Any]]) -> Sheet:
    columns = (
        "memory pair, partners on each side",
        "first coupling, per s",
        "created on the other side, per s",
        "1 % changed, s",
        "nothing changed, s",
        "nothing changed, all ids swept, s",
        "peak memory, MB",
    )
    rows = [
        (
            f"{one['records']:,}",
            f"{one['first']['per_second']:,.0f}",
            f"{one['created']['per_second']:,.0f}" if "created" in one else "-",
            f"{one['delta']['seconds']:.2f}",
            f"{one['nothing']['seconds']:.2f}",
            f"{one['sweep']['seconds']:.2f}",
            f"{one['peak_mb']:.0f}",
        )
        for one in sizes
    ]
    return Sheet("Memory pair: speed and memory of Koppel's process", columns, rows)


def _calls(sizes: Sequence[Mapping[str, Any]]) -> Sheet:
    columns = (
        "memory pair, calls per record",
        "first, CRM",
        "first, ERP",
        "1 % changed, CRM",
        "1 % changed, ERP",
        "records fetched, nothing changed",
    )
    rows = []
    for one in sizes:
        cells = [
            f"{_all_calls(one[run]['calls'][side]) / one[run]['records']:.3f}"
            for run in ("first", "delta")
            for side in ("crm", "erp")
        ]
        rows.append((f"{one['records']:,}", *cells, str(_fetches(one))))
    return Sheet("Memory pair: calls per record", columns, rows)


def _all_calls(calls: Mapping[str, int]) -> int:
    return sum(many for name, many in calls.items() if name != "writes")


def _fetches(one: Mapping[str, Any]) -> int:
    return sum(
        calls.get("fetch", 0)
        for run in ("nothing", "sweep")
        for calls in one[run]["calls"].values()
    )


_DIRECTIONS = {"to_crm": "Tryton to Creme", "to_erp": "Creme to Tryton"}


def _real(real: Mapping[str, Any]) -> Sheet:
    columns = (
        f"real pair, {real['records']:,} partners created",
        "tight loop, per s",
        "Koppel, per s",
        "Koppel / tight loop",
        "Koppel's own work, ms per record",
        "the system's own work, tight loop / Koppel, ms per record",
        "calls per record, CRM",
        "calls per record, ERP",
        "kB per record, CRM",
        "kB per record, ERP",
    )
    rows = []
    for key, name in _DIRECTIONS.items():
        one = real[key]
        first, sides = one["first"], one["first"]["sides"]
        records = first["records"]
        kb = {side: tap["sent_kb"] + tap["received_kb"] for side, tap in sides.items()}
        rows.append(
            (
                name,
                f"{one['tight']['per_second']:.1f}",
                f"{first['per_second']:.1f}",
                f"{one['ratio']:.0%}",
                f"{1000 * first['own_seconds'] / records:.1f}",
                _system_work(one, records),
                *(f"{sides[side]['calls'] / records:.3f}" for side in ("crm", "erp")),
                *(f"{kb[side] / records:.2f}" for side in ("crm", "erp")),
            )
        )
    return Sheet("Real pair: the first coupling, reading and planning included", columns, rows)


def _system_work(one: Mapping[str, Any], records: int) -> str:
    spent = one.get("system_cpu")
    if not spent:
        return "-"
    return f"{1000 * spent['tight'] / records:.1f} / {1000 * spent['koppel'] / records:.1f}"


def _later(real: Mapping[str, Any]) -> Sheet:
    columns = ("real pair, later runs", "records", "seconds", "writes", "calls CRM", "calls ERP")
    rows = [
        (
            name,
            f"{one['records']:,}",
            f"{one['seconds']:.2f}",
            str(one["writes"]),
            str(one["sides"]["crm"]["calls"]),
            str(one["sides"]["erp"]["calls"]),
        )
        for key, name in (("delta", "1 % changed in Tryton"), ("nothing", "nothing changed"))
        for one in (real["to_crm"][key],)
    ]
    return Sheet("Real pair: later runs", columns, rows)


def _goals(figures: Mapping[str, Any]) -> Sheet:
    rows: list[tuple[str, str, str]] = []
    sizes = figures.get("memory") or []
    for one in sizes:
        if one["records"] == 100_000:
            for run, name in (("nothing", "change log"), ("sweep", "all ids swept")):
                seconds = one[run]["seconds"]
                goal = f"100,000 couplings, nothing changed, {name}: under 2 s"
                rows.append((goal, f"{seconds:.2f} s", _met(seconds < 2.0)))
            fetched = _fetches(one)
            rows.append(("... without a fetch", str(fetched), _met(fetched == 0)))
    peaks = {one["records"]: one["peak_mb"] for one in sizes}
    if {10_000, 100_000} <= peaks.keys():
        grown = peaks[100_000] / peaks[10_000]
        goal = "memory flat from 10,000 to 100,000 (at most a quarter more)"
        rows.append((goal, f"x {grown:.2f}", _met(grown <= 1.25)))
    told = (*speed_report.goals(figures), *matching_report.goals(figures))
    rows += [(goal, got, _met(yes)) for goal, got, yes in told]
    if figures.get("real"):
        real = figures["real"]
        slower = min(real[key]["tight"]["per_second"] for key in _DIRECTIONS)
        for key, name in _DIRECTIONS.items():
            share = real[key]["first"]["per_second"] / slower
            goal = f"{name}: 90 % of the slower system's own rate ({slower:.1f} per s)"
            rows.append((goal, f"{share:.0%}", _met(share >= 0.9)))
    if figures.get("orders"):
        rows += _order_goals(figures["orders"])
    for one in figures.get("million") or []:
        rows += _million_goals(one)
    rows += _million_flat(figures.get("million") or [])
    return Sheet("Goals", ("goal", "measured", "met"), rows)


def _order_goals(orders: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    ratio, calls = orders["transfer"]["ratio"], orders["watch"]["calls_per_100"]
    watched = f"{orders['watch']['orders']:,} open orders: under one call per 100 and poll"
    return [
        ("orders per second: 80 % of a tight loop", f"{ratio:.0%}", _met(ratio >= 0.8)),
        (watched, f"{calls:g}", _met(calls < 1)),
    ]


def _million_goals(one: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    if one["records"] < 1_000_000:
        return []
    sweep, changed = one["sweep"]["seconds"], one["changed"]
    taken, systems = changed["seconds"], changed["systems_seconds"]
    name = f"{one['records']:,} couplings"
    return [
        (f"{name}, nothing changed, ids and versions: under 10 s", f"{sweep:.1f} s",
         _met(sweep < 10)),
        (f"{name}: under 300 MB", f"{one['peak_mb']:.0f} MB", _met(one["peak_mb"] < 300)),
        (f"{name}, 1,000 changed: under 3 s and the systems' own time",
         f"{taken:.1f} s, theirs {systems:.1f} s", _met(taken - systems < 3)),
    ]  # fmt: skip


def _million_flat(sizes: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    if len(sizes) < 2:
        return []
    first, last = sizes[0], sizes[-1]
    grown = last["peak_mb"] / first["peak_mb"]
    name = f"memory flat from {first['records']:,} to {last['records']:,} (at most a quarter more)"
    return [(name, f"x {grown:.2f}", _met(grown <= 1.25))]


def _met(yes: bool) -> str:
    return "yes" if yes else "no"


def machine_line(machine: Mapping[str, Any]) -> str:
    """On what it was measured, in one sentence."""
    return (
        f"{machine['processors']} processors ({machine['system']}), Python {machine['python']}, "
        f"SQLite {machine['sqlite']}; load average before the run {machine['load_before']:.1f}."
    )


def write_docs(parts: Mapping[str, Any]) -> None:
    """Put tables and plots into the documentation page, between its marks.

    `parts`: name -> when and on what it was measured, and the figures.
    """
    text = DOCS.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    tail = rest.partition(END)[2]
    blocks = []
    for name in PARTS:
        if name in parts:
            part = parts[name]
            made = f"Measured {part['made_at'][:10]} on {machine_line(part['machine'])}"
            tables = [sheet.markdown() for sheet in sheets({name: part["figures"]})[:-1]]
            blocks.append("\n\n".join([made, *tables]))
    figures = {name: part["figures"] for name, part in parts.items()}
    blocks.append(_goals(figures).markdown())
    drawings = plots.write(figures, PLOTS)
    blocks += [f"![{title}]({PLOTS.name}/{name})" for name, title in drawings]
    made_of = "\n\n".join(blocks)
    DOCS.write_text(f"{head}{BEGIN}\n{made_of}\n{END}{tail}", encoding="utf-8")
