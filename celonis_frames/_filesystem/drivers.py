"""The libraries that fsspec needs for some URLs, and how to install them."""

from __future__ import annotations

import re
from importlib import metadata

_DISTRIBUTION = "celonis-frames"
_AFTER_INSTALL = re.compile(r"install (?:the )?'?([A-Za-z][\w.-]*(?:\[[\w,]+\])?)'?", re.IGNORECASE)
_QUOTED = re.compile(r'"([A-Za-z][\w.-]*(?:\[[\w,]+\])?)"')


def install_line(message: str) -> str:
    """The line that installs what an ImportError of fsspec names; "" if it names nothing."""
    found = _AFTER_INSTALL.search(message)
    packages = [found[1]] if found else _QUOTED.findall(message)
    if not packages:
        return ""
    extras = _extras()
    wanted = dict.fromkeys(extras.get(one, f'"{one}"') for one in packages)
    missing = [one for one in wanted if one]
    return " ".join(["pip install", *missing]) if missing else ""


def _extras() -> dict[str, str]:
    """What to install for a package, by its name, where an extra of this library brings it.

    It is empty for a package that this library requires itself.
    """
    try:
        lines = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {}
    found = {}
    for line in lines:
        match = re.match(r"([\w.-]+)[^;]*;.*extra == ['\"]([\w-]+)['\"]", line)
        if match is not None and match[2] != "dev":
            found[match[1]] = f'"{_DISTRIBUTION}[{match[2]}]"'
        elif match is None:
            found[re.split(r"[^\w.-]", line, maxsplit=1)[0]] = ""
    return found
