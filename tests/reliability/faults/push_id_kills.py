"""Kill clients of pushes with an id, and push again under the same id until the push is DONE.

    python tests/reliability/faults/push_id_kills.py [PUSHES] [SEED] [write]

As `kills`, but nothing is resumed: every client pushes its frame, with the same id. It is killed
(SIGKILL) at a time after the begin of its push, while the server holds a certain call of it, or
before or after it writes or removes a manifest, a receipt or a stage; some repeats are killed too.
In a quarter of the pushes a second client pushes the same frame under the same id at the same time,
and is not killed. The tables have no keys. At the end each row must be there exactly once, no job
may be left in NEW, and of each push only its receipt. With "write" the figures go into
docs/reliability.md.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import kills  # noqa: E402
import object_kills  # noqa: E402
import soak  # noqa: E402

from celonis_frames import local  # noqa: E402

PARTS = 2
WRITES = 10
"""Writes and removals at which a client is killed, at most; a push has about so many."""
REPEATS_KILLED = 0.4
RACES = 4
"""Of so many pushes one has a second client."""
MAX_REPEATS = 20


@dataclass
class Plan:
    """A push, the moments at which its clients are killed, and what they said."""

    order: dict[str, Any]
    moments: list[dict[str, Any]]
    races: bool
    said: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether the last client said so."""
        return bool(self.said) and self.said[-1].get("state") == "DONE"


def plans(pushes: int, seed: int, staging: Path) -> list[Plan]:
    """What is pushed, and when its clients are killed; all of it follows from the seed."""
    r = random.Random(seed)
    made = []
    for number in range(pushes):
        order = {
            "push": number, "table": f"T{r.randrange(soak.TABLES)}",
            "rows": r.randint(2_000, 4_000),
            "frame": r.choice(["pandas", "polars", "lazy", "arrow", "generator"]),
            "chunk_bytes": r.randint(4_000, 8_000), "workers": r.choice([1, 2, 4]),
            "staging": f"file://{staging}/{number}", "options": {"push_id": f"push/{number}"},
        }  # fmt: skip
        moments = [_moment(r)]
        while r.random() < REPEATS_KILLED:
            moments.append(_moment(r))
        made.append(Plan(order, moments, races=number % RACES == 0))
    return made


def _moment(r: random.Random) -> dict[str, Any]:
    if r.random() < 1 / 2:
        return kills._moment(r, kills.RESUME_MOMENTS)
    when = r.choice(["before", "after"])
    return {"dies": {"number": r.randint(1, WRITES), "when": when, "removals": True}}


def _one(plan: Plan, victim: object_kills.Victim, second: Any, server: soak.Server) -> None:
    """A push whose clients are killed, and its repeats."""
    for moment in plan.moments:
        others: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: others.append(second.do(plan.order)))  # noqa: B023
        if plan.races:
            thread.start()
        said = _killed(victim, server, plan.order, moment)
        if plan.races:
            thread.join()
        plan.said += [*others, said]
        if "killed" not in said:
            break
    while not plan.is_done and len(plan.said) < MAX_REPEATS:
        plan.said.append(victim.do_until(plan.order, lambda: False))
    plan.said.append(victim.do_until(plan.order, lambda: False))


def _killed(
    victim: object_kills.Victim, server: soak.Server, order: dict[str, Any], moment: dict[str, Any]
) -> dict[str, Any]:
    """What the client says, or that it was killed; afterwards the server holds no calls."""
    try:
        if "dies" in moment:
            return victim.do_until(order | moment, lambda: False)
        if "after" in moment:
            at = time.monotonic() + moment["after"]
            return victim.do_until(order, lambda: time.monotonic() > at)
        server.arm([moment])
        before = server.struck
        return victim.do_until(order, lambda: server.hits() > before)
    finally:
        server.arm([{"kind": "clear"}])


def kill_all(pushes: int, seed: int, folder: Path) -> soak.Report:
    """Push, kill, push again, and count the rows."""
    begin = time.monotonic()
    (folder / "staging").mkdir()
    planned = plans(pushes, seed, folder / "staging")
    files = [folder / f"{part}.duckdb" for part in range(PARTS)]
    killed: list[int] = []
    failures: list[BaseException] = []

    def work(number: int, file: Path) -> None:
        server = soak.Server(file)
        victim, second = (object_kills.Victim(server.port) for _ in range(2))
        try:
            for plan in planned[number::PARTS]:
                if failures:
                    break
                _one(plan, victim, second, server)
            time.sleep(kills.LATE_SECONDS)
            killed.append(victim.kills)
        except BaseException as error:
            failures.append(error)
        finally:
            victim.stop()
            second.stop()
            server.stop()

    threads = [threading.Thread(target=work, args=each) for each in enumerate(files)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for number, file in enumerate(files):
        wrong += _judge(planned[number::PARTS], file, folder / "staging", counts)
    ends = Counter(_end(said) for plan in planned for said in plan.said)
    figures: dict[str, Any] = {
        "pushes": len(planned),
        "pushes with two clients at once": sum(plan.races for plan in planned),
        "clients killed": sum(killed),
        "calls of push": sum(ends.values()),
        "rows pushed": sum(plan.order["rows"] for plan in planned),
        "rows in the tables": counts["rows"],
        "rows that are there twice": counts["twice"],
        "rows that are missing": counts["missing"],
        "jobs left in NEW": counts["open"],
        "ends": dict(ends.most_common()),
        "seconds": round(time.monotonic() - begin),
    }
    return soak.Report(figures, wrong)


def _end(said: dict[str, Any]) -> str:
    """How a call ended, in a word or two."""
    if "killed" in said:
        return "killed"
    return str(said.get("error", "repeated" if said.get("repeated") else said.get("state", "hung")))


def _judge(part: list[Plan], file: Path, staging: Path, counts: Counter[str]) -> list[str]:
    """What is not as promised of the pushes to one server."""
    with local.start(file, limits=False) as celonis:
        while any(job["status"] in ("QUEUED", "RUNNING") for job in celonis.jobs):
            time.sleep(0.05)
        there = soak._there(celonis)
        left_open = sum(job["status"] == "NEW" for job in celonis.jobs)
    counts["open"] += left_open
    wrong = [f"{left_open} jobs are left in NEW"] if left_open else []
    for plan in part:
        number, count = plan.order["push"], plan.order["rows"]
        rows, distinct, bad = there.pop(number, (0, 0, 0))
        counts["rows"] += rows
        counts["twice"] += rows - distinct
        counts["missing"] += count - distinct
        left = sorted(path.name for path in (staging / str(number)).iterdir())
        found = []
        if (rows, distinct, bad) != (count, count, 0):
            found.append(f"{rows} rows, {distinct} different ones, {bad} wrong, instead of {count}")
        if not (plan.is_done and plan.said[-1]["repeated"]):
            found.append("the last push was no repeat of one that is DONE")
        if any("hung" in one or one.get("known") is False for one in plan.said):
            found.append("a client hung, or raised what is no error of its own")
        if len(left) != 1 or not left[0].startswith("receipt-"):
            found.append(f"there are left {left}")
        wrong += [f"push {number}: {one}; said {plan.said}" for one in found]
    return wrong + [f"rows of push {number}, which nobody made" for number in there]


def main() -> int:
    """Kill so many pushes with this seed; 0 if each row is there exactly once."""
    return soak.kill_and_show("push-id-kills", 200, kill_all)


if __name__ == "__main__":
    raise SystemExit(main())
