"""What the local Celonis does to the process that starts it: little, and not for long."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
import requests

from celonis_frames import local


def test_it_needs_no_stdout_and_no_stderr(tmp_path: Path) -> None:
    """A service, or pythonw on Windows, has neither: both are None."""
    code = (
        "import sys; sys.stdout = sys.stderr = None\n"
        "import pyarrow, pathlib\n"
        "from celonis_frames import local\n"
        "with local.start() as celonis, celonis.connect() as connection:\n"
        "    connection.push(pyarrow.table({'A': [1]}), 'P', 'T')\n"
        "    celonis.faults.fail_jobs('no')\n"
        "    try:\n"
        "        connection.push(pyarrow.table({'A': [1]}), 'P', 'T')\n"
        "    except Exception as error:\n"
        "        rows = celonis.table('P', 'T').num_rows\n"
        "        pathlib.Path(sys.argv[1]).write_text(f'{rows} {type(error).__name__}')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "done")], check=True, timeout=120)
    assert (tmp_path / "done").read_text() == "1 JobFailed"


def test_it_leaves_the_logging_of_the_process_alone(tmp_path: Path) -> None:
    """Handlers stay open: one that writes a file would write nothing after it was closed."""
    handler = logging.FileHandler(tmp_path / "log", mode="w")
    log = logging.getLogger("test_process")
    log.addHandler(handler)
    try:
        log.warning("before")
        with local.start():
            log.warning("during")
        log.warning("after")
    finally:
        log.removeHandler(handler)
        handler.close()
    assert (tmp_path / "log").read_text().split() == ["before", "during", "after"]


def test_a_process_may_end_without_closing_it() -> None:
    """Also while jobs run: it is closed at exit, as that of `connect("local")` is."""
    code = (
        "import pyarrow\n"
        "from celonis_frames import local\n"
        "celonis = local.start()\n"
        "connection = celonis.connect()\n"
        "for _ in range(5):\n"
        "    connection.push(pyarrow.table({'A': [1]}), 'P', 'T', wait=False)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, timeout=120, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_it_stops_at_once() -> None:
    """Stopping waits for nothing when no response is due, also with connections open."""
    seconds = []
    for _ in range(5):
        celonis = local.start()
        with requests.Session() as session, celonis.connect() as connection:
            session.get(celonis.url, timeout=30)
            connection.push(pa.table({"A": [1]}), "P", "T")
            begin = time.perf_counter()
            celonis.close()
            seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.08  # uvicorn alone takes 0.1 to 0.2 seconds


def test_a_response_that_is_due_is_sent_before_it_stops() -> None:
    """Stopping waits for the calls that the server is processing."""
    celonis = local.start()
    celonis.faults.delay("pools", 0.2)
    key = {"Authorization": f"Bearer {celonis.token}"}
    with ThreadPoolExecutor(1) as threads:
        url = f"{celonis.url}/integration/api/pools"
        response = threads.submit(requests.get, url, headers=key, timeout=30)
        time.sleep(0.1)
        celonis.close()
        assert response.result().status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])  # noqa: S104
def test_its_url_is_one_of_this_machine(host: str) -> None:
    """Also if it listens on every address, which is none to connect to."""
    with local.start(host=host) as celonis, celonis.connect() as connection:
        assert celonis.url.startswith("http://127.0.0.1:")
        assert connection.pools() == []
