"""Writes what was measured into a page of the docs, between two markers, and a figure beside it.

    python -m tests.benchmarks.page results.json docs/performance.md

Every figure is the least, the median and the greatest of its runs. Ratios are made within each
repetition, of runs that followed each other.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from celonis_frames._encoding.chunk_sizer import DEFAULT_CHUNK_BYTES
from celonis_frames._options.push_options import DEFAULT_WORKERS

from . import frames
from .figure import draw
from .lines import LINES
from .memory import bound
from .stages import STAGES

BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"
NOTHING = "-"
_MANY_ROWS, _MOST_ROWS = 5_000_000, 10_000_000
Run = dict[str, Any]

_FASTER = {"loopback": (2.1, 2.3, 2.9, 2.4), "12": (3,) * 4}
_LIMIT = {
    "loopback": (1.35, 1.25, 1.25, 1.35), "100": (1.3, 1.25, 1.25, 1.35), "12": (1.05,) * 4
}  # fmt: skip
_LOOP = {"loopback": (1.25, 1.1, 1.1, 1.1)}
_CPU = (1.3, 1.2, 1.2, 1.2)
_MANY = {
    "loopback": (1.35, 1.25, 1.25, 1.35), "100": (1.12, 1.1, 1.1, 1.15)
}  # fmt: skip
_KEYED = {"100": (1.3, 1.2, 1.2, 1.3)}
"""Targets for each kind of frame: `_MANY` and `_KEYED` for 5 million rows."""


def spread(values: Iterable[float], digits: int = 2) -> str:
    """The least, the median and the greatest."""
    found = sorted(values)
    if not found:
        return NOTHING
    shown = (found[0], statistics.median(found), found[-1])
    return " / ".join(f"{value:,.{digits}f}" for value in shown)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def render(results: dict[str, Any]) -> str:
    """All tables of what was measured."""
    parts = [write(results[part]) for part, write in _PARTS.items() if part in results]
    return "\n\n".join(parts)


def _machine(machine: Run) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"Measured on {machine['date']} with {machine['cores']} cores ({machine['processor']}), "
        f"{machine['memory'] / 1e9:.0f} GB, {machine['system']}; {versions}. Each figure: least / "
        "median / greatest of all runs; ratios are of runs that followed each other."
    )


class _Race:
    """Runs by what they were of, and ratios of those that belong together."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = {
            (r["kind"], r["rows"], r["line"], r["repetition"], r["contestant"]): r for r in runs
        }
        self.rows = sorted({run["rows"] for run in runs})
        self.kinds = [kind for kind in frames.KINDS if any(run["kind"] == kind for run in runs)]
        self.lines = [line for line in LINES if any(run["line"] == line for run in runs)]
        self._repetitions = sorted({run["repetition"] for run in runs})

    def each(
        self, kind: str, rows: int, line: str, *names: str, make: Callable[..., float]
    ) -> list[float]:
        """What `make` says of the runs of these contestants, for each repetition."""
        found = []
        for number in self._repetitions:
            runs = [self._runs.get((kind, rows, line, number, name)) for name in names]
            if all(run is not None for run in runs):
                found.append(make(*runs))
        return found

    def limits(self, kind: str, rows: int, line: str, name: str = "push") -> list[float]:
        """The wall time of a push by its limit."""
        total = LINES[line].total
        if total:
            return self.each(
                kind, rows, line, name,
                make=lambda push: push["seconds"] * total / push["sink bytes"],
            )  # fmt: skip
        return self.each(
            kind, rows, line, name, "encode", "send",
            make=lambda push, encode, send: (
                push["seconds"] / max(encode["seconds"], send["seconds"])
            ),
        )  # fmt: skip


def _seconds(run: Run) -> float:
    return float(run["seconds"])


def _cpu(run: Run) -> float:
    return float(run["cpu"])


def _faster(other: Run, push: Run) -> float:
    return float(other["seconds"] / push["seconds"])


def _slower(push: Run, other: Run) -> float:
    return float(push["seconds"] / other["seconds"])


def _bytes(one: Run, other: Run) -> float:
    return float(one["sink bytes"] / other["sink bytes"])


