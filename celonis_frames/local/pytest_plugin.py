"""The pytest fixtures: a local Celonis for each test or for all, its faults, and `assert_table`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from celonis_frames.local import Faults, LocalCelonis


class AssertTable(Protocol):
    """What the fixture `assert_table` returns."""

    def __call__(
        self,
        pool: str,
        table: str,
        expected: Any,
        *,
        keys: Sequence[str] | str | None = None,
        connection: str | None = None,
    ) -> None:
        """Check that a table has exactly the expected rows.

        Values are compared as a push stores them: categories are strings, decimals floats, times
        with a zone are in UTC, NaN is null. Types are compared too: integers are neither floats
        nor strings; a column without a type, of nulls only, fits any. The case of column names
        does not matter, nor does the order of columns and rows.

        Args:
            pool: The pool's id or name.
            table: The table's name; case does not matter.
            expected: A frame as for `push`, a mapping from names to columns, or a list of rows,
                each a mapping from names to values.
            keys: Key columns: the message then says which value of which row differs. Without them
                it lists whole rows.
            connection: A data connection's id or name; None is the pool's global schema.

        Raises:
            AssertionError: It has other columns, types or rows, or does not exist.
            ConfigError: The keys are no columns, or are not unique in the expected rows.
            FrameError: The expected frame could not be pushed.
        """


@pytest.fixture
def local_celonis(_spare: Any) -> Iterator[LocalCelonis]:
    """A new local Celonis in memory, without the limits on submissions, as the default connection.

    While the test runs, the environment leads to it too. Afterwards the default connection and the
    environment are what they were.
    """
    with _spare.started() as celonis, _reached(celonis):
        yield celonis


@pytest.fixture(scope="session")
def local_celonis_session(_spare: Any) -> Iterator[LocalCelonis]:
    """One local Celonis for all tests that ask for it: each should use a pool of its own.

    From the first of them until the end of the session it is the default connection, and the
    environment leads to it, unless a test asks for `local_celonis`.
    """
    with _spare.started() as celonis, _reached(celonis):
        yield celonis


@pytest.fixture
def celonis_faults(request: pytest.FixtureRequest) -> Iterator[Faults]:
    """The faults of the local Celonis that the test uses: calls fail, jobs are slow, and so on.

    That is `local_celonis`, or `local_celonis_session` if the test asks for that one only.
    Afterwards there are no faults any more.
    """
    faults: Faults = _server(request).faults
    yield faults
    faults.clear()


@pytest.fixture
def assert_table(request: pytest.FixtureRequest) -> AssertTable:
    """A function that checks that a table has exactly the expected rows; see `AssertTable`."""
    server = _server(request)

    def assert_table(
        pool: str,
        table: str,
        expected: Any,
        *,
        keys: Sequence[str] | str | None = None,
        connection: str | None = None,
    ) -> None:
        __tracebackhide__ = True
        from celonis_frames.local._table_check import differences  # noqa: PLC0415  # as below

        try:
            actual = server.table(pool, table, connection=connection)
        except KeyError as error:
            raise AssertionError(f"Table {table!r} cannot be read: {error.args[0]}") from None
        found = differences(actual, expected, table, keys)
        if found:
            raise AssertionError("\n".join([f"Table {table!r} differs:", *found]))

    return assert_table


@pytest.fixture(scope="session")
def _spare() -> Iterator[Any]:
    """The next server's database, which is opened while a test runs."""
    # Slow to import, so only if a test needs it.
    from celonis_frames.local._spare import Spare  # noqa: PLC0415

    with Spare() as spare:
        yield spare


def _server(request: pytest.FixtureRequest) -> LocalCelonis:
    names = request.fixturenames
    whole = "local_celonis_session" in names and "local_celonis" not in names
    server: LocalCelonis = request.getfixturevalue(
        "local_celonis_session" if whole else "local_celonis"
    )
    return server


@contextlib.contextmanager
def _reached(celonis: LocalCelonis) -> Iterator[None]:
    """Within the block the server is the default connection, and the environment leads to it."""
    from celonis_frames._auth import environment  # noqa: PLC0415  # as above

    with pytest.MonkeyPatch.context() as patch:
        for name in environment.NAMES:
            patch.delenv(name, raising=False)
        patch.setenv(environment.URL, celonis.url)
        patch.setenv(environment.TOKEN, celonis.token)
        patch.setenv(environment.KEY_TYPE, "BEARER")
        with celonis._as_default():  # noqa: SLF001  # of this package
            yield
