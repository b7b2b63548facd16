"""How much of the library a small push runs: its distinct functions, their files, its threads.

    python -m tests.benchmarks.functions [--names]

The second push of a polars frame of two rows to a local Celonis, in one process, which pushes to a
table that exists. Counted are the functions whose code is in the library, outside `local`; Python
runs a comprehension or a lambda as a function of its own, and up to 3.11 every comprehension. Who
reads how a push works has to follow these functions.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import polars as pl

import celonis_frames
from celonis_frames import local

_ROOT = Path(celonis_frames.__file__).parent
_INNER = ("<lambda>", "<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>")


@contextmanager
def recorded(functions: set[tuple[str, str]], threads: list[str]) -> Iterator[None]:
    """Adds the functions that run within the block, and the threads that it starts."""
    start = threading.Thread.start

    def noted(self: threading.Thread) -> None:
        threads.append(self.name)
        start(self)

    def on_event(frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(_ROOT):
            file = path.relative_to(_ROOT)
            if file.parts[0] != "local":
                functions.add((file.as_posix(), frame.f_code.co_qualname))

    threading.Thread.start = noted  # type: ignore[method-assign]
    threading.setprofile(on_event)
    sys.setprofile(on_event)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
        threading.Thread.start = start  # type: ignore[method-assign]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="The functions that a small push runs.")
    parser.add_argument("--names", action="store_true", help="print each function")
    names = parser.parse_args().names
    functions: set[tuple[str, str]] = set()
    threads: list[str] = []
    frame = pl.DataFrame({"A": [1, 2]})
    with local.start() as server:
        client = server.connect()
        client.push(frame, "P", "T")
        with recorded(functions, threads):
            client.push(frame, "P", "T")
    files = Counter(file for file, _ in functions)
    named = sum(not name.endswith(_INNER) for _, name in functions)
    ours = sorted(name for name in threads if name.startswith("celonis-"))
    print(f"{len(functions)} functions in {len(files)} files; {named} without comprehensions")
    print(f"{len(ours)} threads besides the caller's: {', '.join(ours)}")
    for file, count in files.most_common():
        print(f"{count:4} {file}")
        if names:
            for name in sorted(name for at, name in functions if at == file):
                print(f"       {name}")


if __name__ == "__main__":
    main()
