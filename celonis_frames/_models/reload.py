"""Load a data model, so that analyses see what is in its tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from celonis_frames._api.data_models import LOAD_ENDED, LOAD_RUNS, Load, TableLoad
from celonis_frames._api.integration import IntegrationApi
from celonis_frames._api.lookup import CREATED_BY_LOAD
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._formatting import counted, listed
from celonis_frames._html import report as html
from celonis_frames._http.retry import RetryPolicy
from celonis_frames._models.following import Following
from celonis_frames._models.status import NOT_BEGUN, RunStatus, start_status
from celonis_frames._models.steps import Run
from celonis_frames._reporting.current import warn
from celonis_frames._tracebacks import short_tracebacks
from celonis_frames.exceptions import NotFound, ReloadFailed, ReloadTimeout

_ONCE = RetryPolicy(max_tries=1)
_LOADED = {True: "yes", False: "no", None: ""}


@short_tracebacks
class ReloadStatus(RunStatus[Load]):
    """A load of a data model. Returned by `Celonis.reload`, and in ``status.reload`` of a push.

    Args:
        api: The API; None for a status that can only be read.
        pool_id: The pool's id.
        model_id: The data model's id.
        model: Its name.
    """

    _ENDED = LOAD_ENDED
    _GOOD = frozenset({"SUCCESS", "WARNING"})

    def __init__(
        self, api: IntegrationApi | None, *, pool_id: str, model_id: str, model: str
    ) -> None:
        super().__init__(api, pool_id)
        self._model_id, self._model = model_id, model

    @property
    def model(self) -> str:
        """The data model's name."""
        return self._model

    @property
    def model_id(self) -> str:
        """The data model's id."""
        return self._model_id

    @property
    def tables(self) -> tuple[TableLoad, ...]:
        """What the load did with each table: its ``name``, ``rows``, ``done`` and ``message``."""
        return () if self._shown is None else self._shown.tables

    @property
    def rows(self) -> int | None:
        """Rows of all tables in the data model; None if the server does not report them."""
        counts = [table.rows for table in self.tables if table.rows is not None]
        return sum(counts) if counts else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What has to be known about a load that succeeded, with the tables concerned."""
        return (*self._noted, *(self._said() if self.state == "WARNING" else ()))

    def raise_for_status(self) -> None:
        """Raise if the data model was not loaded; also if it is not known whether it was.

        Raises:
            ReloadFailed: The load ended in ERROR, LOST_CONNECTION or CANCELED, was not begun, or
                was not seen to its end.
        """
        if not self.ok and (self.done or self._problem):
            raise ReloadFailed(self._failure(), status=self)

    def to_dict(self) -> dict[str, Any]:
        """All attributes, in types that JSON supports."""
        names = ("state", "ok", "done", "pool_id", "model", "model_id", "rows", "message")
        return {
            **{name: getattr(self, name) for name in names},
            "tables": [
                {name: getattr(table, name) for name in ("name", "rows", "done", "message")}
                for table in self.tables
            ],
            "seconds": self.seconds,
            "warnings": list(self.warnings),
        }

    def _take(self, following: Following[Load]) -> None:
        ended = self.done and self.state != NOT_BEGUN
        super()._take(following)
        if self.state == "WARNING" and not ended:
            warn("data model %r: %s", self.model, "; ".join(self._said()))

    def _headline(self) -> list[str]:
        facts = [f"data model {self.model}"]
        if self.tables:
            facts.append(counted(len(self.tables), "table"))
        if self.rows is not None:
            facts.append(counted(self.rows, "row"))
        return facts

    def _title(self) -> tuple[str, str]:
        return "data model", self.model

    def _html_facts(self) -> dict[str, str | int | None]:
        return {"tables": len(self.tables) or None, "rows": self.rows}

    def _html_details(self) -> Sequence[str]:
        rows = [
            (
                table.name,
                "" if table.rows is None else f"{table.rows:,}",
                _LOADED[table.done],
                table.message,
            )
            for table in self.tables
        ]
        shown = html.table(("table", "rows", "loaded", "message"), rows, numbers=[1])
        return (
            html.sentences(() if self.ok else self._said()),
            html.folded("Tables", shown, unfolded=len(rows) <= html.MAX_OPEN) if rows else "",
        )

    def _ids(self) -> dict[str, str]:
        return {"data model": self.model_id, "pool": self.pool_id}

    def _noun(self) -> str:
        return f"The load of data model {self.model!r}"

    def _doubt(self) -> str:
        how = "was not loaded" if self.state == NOT_BEGUN else "is not known to be loaded"
        return f"Data model {self.model!r} {how}"

    def _unconnected(self) -> str:
        return f"Load the data model with celonis.reload({self.pool_id!r}, {self.model_id!r})."

    def _said(self) -> tuple[str, ...]:
        """What the server says about the load and its tables, one sentence each."""
        message, known = self.message, {table.message for table in self.tables}
        about = [
            f"table {table.name!r}: {table.message}"
            for table in self.tables
            if table.message and not (table.message in message and table.name in message)
        ]
        missing = [table.name for table in self.tables if table.done is False and not table.message]
        if missing and self.done and not self.ok and not message:
            about.append(f"not loaded: {listed(missing)}")
        return tuple(filter(None, ["" if message in known else message, *about]))

    def _failure(self) -> str:
        if self._problem:
            return self._problem
        said = "; ".join(one.strip().rstrip(".!") for one in self._said())
        said = f": {said}" if said else ""
        how = "was not begun" if self.state == NOT_BEGUN else f"ended in {self.state}"
        return (
            f"The load of data model {self.model!r} {how}{said}. The tables of the pool are "
            f"not affected; load the data model again with celonis.reload({self.pool_id!r}, "
            f"{self.model!r})."
        )

    def _timeout(self, following: Following[Any]) -> ReloadTimeout:
        self._take(following)
        if self.state == NOT_BEGUN:
            text = (
                f"Data model {self.model!r} was not loaded: another load of it was still in the "
                "way when timeout= passed. Give a longer timeout=."
            )
        else:
            state = "not shown yet" if self._shown is None else self.state
            text = (
                f"The load of data model {self.model!r} was still {state} when timeout= passed. It "
                "goes on in Celonis: its ReloadStatus waits for it with .wait()."
            )
        return ReloadTimeout(text, status=self, outcome_known=self.state == NOT_BEGUN)


def begin_reload(
    api: IntegrationApi,
    status: ReloadStatus,
    table_ids: Sequence[str] | None,
    token: CancelToken,
    *,
    wait: bool,
    created: bool = False,
    on_step: Callable[[str], None] = lambda _: None,
) -> None:
    """Load the data model of a status, and wait for its end with `wait`.

    Loading twice does no harm, so that a load whose call got no response, and that is not seen to
    have begun, is begun again.

    Args:
        api: The calls.
        status: The status, which is updated.
        table_ids: The tables to load; None loads all.
        token: Ends all waits and calls.
        wait: Whether to wait for the end.
        created: Whether the first load may create the data model, as the local Celonis does.
        on_step: Called with what is being done.

    Raises:
        ReloadTimeout: The token's deadline has passed.
        ApiError: A call failed.
    """
    pool_id, model_id = status.pool_id, status.model_id
    following: Following[Any] = Following(
        "load",
        status.model,
        partial(_look, pool_id=pool_id, model_id=model_id, created=created),
        run_of,
        lambda calls: calls.start_load(pool_id, model_id, table_ids),
        timed_out=lambda: status._timeout(following),  # noqa: SLF001  # of this module
        doing="loading",
        advice="load it again to be sure, which does no harm.",
        on_step=on_step,
    )
    start_status(status, api.within(token), following, wait=wait)


def run_of(load: Load | None) -> Run | None:
    """What identifies a load."""
    if load is None:
        return None
    return Run(load.id, load.begin, load.state in LOAD_RUNS, load.state in LOAD_ENDED)


def _look(
    api: IntegrationApi, *, pool_id: str, model_id: str, created: bool = False
) -> Load | None:
    try:
        return api.load(pool_id, model_id, policy=_ONCE)
    except NotFound as error:
        if created and CREATED_BY_LOAD in error.error_codes:
            return None
        raise
