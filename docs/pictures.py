"""Draws the pictures of README.md: a status in a notebook, and the page of the local Celonis.

    python docs/pictures.py

Both are real: a push into a local Celonis, photographed with Chromium, in light and dark.
"""

from __future__ import annotations

import html
import shutil
import subprocess
import tempfile
from pathlib import Path

import pandas as pd

from celonis_frames import local
from celonis_frames.local import purchase_to_pay

FOLDER = Path(__file__).parent / "_static"
CODE = 'df.celonis.push("Purchasing", "EVENTS", keys=["CASE_ID", "EVENT_ID"])'
SCHEMES = {"light": 1, "dark": 0}
"""What Chromium calls them."""
_CELL = """<!doctype html><meta charset="utf-8"><style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 14px 20px }}
pre {{ background: light-dark(#f3f4f5, #23262b); padding: .6em .8em; border-radius: 3px }}
</style><pre>{code}</pre>{output}"""


def draw() -> None:
    """Write the four pictures."""
    with local.start() as server, server.connect() as celonis:
        log = purchase_to_pay(200)
        vendors = pd.DataFrame({"VENDOR": ["V-1", "V-2"], "COUNTRY": ["DE", "US"]})
        celonis.push(vendors, "Purchasing", "VENDORS", keys="VENDOR", progress=False)
        keys = ["CASE_ID", "EVENT_ID"]
        status = celonis.push(log, "Purchasing", "EVENTS", keys=keys, progress=False)
        with tempfile.TemporaryDirectory() as folder:
            cell = Path(folder) / "cell.html"
            cell.write_text(
                _CELL.format(code=html.escape(CODE), output=status._repr_html_()), "utf-8"
            )
            for scheme in SCHEMES:
                _photograph(cell.as_uri(), FOLDER / f"status-{scheme}.png", scheme, 760, 275)
                _photograph(server.url, FOLDER / f"page-{scheme}.png", scheme, 1180, 620)


def _photograph(url: str, path: Path, scheme: str, width: int, height: int) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("the pictures need Chromium: install it with `apt-get install chromium`")
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(  # noqa: S603  # our own arguments
            [
                chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--disable-background-networking", f"--user-data-dir={profile}",
                f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
                f"--window-size={width},{height}", f"--screenshot={path}", url,
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


if __name__ == "__main__":
    draw()
