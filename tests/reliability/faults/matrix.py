"""Run the fault matrix and write what came out of it into docs/reliability.md.

    python tests/reliability/faults/matrix.py [--quick] [--dry]

--quick takes a part of the cells, as the normal test run does; --dry writes nothing.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import cells_report  # noqa: E402
import expected_outcomes  # noqa: E402
import matrix_cells  # noqa: E402
import naive_client  # noqa: E402
import reliability_page  # noqa: E402
import shortened_waits  # noqa: E402

from celonis_frames import local  # noqa: E402

Found = Mapping[matrix_cells.Cell, matrix_cells.Observed]


def run(
    chosen: list[matrix_cells.Cell], pushing: matrix_cells.Push = matrix_cells.push
) -> dict[matrix_cells.Cell, matrix_cells.Observed]:
    """What came out of these cells."""
    with local.start(limits=False) as server, tempfile.TemporaryDirectory() as folder:

        def run_in_its_folder(number: int, cell: matrix_cells.Cell) -> matrix_cells.Observed:
            place = Path(folder) / str(number)
            place.mkdir()
            return matrix_cells.run(cell, server, place, pushing)

        return cells_report.run_each(chosen, run_in_its_folder)


def broken(found: Found) -> list[matrix_cells.Cell]:
    """The cells in which a promise was not kept."""
    return [c for c, o in found.items() if o.wrong or o.outcome not in c.allowed]


def table(found: Found) -> str:
    """One line for each hazard, one column for each call."""
    seen: dict[tuple[str, str, bool], set[str]] = defaultdict(set)
    bad = set(broken(found))
    for cell, observed in found.items():
        text = str(observed.outcome)
        if cell in bad:
            text += " ✗" + "".join(f" ({sentence})" for sentence in observed.wrong)
        seen[cell.call, cell.hazard.name, cell.always].add(text)

    def entry(call: str, hazard: expected_outcomes.Hazard) -> str:
        if call not in hazard.calls:
            return "–"
        once, always = (" or ".join(sorted(seen[call, hazard.name, a])) for a in (False, True))
        return once if always in ("", once) else f"{once} / {always}"

    lines = [
        "| fault | " + " | ".join(expected_outcomes.CALLS.values()) + " |",
        "|---" * (len(expected_outcomes.CALLS) + 1) + "|",
    ]
    lines += [
        f"| {hazard.title} | "
        + " | ".join(entry(call, hazard) for call in expected_outcomes.CALLS)
        + " |"
        for hazard in expected_outcomes.HAZARDS
    ]
    return "\n".join(lines)


def promises() -> str:
    """The rules, as a list."""
    return "\n".join(f"- {rule.why}" for rule in expected_outcomes.RULES)


def comparison(found: Found) -> str:
    """The outcome of blind retries in the upload column, in one sentence."""
    twice = sum(any("twice" in text for text in o.wrong) for o in found.values())
    lost = sum(any("lost" in text for text in o.wrong) for o in found.values())
    left = sum(o.outcome.job == "open" for o in found.values())
    return (
        f"Of its {len(found)} pushes {twice} wrote rows twice, {lost} lost rows and said they were "
        f"done, and {left} left a job open."
    )


def main() -> int:
    """Run every cell and print or write the table."""
    shortened_waits.shorten()
    begin = time.monotonic()
    every = list(matrix_cells.cells())
    quick = matrix_cells.sample() if "--quick" in sys.argv else set(every)
    found = run([cell for cell in every if cell in quick])
    usual = run(
        [
            c
            for c in every
            if c.call == "upload"
            and not c.always
            and not c.staging
            and c.workers == 1
            and not c.hazard.strikes
        ],
        naive_client.push,
    )
    bad = broken(found)
    for cell in bad:
        observed = found[cell]
        allowed = " or ".join(map(str, cell.allowed))
        print(f"{cell}: {observed.outcome}, promised {allowed}. {'; '.join(observed.wrong)}")
        print(f"    {observed.message[:200]}")
    print(f"{len(found)} cells, {len(bad)} not as promised, {time.monotonic() - begin:.0f} s")
    print(f"Blind retries: {comparison(usual)}")
    if "--dry" not in sys.argv:
        reliability_page.write("promises", promises())
        reliability_page.write(
            "figures", f"{len(found):,} pushes, {len(found) - len(bad):,} as promised."
        )
        reliability_page.write("matrix", table(found))
        reliability_page.write("usual", comparison(usual))
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
