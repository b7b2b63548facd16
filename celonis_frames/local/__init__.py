"""The local Celonis: a real HTTP server that speaks the Data Push API, with its tables in DuckDB.

>>> from celonis_frames import local
>>> with local.start() as celonis:                     # doctest: +SKIP
...     connection = celonis.connect()
"""

from __future__ import annotations

try:
    from celonis_frames.local._faults.faults import Fault, Faults
    from celonis_frames.local._server import LocalCelonis, start
except ImportError as error:
    raise ImportError(
        f'The local Celonis needs {error.name}: pip install "celonis-frames[local]"'
    ) from error

__all__ = ["Fault", "Faults", "LocalCelonis", "start"]
