"""Kill every client of staged pushes at a seeded moment, and resume until the push returns.

    python tests/reliability/faults/kills.py [PUSHES] [SEED] [write]

PUSHES are those whose clients are killed; a few pushes end before that. A client is a process that
is killed (SIGKILL): at a time after the begin of its push, or while the server holds a certain call
of it, which is carried out before the kill, after it, or not at all. Then the push is resumed; some
resumes are killed too. At the end the rows in the tables must be those of the pushes reported DONE,
and no job may be left in NEW. Four series of pushes run side by side, each with its own server.
With "write" the figures go into docs/reliability.md.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import soak  # noqa: E402

PARTS = 4
SCALE = 0.1
"""Factor of the client's pauses: it expects what is late within a second."""
LATE_SECONDS = 0.4
"""Longest time from a kill until a call that is carried out late."""
PUSH_SECONDS = 0.6
"""A push takes about so long."""
RESUMES_KILLED = 0.4
MAX_RESUMES = 12

MOMENTS = [
    *(
        (call, when)
        for call in ("create", "upload", "execute")
        for when in ("before", "after", "late")
    ),
    *((call, when) for call in ("chunks", "job") for when in ("before", "after")),
]
RESUME_MOMENTS = [
    *MOMENTS,
    ("jobs", "after"),
    ("cancel", "before"),
    ("cancel", "after"),
    ("cancel", "late"),
]
"""Calls that the server holds, and whether it carries them out."""


class Victim(soak.Client):
    """A client that is killed at an event; forks of one process take its part one by one."""

    def __init__(self, port: int) -> None:
        super().__init__(port, "forks", str(SCALE))

    def order(self, order: dict[str, Any]) -> None:
        """Let the current fork begin."""
        super().order(order | {"pid": self.pid})

    def kill(self) -> None:
        """SIGKILL for the current fork."""
        with contextlib.suppress(ProcessLookupError):  # it has just killed itself
            os.kill(self.pid, signal.SIGKILL)
        self.kills += 1
        said: dict[str, Any] | None = {}
        while (
            said is not None and "pid" not in said
        ):  # the killed one may still have said something
            said = self.said(soak.HANG_SECONDS)
        assert said is not None, "no client is left"
        self.pid = said["pid"]

    def do_until(self, order: dict[str, Any], struck: Callable[[], bool]) -> dict[str, Any]:
        """What the client says it did; ``{"killed": True}`` if it was struck before that."""
        self.order(order)
        deadline = time.monotonic() + soak.HANG_SECONDS
        while time.monotonic() < deadline:
            said = self.said(0.005)
            if said is not None:
                return said
            if struck():
                self.kill()
                return {"killed": True}
        self.kill()
        return {"hung": True}


def plans(pushes: int, seed: int, staging: Path) -> list[soak.Plan]:
    """What is pushed, and when its clients are killed: `faults` has a moment for each client."""
    r = random.Random(seed)
    made = []
    for number in range(pushes):
        order = {
            "push": number,
            "table": f"T{r.randrange(soak.TABLES)}",
            "rows": r.randint(2_000, 4_000),
            "frame": r.choice(["pandas", "polars", "lazy", "arrow", "generator"]),
            "chunk_bytes": r.randint(4_000, 8_000),
            "workers": r.choice([1, 2, 4]),
            "staging": f"file://{staging}/{number}",
        }
        moments = [_moment(r, MOMENTS)]
        while r.random() < RESUMES_KILLED:
            moments.append(_moment(r, RESUME_MOMENTS))
        made.append(soak.Plan(order, moments))
    return made


def _moment(r: random.Random, calls: list[tuple[str, str]]) -> dict[str, Any]:
    if r.random() < 1 / 3:
        return {"after": r.uniform(0.0, PUSH_SECONDS)}
    call, when = r.choice(calls)
    return {
        "kind": "stall", "route": call, "when": when, "seconds": 30.0,
        "late_seconds": r.uniform(0.0, LATE_SECONDS),
        "skip": r.randrange(4) if call == "upload" else 0,
    }  # fmt: skip


