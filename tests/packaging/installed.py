"""Push through a local Celonis with the installed package, as `nox -s wheel` runs it.

    python -I installed.py [pandas] [polars]

The arguments are the frame libraries that must be installed; the others must not.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import pyarrow as pa

import celonis_frames

LIBRARIES = ("pandas", "polars")
VALUES = {"ID": [1, 2, 3], "NOTE": ["short", "x" * 200, None]}


def main() -> None:
    """Check what is installed, and push a frame of each kind."""
    wanted = set(sys.argv[1:])
    assert Path(celonis_frames.__file__).is_relative_to(sys.prefix), celonis_frames.__file__
    assert metadata.version("celonis-frames") == celonis_frames.__version__
    assert resources.files("celonis_frames").joinpath("py.typed").is_file()
    assert wanted == {name for name in LIBRARIES if importlib.util.find_spec(name)}
    assert not wanted & set(sys.modules)

    command = Path(sys.executable).with_name("celonis-frames")
    shown = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert celonis_frames.__version__ in shown.stdout, shown

    with celonis_frames.connect("local") as celonis:
        celonis_frames.push(pa.table(VALUES), "Pool", "ARROW", keys="ID")
        if "pandas" in wanted:
            import pandas as pd

            pd.DataFrame(VALUES).celonis.push("Pool", "PANDAS", keys="ID")
        if "polars" in wanted:
            import polars as pl

            pl.LazyFrame(VALUES).celonis.push("Pool", "POLARS", keys="ID")
        for table in ("ARROW", *sorted(name.upper() for name in wanted)):
            stored = celonis.local.table("Pool", table).select(list(VALUES)).to_pydict()
            assert stored == VALUES, (table, stored)
    versions = {name: metadata.version(name) for name in ("pyarrow", "requests", *sorted(wanted))}
    print("pushed with", *(f"{name} {version}" for name, version in versions.items()))


if __name__ == "__main__":
    main()
