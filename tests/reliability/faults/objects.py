"""Run the fault matrix of objects and write what came out of it into docs/reliability.md.

    python tests/reliability/faults/objects.py [--quick] [--dry]

--quick takes a part of the cells, as the normal test run does; --dry writes nothing.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import cells_report  # noqa: E402
import object_cells  # noqa: E402
import reliability_page  # noqa: E402
import shortened_waits  # noqa: E402

from celonis_frames import local  # noqa: E402

Found = Mapping[object_cells.Cell, object_cells.Observed]
COLUMNS = [(keying, repeat) for keying in object_cells.KEYINGS for repeat in ("never", "allowed")]


def run(chosen: list[object_cells.Cell]) -> dict[object_cells.Cell, object_cells.Observed]:
    """What came out of these cells."""
    with local.start(limits=False) as server, tempfile.TemporaryDirectory() as folder:

        def run_in_its_folder(number: int, cell: object_cells.Cell) -> object_cells.Observed:
            place = Path(folder) / str(number)
            place.mkdir()
            return object_cells.run(cell, server, place)

        return cells_report.run_each(chosen, run_in_its_folder)


def entry(cell: object_cells.Cell, observed: object_cells.Observed) -> str:
    """What a push ended with, and its resumption, for the table."""
    text = f"`{observed.end}`" if observed.end else "stored"
    if observed.resumed is not None:
        text += ", resumed" if not observed.resumed else ", not resumed"
    if object_cells.problems(cell, observed):
        text += " ✗"
    return text


def possible(cell: object_cells.Cell) -> set[str]:
    """The entries that the promises allow."""
    found = set()
    for end in cell.ends:
        text = f"`{end}`" if end else "stored"
        if end and cell.staging:
            text += ", resumed" if cell.resumes(end) else ", not resumed"
        found.add(text)
    return found


def table(found: Found) -> str:
    """One line for each hazard, one column for each way of pushing."""
    heads = [f"{keying.title}{', repeat' * (repeat == 'allowed')}" for keying, repeat in COLUMNS]
    lines = ["| fault | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for hazard in object_cells.OBJECT_HAZARDS:
        entries = []
        for keying, repeat in COLUMNS:
            seen = [
                sorted({
                    entry(c, o) for c, o in found.items()
                    if (c.hazard, c.keying, c.repeat, c.always) == (hazard, keying, repeat, always)
                    and (c.staging or not o.end)
                })
                for always in (False, True)
            ]  # fmt: skip
            once, always = (" or ".join(texts) or "–" for texts in seen)
            entries.append(once if once == always else f"{once} / {always}")
        lines.append(f"| {hazard.title} | " + " | ".join(entries) + " |")
    return "\n".join(lines)


def main() -> int:
    """Run every cell and print or write the table."""
    shortened_waits.shorten()
    begin = time.monotonic()
    found = run(object_cells.sample() if "--quick" in sys.argv else list(object_cells.cells()))
    wrong = cells_report.print_wrong(found, object_cells.problems, begin)
    if "--dry" not in sys.argv:
        resumed = sum(observed.resumed is not None for observed in found.values())
        figures = (
            f"{len(found):,} pushes of {len(object_cells.OBJECT_HAZARDS)} faults, "
            f"{len(found) - wrong:,} as promised; {resumed:,} of them were resumed."
        )
        reliability_page.write("object-figures", figures)
        reliability_page.write("objects", table(found))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