def _by_kind(race: _Race, head: str, cell: Callable[[str, str], str]) -> str:
    titles = [LINES[line].title for line in race.lines]
    rows = [
        [frames.TITLES[kind], *(cell(kind, line) for line in race.lines)] for kind in race.kinds
    ]
    measured = any(text != NOTHING for row in rows for text in row[1:])
    return table([head, *titles], rows) if measured else "Not measured this time."


def _aimed(text: str, aims: Mapping[str, Sequence[float]], sign: str, kind: str, line: str) -> str:
    if line not in aims or text == NOTHING:
        return text
    return f"{text} ({sign} {dict(zip(map(str, frames.KINDS), aims[line], strict=True))[kind]:g})"


def _raced(runs: Sequence[Run]) -> str:
    race = _Race(runs)
    rows = race.rows[0]

    def compared(name: str) -> Callable[[str, str], str]:
        return lambda kind, line: spread(race.each(kind, rows, line, name, "push", make=_faster))

    def took(name: str) -> Callable[[str, str], str]:
        return lambda kind, line: spread(race.each(kind, rows, line, name, make=_seconds))

    faster = compared("recipe")
    others = max(run["others"] for run in runs if run["line"] == "loopback")
    loopback = [
        [frames.TITLES[kind]]
        + [spread(race.each(kind, rows, "loopback", *pair, make=_bytes))
           for pair in (("push", "recipe"), ("zstd", "recipe"), ("csv", "push"))]
        + [spread(race.each(kind, rows, "loopback", name, "push", make=_faster))
           for name in ("zstd", "csv")]
        for kind in race.kinds
    ]  # fmt: skip
    return "\n\n".join(
        [
            f"### {rows:,} rows: times faster than the usual recipe (target)",
            _by_kind(
                race, "recipe ÷ push",
                lambda kind, line: _aimed(faster(kind, line), _FASTER, "≥", kind, line),
            ),
            "### Times faster than files of polars, uploaded one by one",
            _by_kind(race, "files ÷ push", compared("files")),
            "### Wall time by a loop without promises (target)",
            "The job first, then encode on all cores and send over four connections at the same "
            "time: no lengths, no checks, no retries, no count.",
            _by_kind(
                race, "push ÷ loop",
                lambda kind, line: _aimed(
                    spread(race.each(kind, rows, line, "push", "loop", make=_slower)), _LOOP, "≤",
                    kind, line,
                ),
            ),
            "### Wall time by the limit (target)",
            "On links of a known bandwidth the limit is bytes ÷ bandwidth, otherwise the slower of "
            "encoding alone and sending alone.",
            _by_kind(
                race, "push ÷ limit",
                lambda kind, line: _aimed(
                    spread(race.limits(kind, rows, line)), _LIMIT, "≤", kind, line
                ),
            ),
            "### Bytes, codecs and CSV (loopback)",
            table(
                ["", "bytes ÷ recipe's (≤ 0.88)", "zstd: bytes ÷ recipe's (≤ 0.62)",
                 "CSV: bytes ÷ Parquet's", "zstd: time ÷ snappy's", "CSV: time ÷ Parquet's"],
                loopback,
            ),
            "### Seconds",
            *(
                _by_kind(race, title, took(name))
                for name, title in (
                    ("push", "push"), ("loop", "loop without promises"), ("recipe", "recipe"),
                    ("files", "files of polars"), ("encode", "encoding alone"),
                    ("send", "sending alone"),
                )
            ),
            "### Seconds of CPU, in all threads (loopback)",
            table(
                ["", "push", "recipe", "files of polars", "encoding alone", "push ÷ encoding"],
                [
                    [frames.TITLES[kind]]
                    + [
                        spread(race.each(kind, rows, "loopback", name, make=_cpu))
                        for name in ("push", "recipe", "files", "encode")
                    ]
                    + [
                        _aimed(
                            spread(
                                race.each(
                                    kind, rows, "loopback", "push", "encode",
                                    make=lambda push, encode: push["cpu"] / encode["cpu"],
                                )
                            ),
                            {"loopback": _CPU}, "≤", kind, "loopback",
                        )
                    ]
                    for kind in race.kinds
                ],
            ),
            f"Other processes took at most {others:.0%} of the machine during a run over loopback.",
        ]
    )  # fmt: skip


