"""Print the lowest version of each dependency that pyproject.toml allows, as exact pins."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
for requirement in [
    *project["dependencies"],
    *(line for extra in ("pandas", "polars", "local") for line in extras[extra]),
]:
    bound = re.fullmatch(r"([\w-]+)>=([\w.]+)", requirement)
    if bound is None:
        raise SystemExit(f"{requirement!r} names no lower bound")
    name, version = bound.groups()
    # Two numbers name the first release of a minor version: 2.2 is 2.2.0 to pip.
    print(f"{name}=={version}")
