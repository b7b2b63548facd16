"""What `import celonis_frames` costs beyond `import pyarrow, requests`, which a push needs anyway.

    python -m tests.benchmarks.imports [--repeat 20]

Milliseconds of CPU in fresh processes, in turns: of the import, and of the first public name, which
imports what a push needs. A busy machine makes them longer; the least are nearest to the truth.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

AIM = 30.0
"""Milliseconds that the import may cost."""
CODES = {
    "import celonis_frames": "import celonis_frames",
    "and its first name": "import celonis_frames; celonis_frames.push",
}
_PROGRAM = """
import pyarrow, requests, time
begin = time.process_time()
{code}
print((time.process_time() - begin) * 1000)
"""


def measure(repeat: int) -> dict[str, list[float]]:
    """Milliseconds of CPU of each of `CODES`, `repeat` times."""
    found: dict[str, list[float]] = {name: [] for name in CODES}
    for _ in range(repeat):
        for name, code in CODES.items():
            program = [sys.executable, "-c", _PROGRAM.format(code=code)]
            done = subprocess.run(program, capture_output=True, text=True, check=True)
            found[name].append(float(done.stdout))
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=20)
    for name, found in measure(parser.parse_args().repeat).items():
        middle = statistics.median(found)
        print(f"{name:24} least {min(found):6.1f} ms, median {middle:6.1f} ms of CPU")
    print(f"{'aim':24} {AIM:12.1f} ms for the import")


if __name__ == "__main__":
    main()
