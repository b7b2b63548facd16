"""What a notebook feels: importing the library, the first small push, and a job that takes long.

    python -m tests.benchmarks.small [--repeat 10] [--job-seconds 60]

A push of 1,000 rows is compared with the same calls made bare, over one `requests.Session` that is
already open, with a file that is ready: what they take is the server's own time, and what a push
takes beyond them is ours. Both are timed in turns, in fresh processes, so that each time there is a
first push; the later ones of the same process follow. The job is done at once at the sink; at the
local Celonis it runs, and the bare calls look for its end every 2 ms.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests

from . import frames
from .bare import POOL
from .lines import LINES, sink
from .local import TOKEN, columns, encode, served

_ROWS = 1_000
_LATER = 10
_JOBS = f"/data-ingestion/api/v1/data-push/{POOL}/jobs/"
_IMPORT = """
import time
{before}
begin = time.perf_counter()
import celonis_frames
print(time.perf_counter() - begin)
"""
_PUSH = """
import json, sys, time
import {library}
import celonis_frames
url, token, path, later = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
frame = {library}.read_parquet(path)
seconds = []
begin = time.perf_counter()
celonis = celonis_frames.connect(url, auth=celonis_frames.ApiKey(token))
for _ in range(1 + later):
    celonis_frames.push(frame, {pool!r}, "SMALL", mode="REPLACE", progress=False)
    seconds.append(time.perf_counter() - begin)
    begin = time.perf_counter()
celonis.close()
print(json.dumps(seconds))
"""


def imports(repeat: int) -> dict[str, list[float]]:
    """Seconds of the import, alone and after the libraries whose frames it takes."""
    found: dict[str, list[float]] = {}
    for before in ("", "import pandas", "import polars", "import pandas, polars"):
        code = _IMPORT.format(before=before)
        found[before] = [float(_python(code)) for _ in range(repeat)]
    for library in ("pandas", "polars"):
        code = _IMPORT.format(before="").replace("celonis_frames", library)
        found[f"{library} alone"] = [float(_python(code)) for _ in range(repeat)]
    return found


def pushes(url: str, token: str, path: Path, repeat: int) -> list[dict[str, Any]]:
    """Seconds of bare calls, and of the first and the later pushes of a process, in turns.

    Args:
        url: The server.
        token: A key that it takes.
        path: The log's file.
        repeat: How many processes for each library.
    """
    [encoded], schema = encode(path.parent, _ROWS)
    file, described = encoded.read_bytes(), columns(schema)
    runs = []
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {token}"
        _bare(session, url, file, described)
        for number in range(repeat):
            for library in ("pandas", "polars"):
                bare = sorted(_bare(session, url, file, described) for _ in range(5))[2]
                code = _PUSH.format(library=library, pool=POOL)
                first, *later = json.loads(_python(code, url, token, str(path), str(_LATER)))
                runs.append(
                    {
                        "library": library,
                        "repetition": number,
                        "bare": bare,
                        "first": first,
                        "later": sorted(later)[len(later) // 2],
                    }
                )
    return runs


def polls(path: Path, job_seconds: float) -> dict[str, float]:
    """What the sink counted of a push whose job runs so long."""
    with sink(LINES["loopback"], job_seconds=job_seconds) as target:
        code = _PUSH.format(library="polars", pool=POOL)
        seconds = json.loads(_python(code, target.url, TOKEN, str(path), "0"))[0]
        return target.counts() | {"job seconds": job_seconds, "seconds": seconds}


def measure(repeat: int, job_seconds: float) -> dict[str, Any]:
    """All of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = frames.write(Path(folder), _ROWS)
        with sink(LINES["loopback"]) as target:
            at_sink = pushes(target.url, TOKEN, path, repeat)
        with served("") as url:
            at_local = pushes(url, TOKEN, path, repeat)
        return {
            "imports": imports(repeat),
            "sink": at_sink,
            "local": at_local,
            "polls": polls(path, job_seconds),
        }


def _bare(
    session: requests.Session, url: str, file: bytes, described: Sequence[dict[str, Any]]
) -> float:
    begin = time.perf_counter()
    job = {
        "targetName": "SMALL", "type": "REPLACE", "fileType": "PARQUET", "dataPoolId": POOL,
        "tableSchema": {"tableName": "SMALL", "columns": described},
    }  # fmt: skip
    job_id = session.post(f"{url}{_JOBS}", json=job).json()["id"]
    path = f"{url}{_JOBS}{job_id}"
    session.post(f"{path}/chunks/upserted", files={"file": file}).raise_for_status()
    session.get(f"{path}/chunks").raise_for_status()
    session.post(path).raise_for_status()
    while (status := session.get(path).json()["status"]) != "DONE":
        if status == "ERROR":
            raise RuntimeError(session.get(path).text)
        time.sleep(0.002)
    return time.perf_counter() - begin


def _python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def main() -> None:
    """Print all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--job-seconds", type=float, default=60)
    wish = parser.parse_args()
    print(json.dumps(measure(wish.repeat, wish.job_seconds), indent=1))


if __name__ == "__main__":
    main()