def _staged(runs: Sequence[Run]) -> str:
    lines = []
    for kind in frames.KINDS:
        mine = [run["stages"] for run in runs if run["kind"] == kind]
        if mine:
            walls = [spread((1e3 * run[stage][0] for run in mine), 0) for stage in STAGES]
            cpus = [spread((1e3 * run[stage][1] for run in mine), 0) for stage in STAGES]
            lines += [[frames.TITLES[kind], *walls], ["… CPU, all threads", *cpus]]
    return (
        f"### Where the time goes, ms for {runs[0]['rows']:,} rows\n\n"
        "Finding the types; reading alone, in one thread; what must be known of the lengths of "
        "texts before the job is created; and encoding, which reads and checks the rows too, in "
        "all threads.\n\n"
    ) + table(["", *STAGES], lines)


def _grown(runs: Sequence[Run]) -> str:
    race = _Race(runs)
    least, most = race.rows[0], race.rows[-1]
    lines = []
    for kind in race.kinds:
        pushes = {
            rows: race.each(kind, rows, "loopback", "push", make=_seconds) for rows in race.rows
        }
        ratios = [b / a for a, b in zip(pushes[least], pushes[most], strict=False)]
        lines.append(
            [frames.TITLES[kind]]
            + [spread(pushes[rows]) for rows in race.rows]
            + [spread(race.limits(kind, rows, "loopback")) for rows in race.rows]
            + [spread(ratios)]
        )
    head = [f"{rows / 1e6:g} M rows, s" for rows in race.rows]
    head += [f"{rows / 1e6:g} M rows ÷ limit" for rows in race.rows]
    growth = f"{most / 1e6:g} M ÷ {least / 1e6:g} M"
    growth += f" (≤ {1.05 * most / least:g})" if most == _MOST_ROWS else ""
    text = "### More rows (loopback)\n\n" + table(["", *head, growth], lines)
    for line in race.lines:
        if LINES[line].total:
            text += f"\n\n### More rows ({LINES[line].title}): push ÷ (bytes ÷ bandwidth)\n\n"
            text += _by_bandwidth(race, line)
    return text


def _by_bandwidth(race: _Race, line: str) -> str:
    """Pushes without keys, and with keys that all differ."""
    ways = (("push", "", _MANY), ("keyed", ", keys", _KEYED))
    head = [f"{rows / 1e6:g} M rows{what}" for _, what, _ in ways for rows in race.rows]
    lines = []
    for kind in race.kinds:
        cells = []
        for name, _, aims in ways:
            for rows in race.rows:
                text = spread(race.limits(kind, rows, line, name))
                cells.append(_aimed(text, aims, "≤", kind, line) if rows == _MANY_ROWS else text)
        lines.append([frames.TITLES[kind], *cells])
    return table(["", *head], lines)


def _memory(runs: Sequence[Run]) -> str:
    rows = sorted({run["rows"] for run in runs})
    found = {(run["kind"], run["rows"]): run for run in runs}
    kinds = [kind for kind in frames.KINDS if any(run["kind"] == kind for run in runs)]
    lines = [
        [frames.TITLES[kind]]
        + [
            f"{found[kind, n]['beyond'] / 1e6:,.0f}" if (kind, n) in found else NOTHING
            for n in rows
        ]
        for kind in kinds
    ]
    head = [f"{n / 1e6:g} M rows" for n in rows]
    allowed = bound(DEFAULT_CHUNK_BYTES, DEFAULT_WORKERS) / 1e6
    return f"### Memory beyond the frame, MB (≤ {allowed:,.0f})\n\n{table(['', *head], lines)}"


def _large(run: Run) -> str:
    return (
        f"A LazyFrame of {run['rows']:,} rows took {run['seconds']:,.0f} s on loopback, "
        f"{run['chunks']} chunks, {run['bytes'] / 1e6:,.0f} MB; the whole process used up to "
        f"{run['whole'] / 1e6:,.0f} MB (≤ 1,000)."
    )


