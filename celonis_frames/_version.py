"""The version of this library, and of the libraries it uses."""

from __future__ import annotations

import platform
from importlib import metadata

__version__ = "0.1.0"

_LIBRARIES = (
    "pyarrow", "requests", "urllib3", "fsspec", "oauthlib", "filelock", "platformdirs", "tqdm",
    "wrapt",
    "pandas", "numpy", "polars", "duckdb", "starlette", "uvicorn", "python-multipart", "s3fs",
    "dask", "pyspark", "botocore", "keyring", "fastexcel",
)  # fmt: skip


def versions() -> dict[str, str]:
    """The versions of this library, Python, the system and the libraries used, by name."""
    found = {
        "celonis_frames": __version__,
        "Python": platform.python_version(),
        "system": platform.platform(),
    }
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def show_versions() -> None:
    """Prints the versions of this library, Python, the system and the libraries used.

    For bug reports; nothing in it is secret.
    """
    for name, version in versions().items():
        print(f"{name:<16}  {version}")  # noqa: T201  # its purpose
