"""Clients of S3 that are not ours get an object into the local Celonis."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from celonis_frames import local

PAGE = (Path(__file__).parents[2] / "docs" / "local.md").read_text("utf-8")
CLIENT = os.environ["CELONIS_FRAMES_CLIENT"]
ROWS = 2_000_000
"""Rows of a file that is larger than the size from which these clients send parts."""


def _python(client: str, values: dict[str, str]) -> None:
    """Run the block of the docs."""
    mark = f"<!-- skip: needs {client}; nox -s gateway runs it -->\n```python\n"
    (block,) = re.findall(re.escape(mark) + "(.*?)```", PAGE, re.DOTALL)
    assert f"import {client}" in block
    exec(compile(block, client, "exec"), dict(values))  # noqa: S102  # our own page


def _shell(values: dict[str, str], folder: Path) -> None:
    """Run the command of the docs, with a home of its own."""
    (block,) = re.findall(r"<!-- command: aws -->\n```bash\n(.*?)```", PAGE, re.DOTALL)
    names = {"url": "CELONIS_URL", "file": "FILE"}
    given = {names.get(k, f"CELONIS_INGESTION_{k.upper()}"): v for k, v in values.items()}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "HOME": str(folder)} | given
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "-euo", "pipefail", "-c", block], env=environment, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("rows", [2, ROWS])
def test_the_client_stores_an_object(rows: int, tmp_path: Path, monkeypatch: Any) -> None:
    """With the settings of the docs, also one of 16 MB; its rows are in the table."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    file = tmp_path / "x.parquet"
    table = pa.table({"N": range(rows)})
    pq.write_table(table, file, compression="none", use_dictionary=False)
    with local.start(limits=False) as celonis:
        keys = celonis.ingestion("P", {"EVENTS": {"keys": ["N"]}})
        values = {
            "url": celonis.url, "file": str(file), "connection": keys.connection,
            "bucket": keys.bucket, "region": keys.region,
            "access_key": keys.access_key.reveal(), "secret_key": keys.secret_key.reveal(),
        }  # fmt: skip
        if CLIENT == "awscli":
            _shell(values, tmp_path)
        else:
            _python(CLIENT, values)
        celonis.wait_ingested()
        (item,) = celonis.objects
        assert (item["state"], item["rows"]) == ("INGESTED", rows)
        assert item["bytes"] == file.stat().st_size
        assert celonis.table("P", "EVENTS", connection="Push data").num_rows == rows
