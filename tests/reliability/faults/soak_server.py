"""The server of the soak, a process of its own: ``soak_server.py FILE PORT``.

Prints its port, then obeys lines of JSON: ``{"kind": "drop", "route": …, …}`` adds a fault, and is
answered by the number of calls that faults have struck so far; ``{"kind": "clear"}`` lets all work
again, ``{"kind": "hits"}`` only asks for that number. Ends with its input.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from celonis_frames import local

TOKEN = "soak"
PENDING = 6
"""Faults that may wait for their call; beyond that the slate is wiped, or a push meets too many."""


def main() -> None:
    """Serve, and arm the faults that each line of stdin names."""
    with local.start(sys.argv[1], int(sys.argv[2]), token=TOKEN, limits=False) as celonis:
        print(celonis.url.rpartition(":")[2], flush=True)
        armed: list[Any] = []
        struck = 0
        for line in sys.stdin:
            order = json.loads(line)
            if order["kind"] == "clear":
                celonis.faults.clear()
                print(struck + sum(fault.hits for fault in armed), flush=True)
                continue
            if order["kind"] == "hits":
                print(struck + sum(fault.hits for fault in armed), flush=True)
                continue
            waiting = [fault for fault in armed if fault.hits < 1]
            if len(waiting) >= PENDING:
                celonis.faults.clear()
            if len(waiting) >= PENDING or len(armed) > 100:
                struck += sum(fault.hits for fault in armed)
                armed.clear()
            armed.append(getattr(celonis.faults, order.pop("kind"))(**order))
            print(struck + sum(fault.hits for fault in armed), flush=True)


if __name__ == "__main__":
    main()
