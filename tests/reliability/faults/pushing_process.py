"""Push in a process of its own, which gets a signal or forks while a call runs.

Run as a program, ``pushing_process.py CELL URL TOKEN POOL FOLDER``, it makes the push of a cell of
the matrix in its main thread, or, if it is to fork, in another one; it forks at a line of stdin,
and the child ends with sys.exit(). It prints what came of the push as a line of JSON.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

SECONDS = 60.0
"""Longest time for a call to be struck, and for the process to end after that."""
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Raised(Exception):
    """What the process raised; its class has the same name."""

    job_id: str | None


def push(cell: Any, server: Any, pool: str, folder: Path, fault: Any) -> Any:
    """Make the push of a cell, and strike once its fault has hit a call.

    Raises:
        Raised: The process raised an error.
    """
    words = [str(cell), server.url, server.token, pool, str(folder)]
    with subprocess.Popen(
        [sys.executable, __file__, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            _wait_for(fault, process)
            if cell.hazard.strikes == "fork":
                answer = process.communicate("fork\n", timeout=SECONDS)[0]
            else:
                process.send_signal(getattr(signal, cell.hazard.strikes))
                answer = process.communicate(timeout=SECONDS)[0]
        finally:
            process.kill()
    said = json.loads(answer)
    if "error" in said:
        error = type(said["error"], (Raised,), {})(said["message"])
        error.job_id = said["job_id"]
        raise error
    return SimpleNamespace(**said)


def _wait_for(fault: Any, process: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not fault.hits and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)


def main() -> None:
    """Push, and print what came of it."""
    import matrix_cells  # noqa: PLC0415  # it imports this module
    import shortened_waits  # noqa: PLC0415

    name, url, token, pool, folder = sys.argv[1:]
    shortened_waits.shorten()
    cell = next(cell for cell in matrix_cells.cells() if str(cell) == name)
    server = SimpleNamespace(url=url, token=token)
    said: dict[str, Any] = {}

    def pushing() -> None:
        try:
            status = matrix_cells.push(cell, server, pool, matrix_cells.frame(), Path(folder))
            said.update(chunks=status.chunks)
        except BaseException as error:  # also a signal's
            text = " ".join([str(error), *getattr(error, "__notes__", [])])
            job_id = getattr(error, "job_id", None) or next(iter(_ID.findall(text)), None)
            said.update(error=type(error).__name__, job_id=job_id, message=text)

    if cell.hazard.strikes == "fork":
        thread = threading.Thread(target=pushing)
        thread.start()
        sys.stdin.readline()
        child = os.fork()
        if not child:
            sys.exit()
        os.waitpid(child, 0)
        thread.join()
    else:
        # Under nohup it is ignored, and that is inherited.
        signal.signal(getattr(signal, cell.hazard.strikes), signal.SIG_DFL)
        pushing()
    print(json.dumps(said))


if __name__ == "__main__":
    main()
