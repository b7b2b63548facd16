"""The local Celonis: a real HTTP server with the Data Push API, which stores tables in DuckDB.

>>> from celonis_frames import local
>>> with local.start() as celonis:                     # doctest: +SKIP
...     connection = celonis.connect()
"""

from __future__ import annotations

try:
    from celonis_frames.local._assumptions import Assumptions
    from celonis_frames.local._faults.faults import Faults
    from celonis_frames.local._faults.schedule import Fault
    from celonis_frames.local._sample_data import purchase_to_pay
    from celonis_frames.local._server import LocalCelonis, start
except ImportError as error:
    if error.name is None:  # a library that is there cannot be used
        raise
    raise ImportError(
        f'The local Celonis needs {error.name}: pip install "celonis-frames[local]"'
    ) from error

__all__ = ["Assumptions", "Fault", "Faults", "LocalCelonis", "purchase_to_pay", "start"]
