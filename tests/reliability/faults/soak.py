"""Push random frames through random faults, and kill whoever takes part.

    python tests/reliability/faults/soak.py [PUSHES] [SEED] [naive | write]

The server is a process on a DuckDB file; clients are processes; both are killed (SIGKILL) at random
moments and started again. Every push appends its rows to a table without keys, so that a row that
is lost or sent twice shows. What is meant to be pushed and what the clients say is written to a
journal before anything else happens. At the end the rows in the tables must be those of the pushes
reported DONE; a push whose client was killed may be there whole, or not at all. With "naive" the
clients retry blindly, to show that the check detects errors; with "write" the figures go into
docs/reliability.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import reliability_page  # noqa: E402

from celonis_frames import local  # noqa: E402

POOL = "Soak"
CLIENTS = 2
TABLES = 4
HANG_SECONDS = 120.0
RESUMES = 5
"""Times that a resume is tried while faults go on; after the last, without faults."""

KILLED = 0.08
SERVER_KILLED = 0.02
FAULTY = 0.7
FINAL = 0.05
"""Shares: clients and servers killed, pushes with faults, faults that no patience overcomes."""


@dataclass
class Plan:
    """A push that is meant."""

    order: dict[str, Any]
    faults: list[dict[str, Any]]
    kill_after: float | None = None
    kill_server: bool = False
    kill_resume: float | None = None
    result: dict[str, Any] = field(default_factory=dict)
    resumed: list[dict[str, Any]] = field(default_factory=list)


def plans(pushes: int, seed: int, staging: Path) -> list[Plan]:
    """What is pushed, and what goes wrong meanwhile: all of it follows from the seed."""
    r = random.Random(seed)
    made = []
    for number in range(pushes):
        staged = number % 2 == 0
        order = {
            "push": number,
            "table": f"T{r.randrange(TABLES)}",
            "rows": int(10 ** r.uniform(0, 3.7)),
            "frame": r.choice(["pandas", "polars", "lazy", "arrow", "generator"]),
            "chunk_bytes": int(10 ** r.uniform(3.5, 4.7)),
            "workers": r.choice([1, 2, 4]),
            "staging": f"file://{staging}/{number}" if staged else None,
        }
        faults = [_fault(r) for _ in range(r.randint(1, 2))] if r.random() < FAULTY else []
        made.append(Plan(order, faults))
    for plan in r.sample(made, max(4, round(pushes * KILLED))):
        plan.kill_after = r.uniform(0.0, 0.4)
        plan.kill_resume = r.choice([None, r.uniform(0.0, 0.4)])
        plan.order |= {"rows": 5_000, "chunk_bytes": 5_000}  # so that there is time to be killed
    plan.kill_after = 0.0  # at least this one does not come to its end
    for plan in r.sample(made, max(1, round(pushes * SERVER_KILLED))):
        plan.kill_server = True
    return made


def _fault(r: random.Random) -> dict[str, Any]:
    route = r.choice(
        ["create", "upload", "upload", "upload", "chunks", "execute", "execute", "job"]
    )
    often = {"route": route, "times": r.choice([1, 1, 2]), "skip": r.choice([0, 0, 1, 2])}
    if r.random() < FINAL:
        return {"kind": "answer", "status": r.choice([401, 403, 404])} | often
    return r.choice(
        [
            {"kind": "drop", "when": r.choice(["before", "body", "after", "after", "late"]),
             "reset": r.random() < 0.5, "late_seconds": r.choice([0.1, 1.0])} | often,
            {"kind": "answer", "status": r.choice([409, 500, 502, 503, 504]),
             "carry_out": r.random() < 0.5} | often,
            {"kind": "answer", "status": 429, "headers": {"Retry-After": "0.1"}} | often,
            {"kind": "stall", "when": r.choice(["before", "late", "after"]),
             "late_seconds": r.choice([0.01, 0.1])} | often,
            {"kind": "garble", "how": r.choice(["cut", "json", "html"])} | often,
            {"kind": "drip", "seconds": 0.3} | often,
            {"kind": "inform", "status": r.choice([102, 103])} | often,
            {"kind": "repeat"} | often | {"route": r.choice(["upload", "execute"])},
            {"kind": "lag", "seconds": r.choice([0.3, 1.0])} | often
            | {"route": r.choice(["chunks", "jobs"])},
            {"kind": "refuse", "seconds": r.uniform(0.05, 0.3), "following": route},
        ]
    )  # fmt: skip


class Server:
    """The server process, started again after each kill."""

    def __init__(self, file: Path) -> None:
        self._file, self.port = file, 0
        self._lock = threading.Lock()
        self.kills = 0
        self._struck, self._struck_before = 0, 0
        self._start()

    @property
    def struck(self) -> int:
        """Calls that faults have struck, about: what a killed server did not tell is missing."""
        return self._struck_before + self._struck

    def arm(self, faults: list[dict[str, Any]]) -> None:
        """Add faults."""
        with self._lock:
            for fault in faults:
                self._input.write(json.dumps(fault) + "\n")
                self._input.flush()
                self._struck = int(self._output.readline())

    def hits(self) -> int:
        """As `struck`, asked now."""
        self.arm([{"kind": "hits"}])
        return self.struck

    def kill(self) -> None:
        """SIGKILL, and a start on the same file and port."""
        with self._lock:
            self._process.kill()
            self._end()
            self.kills += 1
            self._start()

    def stop(self) -> None:
        """Let it end by itself."""
        with self._lock:
            self._input.close()
            self._process.wait(30)
            self._end()

    def _end(self) -> None:
        self._process.wait()
        for pipe in (self._input, self._output):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._struck_before += self._struck
        self._struck = 0

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "soak_server.py"), str(self._file), str(self.port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self.port = int(self._output.readline())


class Client:
    """A client process, started again after each kill."""

    def __init__(self, port: int, *words: str) -> None:
        self._port, self._words = port, words
        self.kills = 0
        self._start()

    def do(self, order: dict[str, Any], kill_after: float | None = None) -> dict[str, Any]:
        """What the client says it did; ``{"killed": True}`` when it was killed before that."""
        self.order(order)
        said = self.said(HANG_SECONDS if kill_after is None else kill_after)
        if said is not None:
            return said
        self.kill()
        return {"hung" if kill_after is None else "killed": True}

    def order(self, order: dict[str, Any]) -> None:
        """Let it begin."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """SIGKILL, and a new process."""
        self.stop(kill=True)
        self._start()
        self.kills += 1

    def stop(self, *, kill: bool = False) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if kill:
            self._process.kill()
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def said(self, seconds: float) -> dict[str, Any] | None:
        """What it says within so many seconds."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        line = self._process.stdout.readline() if ready else b""
        return json.loads(line) if line else None

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "soak_client.py"), f"http://127.0.0.1:{self._port}",
             *self._words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        hello = self.said(HANG_SECONDS)
        assert hello is not None, "a client does not start"
        self.resumes, self.pid = bool(hello["resume"]), int(hello["pid"])


