"""Ways to write the same frame on a cluster, side by side: seconds, and memory of each process."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from .lines import LINES, sink

SAMPLE_SECONDS = 0.1

KindOf = Callable[[psutil.Process], str | None]


class Peaks:
    """The most memory of each kind of process while a block runs.

    `kind_of` tells the kinds of the processes below this one, which is the driver.
    """

    def __init__(self, kind_of: KindOf) -> None:
        self.bytes: dict[str, int] = defaultdict(int)
        self._kind_of = kind_of

    @contextmanager
    def sampled(self) -> Iterator[None]:
        """Sample the processes while the block runs."""
        stop = threading.Event()
        thread = threading.Thread(target=self._sample, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _sample(self, stop: threading.Event) -> None:
        while not stop.wait(SAMPLE_SECONDS):
            own = psutil.Process()
            self._see("driver", own)
            for process in own.children(recursive=True):
                try:
                    kind = self._kind_of(process)
                    if kind is not None:
                        self._see(kind, process)
                except psutil.Error:
                    continue  # it has ended

    def _see(self, kind: str, process: psutil.Process) -> None:
        self.bytes[kind] = max(self.bytes[kind], process.memory_info().rss)


def measure(
    ways: Mapping[str, Callable[[], object]], kinds: Sequence[str], kind_of: KindOf, repeat: int
) -> None:
    """Print a table of the ways, the first of which the others are compared with.

    They take turns; the first round warms them up.
    """
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    peaks = {way: Peaks(kind_of) for way in ways}
    for number in range(repeat + 1):
        for way, write in ways.items():
            with peaks[way].sampled():
                begin = time.perf_counter()
                write()
                if number:
                    seconds[way].append(time.perf_counter() - begin)
    first = next(iter(ways))
    plain = statistics.median(seconds[first])
    print(f"| way | seconds | to {first} | " + " | ".join(f"{kind}, MB" for kind in kinds) + " |")
    print("|---" * (3 + len(kinds)) + "|")
    for way, found in seconds.items():
        median = statistics.median(found)
        most = [f"{peaks[way].bytes[kind] / 1e6:.0f}" for kind in kinds]
        shown = " ".join(f"{one:.1f}" for one in sorted(found))
        print(f"| {way} | {shown} | {median / plain:.2f} | {' | '.join(most)} |", flush=True)


@contextmanager
def sizes_to_measure(about: str | None) -> Iterator[tuple[list[int], Path, int]]:
    """What the command line asks for: the rows of each size, a folder, and the number of rounds.

    The environment leads to a sink meanwhile.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("rows", nargs="+", type=lambda text: int(float(text)))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with sink(LINES["loopback"]) as target, tempfile.TemporaryDirectory() as temporary:
        os.environ |= {"CELONIS_URL": target.url, "CELONIS_API_TOKEN": "x" * 32}
        yield given.rows, given.folder or Path(temporary), given.repeat
