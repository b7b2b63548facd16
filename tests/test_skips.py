"""In CI every test runs: one that is skipped fails."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SKIPS = {
    "call": "import pytest\ndef test_it(): pytest.skip('no reason')",
    "mark": "import pytest\n@pytest.mark.skip(reason='no reason')\ndef test_it(): pass",
    "file": "import pytest\npytest.skip('no reason', allow_module_level=True)",
    "import": "import pytest\npytest.importorskip('nowhere_at_all', reason='no reason')",
    "expected": "import pytest\n@pytest.mark.xfail(reason='no reason')\ndef test_it(): assert 0",
}


def test_a_skip_fails_in_ci_and_nowhere_else(tmp_path: Path) -> None:
    """However a test is skipped, CI fails and says why; a failure that is expected is no skip."""
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    for kind, text in SKIPS.items():
        (tmp_path / f"test_{kind}.py").write_text(text + "\n")
    for ci, failing in (("", set()), ("true", SKIPS.keys() - {"expected"})):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:schemathesis",
             "-c", os.devnull,
             "--rootdir", str(tmp_path), "--continue-on-collection-errors", str(tmp_path)],
            capture_output=True, text=True, check=False,
            env=os.environ | {"CI": ci, "PYTHONPATH": str(Path(__file__).parent)},
        )  # fmt: skip
        said = re.findall(r"test_(\w+)\.py.*: no test may be skipped in CI: .*no r", done.stdout)
        assert set(said) == failing, done.stdout
        assert (done.returncode == 0) == (not failing), done.stdout
