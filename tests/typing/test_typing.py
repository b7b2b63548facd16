"""The types of the public names, as two type checkers see them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RIGHT, WRONG = (Path(__file__).parent / name for name in ("right.py", "wrong.py"))


def _check(checker: str, *files: Path) -> subprocess.CompletedProcess[str]:
    # Without it pyright prefers a .venv at the root, or the `python` on PATH, to this environment.
    python = ["--pythonpath", sys.executable] if checker == "basedpyright" else []
    return subprocess.run(
        [sys.executable, "-m", checker, *python, *map(str, files)],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip


@pytest.mark.parametrize("checker", ["mypy", "basedpyright"])
def test_right_calls_pass_and_wrong_ones_are_refused(checker: str, tmp_path: Path) -> None:
    """Right calls have the types they say; each wrong call is an error, seen without its ignore."""
    done = _check(checker, RIGHT, WRONG)
    assert done.returncode == 0, done.stdout + done.stderr

    lines = WRONG.read_text("utf-8").splitlines()
    bare = tmp_path / "bare.py"
    bare.write_text("\n".join(line.split("  # type: ignore")[0] for line in lines), "utf-8")
    wrong = {number for number, line in enumerate(lines, start=1) if "# type: ignore" in line}
    assert len(wrong) > 30
    done = _check(checker, bare)
    refused = {
        int(line.split("bare.py:")[1].split(":")[0])
        for line in done.stdout.splitlines()
        if "bare.py:" in line and " error: " in line.replace(" - error", " error")
    }
    assert refused == wrong, done.stdout