class Journal:
    """Lines of JSON that are on the disk before anything else happens."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, **entry: Any) -> None:
        """Add a line."""
        with self._lock:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass
class Report:
    """What came of a soak."""

    figures: dict[str, Any]
    wrong: list[str]


def soak(pushes: int, seed: int, folder: Path, *words: str) -> Report:
    """Push, break, kill, and count the rows."""
    begin = time.monotonic()
    file = folder / "tables.duckdb"
    (folder / "staging").mkdir()
    todo = plans(pushes, seed, folder / "staging")
    journal = Journal(folder / "journal.jsonl")
    server = Server(file)
    waiting, lock = list(reversed(todo)), threading.Lock()
    clients: list[Client] = []
    failures: list[BaseException] = []

    def work() -> None:
        client = Client(server.port, *words)
        clients.append(client)
        try:
            while True:
                with lock:
                    if failures or not waiting:
                        break
                    plan = waiting.pop()
                    if sys.stderr.isatty():
                        print(f"\r{pushes - len(waiting)} of {pushes}", end="", file=sys.stderr)
                _one(plan, client, server, journal)
        except BaseException as error:
            failures.append(error)
        finally:
            client.stop()

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.stop()
    journal.close()
    if failures:
        raise failures[0]
    report = judge(todo, file)
    report.figures |= {
        "clients killed": sum(client.kills for client in clients),
        "servers killed": server.kills,
        "calls with faults": server.struck,
        "seconds": round(time.monotonic() - begin),
    }
    return report


def _one(plan: Plan, client: Client, server: Server, journal: Journal) -> None:
    """One push, with what goes wrong, and after a kill its resumption."""
    server.arm(plan.faults)
    journal.write(intent=plan.order)
    killer = None
    if plan.kill_server:
        killer = threading.Timer(random.Random(plan.order["push"]).uniform(0, 0.4), server.kill)
        killer.start()
    plan.result = client.do(plan.order, plan.kill_after)
    journal.write(push=plan.order["push"], result=plan.result)
    if killer is not None:
        killer.join()
    staging = plan.order["staging"]
    if staging is None or plan.result.get("state") == "DONE" or not client.resumes:
        return
    for left in reversed(range(RESUMES)):
        if not left:
            server.arm([{"kind": "clear"}])
        kill, plan.kill_resume = plan.kill_resume, None
        plan.resumed.append(client.do({"resume": staging}, kill))
        journal.write(push=plan.order["push"], resumed=plan.resumed[-1])
        if "resumed" in plan.resumed[-1] or plan.resumed[-1].get("error") == "ConfigError":
            break  # ConfigError: it was killed before anything was staged


def judge(todo: list[Plan], file: Path) -> Report:
    """Compare the rows in the tables with what the clients said."""
    with local.start(file, limits=False) as celonis:
        while any(job["status"] in ("QUEUED", "RUNNING") for job in celonis.jobs):
            time.sleep(0.05)
        there = _there(celonis)
        jobs = {job["id"]: job["status"] for job in celonis.jobs}
    wrong: list[str] = []
    rows: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for plan in todo:
        number, count = plan.order["push"], plan.order["rows"]
        found = there.pop(number, (0, 0, 0))
        said = [plan.result, *(one for r in plan.resumed for one in r.get("resumed", [r]))]
        done = any(one.get("state") == "DONE" for one in said)
        submitted = [one for one in said if jobs.get(one.get("job_id", "")) == "DONE"]
        killed = "killed" in plan.result
        ends[_end(plan)] += 1
        rows["reported" if done else "killed" if killed else "ran on"] += found[0]
        problem = _problem(found, count, done=done, free=killed, submitted=bool(submitted))
        if any("hung" in one for one in said):
            problem = problem or "the client hung"
        if any(one.get("known") is False for one in said):
            problem = problem or "the client raised what is no error of its own"
        if problem:
            wrong.append(f"push {number} into {plan.order['table']}: {problem}; said {said}")
    wrong += [
        f"rows of push {number}, which nobody made: {found}" for number, found in there.items()
    ]
    figures: dict[str, Any] = {
        "pushes": len(todo),
        "rows in the tables": sum(rows.values()),
        "rows of pushes reported DONE": rows["reported"],
        "rows of killed pushes that had been submitted": rows["killed"],
        "rows of jobs that ran on after an error": rows["ran on"],
        "ends": dict(ends.most_common()),
        "jobs left open": sum(status == "NEW" for status in jobs.values()),
    }
    return Report(figures, wrong)


def _problem(
    found: tuple[int, int, int], count: int, *, done: bool, free: bool, submitted: bool
) -> str:
    there, distinct, bad = found
    if there > distinct:
        return f"{there - distinct} rows are there twice"
    if bad:
        return f"{bad} rows have other values"
    if there not in (0, count):
        return f"{there} of {count} rows are there"
    if done and not there:
        return f"all {count} rows are lost, but the push was reported DONE"
    if there and not (done or free or submitted):
        return f"all {count} rows are there, but the push was reported as failed"
    return ""


def _end(plan: Plan) -> str:
    """How a push ended, in a word or two."""
    last = plan.resumed[-1] if plan.resumed else {}
    if "killed" in plan.result:
        if not plan.resumed:
            return "killed"
        states = {one["state"] for one in last.get("resumed", [])}
        return "killed, " + (
            "nothing to resume" if last.get("error") == "ConfigError" else
            last["error"] if "error" in last else
            f"resumed {'/'.join(sorted(states))}" if states else "nothing to resume"
        )  # fmt: skip
    first = plan.result.get("state") or plan.result.get("error") or "hung"
    if any(one.get("state") == "DONE" for one in last.get("resumed", [])):
        return f"{first}, resumed DONE"
    return str(first)


def _there(celonis: Any) -> dict[int, tuple[int, int, int]]:
    """By push: rows, distinct rows, rows with other values than they were sent with."""
    names = [row["name"] for row in celonis.sql(
        f"SELECT table_name AS name FROM duckdb_tables() WHERE schema_name = '{POOL}'"
    ).to_pylist()]  # fmt: skip
    if not names:
        return {}
    union = " UNION ALL ".join(
        f"""SELECT '{name}' AS NAME, PUSH, ROW, TEXT, VALUE FROM "{POOL}"."{name}" """
        for name in names
    )
    found = celonis.sql(
        f"""SELECT PUSH AS push, count(*) AS there, count(DISTINCT ROW) AS distinct_rows,
        count(*) FILTER (
            TEXT IS DISTINCT FROM
                CASE WHEN ROW % 11 = 3 THEN NULL ELSE PUSH || ':' || (ROW * 7919 % 104729) END
            OR VALUE IS DISTINCT FROM
                CASE WHEN ROW % 7 = 2 THEN NULL ELSE (PUSH * 31 + ROW) / 8.0 END
        ) AS bad
        FROM ({union}) GROUP BY PUSH"""
    )
    return {r["push"]: (r["there"], r["distinct_rows"], r["bad"]) for r in found.to_pylist()}


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    rows = ["| | |", "|---|---|"]
    for name, figure in figures.items():
        if isinstance(figure, dict):
            shown = ", ".join(f"{key}: {value:,}" for key, value in figure.items())
        else:
            shown = f"{figure:,}" if isinstance(figure, int) else str(figure)
        rows.append(f"| {name} | {shown} |")
    return "\n".join(rows)


def numbers(pushes: int) -> tuple[int, int]:
    """The pushes and the seed of the command line; so many pushes if it gives none."""
    given = [int(word) for word in sys.argv[1:3]]
    return given[0] if given else pushes, given[1] if len(given) > 1 else 1


def show(section: str, seed: int, report: Report) -> int:
    """Print a report, with "write" into a section of the page too; 0 if nothing is wrong."""
    figures = {"seed": seed, **report.figures, "problems": len(report.wrong)}
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    print(*report.wrong, sep="\n")
    if "write" in sys.argv:
        reliability_page.write(section, table(figures))
    return 1 if report.wrong else 0


def kill_and_show(section: str, pushes: int, kill_all: Callable[[int, int, Path], Report]) -> int:
    """Kill the clients of the pushes that the command line asks for; as `show`."""
    pushes, seed = numbers(pushes)
    with tempfile.TemporaryDirectory() as folder:
        report = kill_all(pushes, seed, Path(folder))
    return show(section, seed, report)


def main() -> int:
    """Soak for so many pushes with this seed; 0 when nothing was lost or doubled."""
    pushes, seed = numbers(1_000)
    with tempfile.TemporaryDirectory() as folder:
        report = soak(pushes, seed, Path(folder), *(["naive"] if "naive" in sys.argv else []))
        if report.wrong:
            kept = Path(tempfile.mkdtemp(prefix="soak-")) / "journal.jsonl"
            kept.write_bytes((Path(folder) / "journal.jsonl").read_bytes())
            print(f"The journal is kept at {kept}")
    return show("soak", seed, report)


if __name__ == "__main__":
    raise SystemExit(main())
