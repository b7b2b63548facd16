"""Run the fault matrix of loads and data jobs and write its table into docs/reliability.md.

    python tests/reliability/faults/runs.py [--quick] [--dry]

--quick takes a part of the cells, as the normal test run does; --dry writes nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import cells_report  # noqa: E402
import reliability_page  # noqa: E402
import run_cells  # noqa: E402
import shortened_waits  # noqa: E402

from celonis_frames import local  # noqa: E402

Found = Mapping[run_cells.Cell, run_cells.Observed]
COLUMNS = [(kind, place) for kind in run_cells.KINDS for place in run_cells.PLACES]


def run(chosen: list[run_cells.Cell]) -> dict[run_cells.Cell, run_cells.Observed]:
    """What came out of these cells."""
    with local.start(limits=False) as server:
        return cells_report.run_each(chosen, lambda _, cell: run_cells.run(cell, server))


def entry(end: str) -> str:
    """What a call ended with, for the table."""
    return f"`{end}`" if end else "done"


def table(found: Found) -> str:
    """One line for each hazard, one column for each call."""
    heads = [f"`{kind.name}`: {run_cells.PLACES[place]}" for kind, place in COLUMNS]
    lines = ["| fault | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for hazard in run_cells.RUN_HAZARDS:
        entries = []
        for kind, place in COLUMNS:
            once, always = (
                " or ".join(sorted({
                    entry(o.end) for c, o in found.items()
                    if (c.hazard, c.kind, c.place, c.always) == (hazard, kind, place, often)
                })) or "–"
                for often in (False, True)
            )  # fmt: skip
            entries.append(once if once == always else f"{once} / {always}")
        lines.append(f"| {hazard.title} | " + " | ".join(entries) + " |")
    return "\n".join(lines)


def main() -> int:
    """Run every cell and print or write the table."""
    shortened_waits.shorten()
    begin = time.monotonic()
    found = run(run_cells.sample() if "--quick" in sys.argv else list(run_cells.cells()))
    wrong = cells_report.print_wrong(found, run_cells.problems, begin)
    if "--dry" not in sys.argv:
        reliability_page.write(
            "run-figures", f"{len(found):,} calls, {len(found) - wrong:,} as promised."
        )
        reliability_page.write("runs", table(found))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