def _small(found: Run) -> str:
    imported = [
        [f"`{before}`" if before else "nothing", spread((1e3 * s for s in seconds), 0)]
        for before, seconds in found["imports"].items()
    ]
    pushed = []
    for where, title in (("sink", "sink"), ("local", "local Celonis")):
        for library in ("pandas", "polars"):
            runs = [run for run in found[where] if run["library"] == library]
            pushed.append(
                [f"{library}, {title}"]
                + [spread((1e3 * r["bare"] for r in runs), 1)]
                + [spread((1e3 * (r[n] - r["bare"]) for r in runs), 1) for n in ("first", "later")]
            )
    polls = found["polls"]
    rest = polls["requests"] - polls["chunks"] - polls["polls"]
    return "\n\n".join(
        [
            "### Small frames, ms",
            table(["imported before", "`import celonis_frames`"], imported),
            table(
                [
                    "1,000 rows",
                    "bare calls",
                    "first push beyond them, imports of Arrow included",
                    "later pushes beyond them, at the sink (≤ 5)",
                ],
                pushed,
            ),
            f"A job of {polls['job seconds']:g} s was polled {polls['polls']} times (≤ 10); the "
            f"push made {polls['requests']} requests: {rest} + {polls['chunks']} chunk + "
            f"{polls['polls']} polls, and returned after {polls['seconds']:.1f} s.",
        ]
    )


def _local(found: Run) -> str:
    runs = found["runs"]
    lines = [
        [
            step,
            spread(run["celonis"][step] for run in runs),
            spread(min(run[way][step] for way in ("merge", "delete")) for run in runs),
            spread(run["ratio"][step] for run in runs),
        ]
        for step in ("replace", "upsert")
    ]
    uploads = [run["upload ratio"] for run in runs if "upload ratio" in run]
    return "\n\n".join(
        [
            f"### The local Celonis: {found['rows']:,.0f} rows, {found['upsert']:,.0f} into them",
            table(["", "local Celonis, s", "DuckDB alone, s", "ratio (≤ 1.3)"], lines),
            f"Uploading to it took {spread(uploads)} times as long as to the sink (≤ 1.5).",
        ]
    )


_PARTS: dict[str, Callable[[Any], str]] = {
    "machine": _machine,
    "race": _raced,
    "stages": _staged,
    "growth": _grown,
    "memory": _memory,
    "large": _large,
    "small": _small,
    "local": _local,
}


def time_figure(runs: Sequence[Run]) -> str:
    """The median seconds over the rows, of a polars frame over 100 MB/s, as SVG."""
    race = _Race(runs)
    names = {
        "push": "push", "recipe": "usual recipe", "loop": "loop without promises",
        "encode": "encoding alone",
    }  # fmt: skip
    lines = {
        title: [
            (rows / 1e6, statistics.median(seconds))
            for rows in race.rows
            if (seconds := race.each("polars", rows, "100", name, make=_seconds))
        ]
        for name, title in names.items()
    }
    return draw(
        "Seconds of a push of a polars frame over a line of 100 MB/s, over the rows of the frame",
        "million rows",
        "s",
        {title: points for title, points in lines.items() if points},
    )


def figure(runs: Sequence[Run]) -> str:
    """The memory over the rows, as SVG."""
    lines = {
        frames.TITLES[kind]: sorted(
            (run["rows"] / 1e6, run["beyond"] / 1e6) for run in runs if run["kind"] == kind
        )
        for kind in frames.KINDS
    }
    return draw(
        "Memory of a push beyond its frame, over the rows of the frame",
        "million rows",
        "MB",
        {title: points for title, points in lines.items() if points},
        ("bound", bound(DEFAULT_CHUNK_BYTES, DEFAULT_WORKERS) / 1e6),
    )


def main() -> None:
    """Write the page, and the figure beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("page", type=Path)
    wish = parser.parse_args()
    results = json.loads(wish.results.read_text())
    text = wish.page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{wish.page} has no place for the figures: add {BEGIN} and {END}")
    wish.page.write_text(f"{before}{BEGIN}\n\n{render(results)}\n\n{END}{after}")
    if "memory" in results:
        wish.page.with_name("memory.svg").write_text(figure(results["memory"]))
    if "growth" in results:
        wish.page.with_name("time.svg").write_text(time_figure(results["growth"]))


if __name__ == "__main__":
    main()
