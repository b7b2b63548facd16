"""How the workers of a Dask cluster get what no graph may hold. Imports Dask."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

from celonis_frames._filesystem.private_options import PrivateOptions


class PrivateOptionsPlugin(WorkerPlugin):  # type: ignore[misc]  # Dask has no types
    """Keeps options in the memory of each worker, also of those that come later."""

    def __init__(self, private: PrivateOptions, name: str) -> None:
        self._private, self.name = private, name

    def setup(self, worker: Any) -> None:  # noqa: ARG002  # Dask's signature
        """Called in a worker, before its first task."""
        self._private.keep()

    def teardown(self, worker: Any) -> None:  # noqa: ARG002  # Dask's signature
        """Called in a worker at the end."""
        self._private.forget()


@contextlib.contextmanager
def delivered(private: PrivateOptions, client: Any, name: str) -> Iterator[None]:
    """While the block runs, all workers of a cluster have the options.

    They go over the connections of the cluster, which TLS protects if it is set up for them, and
    are kept in memory. No graph, task, dashboard or log has them.
    """
    client.register_plugin(PrivateOptionsPlugin(private, name))
    try:
        yield
    finally:
        client.unregister_worker_plugin(name)
