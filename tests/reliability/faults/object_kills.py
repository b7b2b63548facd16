"""Kill every client of staged pushes of objects at a seeded moment, and resume until it returns.

    python tests/reliability/faults/object_kills.py [PUSHES] [SEED] [write]

As `kills`, for the Data Ingestion API: a client is killed (SIGKILL) while the gateway holds a PUT,
before or after a write of the manifest, or at a time after the begin of its push; some resumes are
killed too. Each push has a table of its own: with keys and an age column, with unique keys, or
without keys. At the end the rows in the table must be those that the last process reported. With
"write" the figures go into docs/reliability.md.
"""

from __future__ import annotations

import contextlib
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
import soak  # noqa: E402

from celonis_frames import local  # noqa: E402

PARTS = 2
POOL = "Kills"
PUSH_SECONDS = 0.5
"""A push takes about so long."""
WRITES = 14
"""Writes of a manifest at which a client is killed, at most; a push has about so many."""
RESUMES_KILLED = 0.4
NOTHING = "nothing to resume"
"""It was killed before it was staged, or after all was stored."""
TABLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "age": ({"keys": ["ROW"], "age": "PUSH"}, {"keys": "ROW", "order_by": "PUSH"}),
    "unique": ({"keys": ["ROW"]}, {"keys": "ROW"}),
    "keyless": ({}, {}),
}
"""How a table is set up, and the options of its push."""


@dataclass
class Plan:
    """A push, the moments at which its clients are killed, and what they said."""

    order: dict[str, Any]
    keying: str
    moments: list[dict[str, Any]]
    said: list[dict[str, Any]] = field(default_factory=list)

    @property
    def end(self) -> str:
        """What the last client said: ACCEPTED or an error's class."""
        last = self.said[-1]
        said = last.get("resumed", [last])[0].get("state", last.get("error", last))
        return NOTHING if said in ("ConfigError", "NoManifest") else str(said)


class Victim(kills.Victim):
    """A client that may also kill itself."""

    def do_until(self, order: dict[str, Any], struck: Any) -> dict[str, Any]:
        """As of `kills.Victim`; a fork that says hello follows one that was killed."""
        said = super().do_until(order, struck)
        if "pid" in said:
            self.pid = said["pid"]
            self.kills += 1
            return {"killed": True}
        return said


def plans(pushes: int, seed: int, staging: Path) -> list[Plan]:
    """What is pushed, and when its clients are killed; all of it follows from the seed."""
    r = random.Random(seed)
    made = []
    for number in range(pushes):
        keying = list(TABLES)[number % len(TABLES)]
        order = {
            "push": number, "table": f"T{number}", "pool": POOL, "rows": r.randint(2_000, 4_000),
            "frame": r.choice(["pandas", "polars", "lazy", "arrow", "generator"]),
            "chunk_bytes": r.randint(8_000, 24_000), "workers": r.choice([1, 2, 4]),
            "staging": f"file://{staging}/{number}", "options": TABLES[keying][1],
        }  # fmt: skip
        moments = [_moment(r)]
        while r.random() < RESUMES_KILLED:
            moments.append(_moment(r))
        made.append(Plan(order, keying, moments))
    return made


def _moment(r: random.Random) -> dict[str, Any]:
    kind = r.choice(["time", "write", "put", "put"])
    if kind == "time":
        return {"after": r.uniform(0.0, PUSH_SECONDS)}
    if kind == "write":
        return {"dies": {"number": r.randint(1, WRITES), "when": r.choice(["before", "after"])}}
    return {
        "when": r.choice(["before", "after", "late"]), "seconds": 30.0,
        "late_seconds": r.uniform(0.0, kills.LATE_SECONDS), "skip": r.randrange(4),
    }  # fmt: skip


def _one(plan: Plan, victim: Victim, server: Any, ingestion: dict[str, str]) -> None:
    """A push whose client is killed, and its resumption."""
    order = plan.order | {"ingestion": ingestion}
    for moment in plan.moments:
        plan.said.append(_killed(victim, server, order, moment))
        if "killed" not in plan.said[-1]:
            break
        order = {"resume": plan.order["staging"], "ingestion": ingestion}
    while "killed" in plan.said[0] and len(plan.said) < kills.MAX_RESUMES:
        retry = ("ApiTimeoutError", "ApiConnectionError")
        if "killed" not in plan.said[-1] and plan.said[-1].get("error") not in retry:
            return
        plan.said.append(victim.do_until(order, lambda: False))