def _one(plan: soak.Plan, victim: Victim, server: soak.Server) -> None:
    """A push whose client is killed, and its resumption."""
    order = plan.order
    for number, moment in enumerate(plan.faults):
        said = _killed(victim, server, order, moment)
        if number:
            plan.resumed.append(said)
        else:
            plan.result = said
        if "killed" not in said:
            break
        order = {"resume": plan.order["staging"]}
    if "killed" not in plan.result:
        return
    while len(plan.resumed) < MAX_RESUMES:
        last = plan.resumed[-1] if plan.resumed else {"killed": True}
        if "killed" not in last and last.get("error") not in (
            "ApiTimeoutError",
            "ApiConnectionError",
        ):
            return
        plan.resumed.append(victim.do({"resume": plan.order["staging"]}))


def _killed(
    victim: Victim, server: soak.Server, order: dict[str, Any], moment: dict[str, Any]
) -> dict[str, Any]:
    """What the client says, or that it was killed; afterwards the server holds no calls."""
    try:
        if "after" in moment:
            return victim.do(order, moment["after"])
        server.arm([moment])
        before = server.struck
        return victim.do_until(order, lambda: server.hits() > before)
    finally:
        server.arm([{"kind": "clear"}])


def kill_all(pushes: int, seed: int, folder: Path) -> soak.Report:
    """Push, kill, resume, and count the rows."""
    begin = time.monotonic()
    (folder / "staging").mkdir()
    planned = plans(2 * pushes, seed, folder / "staging")
    parts: list[list[soak.Plan]] = [[] for _ in range(PARTS)]
    files = [folder / f"{part}.duckdb" for part in range(PARTS)]
    kills: list[int] = []
    failures: list[BaseException] = []

    def work(number: int, file: Path) -> None:
        part = parts[number]
        server = soak.Server(file)
        victim = Victim(server.port)
        try:
            for plan in planned[number::PARTS]:
                killed = sum("killed" in done.result for done in part)
                if failures or killed >= -(-pushes // PARTS):
                    break
                part.append(plan)
                _one(plan, victim, server)
            time.sleep(LATE_SECONDS)
            kills.append(victim.kills)
        except BaseException as error:
            failures.append(error)
        finally:
            victim.stop()
            server.stop()

    threads = [threading.Thread(target=work, args=each) for each in enumerate(files)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    reports = [soak.judge(part, file) for part, file in zip(parts, files, strict=True)]
    figures, wrong = _together(reports, [plan for part in parts for plan in part])
    figures["clients killed"] = sum(kills)
    figures["seconds"] = round(time.monotonic() - begin)
    return soak.Report(figures, wrong)


def _together(
    reports: list[soak.Report], todo: list[soak.Plan]
) -> tuple[dict[str, Any], list[str]]:
    wrong = [problem for report in reports for problem in report.wrong]
    total: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for report in reports:
        ends.update(report.figures.pop("ends"))
        total.update(report.figures)
    if total["jobs left open"]:
        wrong.append(f"{total['jobs left open']} jobs are left in NEW")
    wrong += [
        f"push {plan.order['push']} has not returned; said {plan.resumed}"
        for plan in todo
        if plan.resumed and "killed" in plan.resumed[-1]
    ]
    figures: dict[str, Any] = {
        "pushes": len(todo),
        "pushes killed": sum("killed" in plan.result for plan in todo),
        "resumes killed": sum("killed" in said for plan in todo for said in plan.resumed),
        "rows in the tables": total["rows in the tables"],
        "rows of pushes reported DONE": total["rows of pushes reported DONE"],
        "rows of killed pushes that had been submitted": total[
            "rows of killed pushes that had been submitted"
        ],
        "ends": dict(ends.most_common()),
        "jobs left in NEW": total["jobs left open"],
    }
    return figures, wrong


def main() -> int:
    """Kill so many pushes with this seed; 0 if nothing was lost, doubled or left behind."""
    return soak.kill_and_show("kills", 200, kill_all)


if __name__ == "__main__":
    raise SystemExit(main())