def _killed(
    victim: Victim, server: Any, order: dict[str, Any], moment: dict[str, Any]
) -> dict[str, Any]:
    """What the client says, or that it was killed; afterwards the server holds no calls."""
    if "dies" in moment:
        return victim.do_until(order | moment, lambda: False)
    if "after" in moment:
        at = time.monotonic() + moment["after"]
        return victim.do_until(order, lambda: time.monotonic() > at)
    fault = server.faults.stall("put", **moment)
    try:
        return victim.do_until(order, lambda: bool(fault.hits))
    finally:
        server.faults.clear()


def kill_all(pushes: int, seed: int, folder: Path) -> soak.Report:
    """Push, kill, resume, and compare the rows."""
    begin = time.monotonic()
    (folder / "staging").mkdir()
    planned = plans(2 * pushes, seed, folder / "staging")
    done: list[Plan] = []
    wrong: list[str] = []
    failures: list[BaseException] = []
    counts: Counter[str] = Counter()

    def work(number: int) -> None:
        with local.start(limits=False) as server:
            server._state.objects.loads_again = True  # or what is stored twice would not show
            victim = Victim(int(server.url.rpartition(":")[2]))
            killed = 0
            try:
                for plan in planned[number::PARTS]:
                    if failures or killed >= -(-pushes // PARTS):
                        break
                    tables = {plan.order["table"]: TABLES[plan.keying][0]}
                    keys = server.ingestion(POOL, tables=tables)
                    texts = {
                        name: getattr(keys, name) for name in ("connection", "bucket", "region")
                    }
                    secrets = {
                        name: getattr(keys, name).reveal() for name in ("access_key", "secret_key")
                    }
                    _one(plan, victim, server, texts | secrets)
                    killed += "killed" in plan.said[0]
                    done.append(plan)
                time.sleep(kills.LATE_SECONDS)
                server.wait_ingested()
                for plan in planned[number::PARTS]:
                    if plan.said:
                        wrong.extend(_problems(plan, server, keys.connection, counts))
                counts["clients killed"] += victim.kills
            except BaseException as error:
                failures.append(error)
            finally:
                victim.stop()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(PARTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    ends = Counter(
        f"{plan.keying}: {'killed, ' if 'killed' in plan.said[0] else ''}{plan.end}"
        for plan in done
    )
    figures: dict[str, Any] = {
        "pushes": len(done),
        "pushes killed": sum("killed" in plan.said[0] for plan in done),
        "resumes killed": sum("killed" in said for plan in done for said in plan.said[1:]),
        "clients killed": counts["clients killed"],
        "rows in the tables": counts["rows"],
        "rows that are there twice": counts["twice"],
        "ends": dict(sorted(ends.items())),
        "seconds": round(time.monotonic() - begin),
    }
    return soak.Report(figures, wrong)


def _problems(plan: Plan, server: Any, connection: str, counts: Counter[str]) -> list[str]:
    """What is not as promised of a push."""
    rows: list[dict[str, Any]] = []
    with contextlib.suppress(KeyError):
        rows = server.table(POOL, plan.order["table"], connection=connection).to_pylist()
    there = Counter(row["ROW"] for row in rows)
    twice, count = len(rows) - len(there), plan.order["rows"]
    counts["rows"] += len(rows)
    counts["twice"] += twice
    found = []
    if twice:
        found.append(f"{twice} rows are there twice")
    if any(not _is_sent(row, plan.order["push"], count) for row in rows):
        found.append("rows have other values")
    if plan.end == "ACCEPTED" and len(there) != count:
        found.append(f"{count - len(there)} rows are lost, but the push says it is done")
    if plan.end == "FrameError" and rows:
        found.append(f"{len(rows)} rows are there of a push that was never staged")
    if plan.end == NOTHING and len(there) not in (0, count):
        found.append(f"{len(there)} of {count} rows are there, and there is nothing to resume")
    if plan.end == "UploadUncertain" and plan.keying != "keyless":
        found.append("a push that may be repeated was not resumed")
    if plan.end not in ("ACCEPTED", "FrameError", NOTHING, "UploadUncertain"):
        found.append("the push did not return")
    return [f"push {plan.order['push']} ({plan.keying}): {one}; said {plan.said}" for one in found]


def _is_sent(row: dict[str, Any], push: int, count: int) -> bool:
    """Whether a row is as `soak_client.rows` makes it."""
    number = row["ROW"]
    text = None if number % 11 == 3 else f"{push}:{number * 7919 % 104_729}"
    value = None if number % 7 == 2 else (push * 31 + number) / 8
    return 0 <= number < count and (row["PUSH"], row["TEXT"], row["VALUE"]) == (push, text, value)


def main() -> int:
    """Kill so many pushes with this seed; 0 if nothing was lost, doubled or left behind."""
    return soak.kill_and_show("object-kills", 100, kill_all)


if __name__ == "__main__":
    raise SystemExit(main())
