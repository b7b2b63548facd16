"""An operator of Airflow 3 that pushes a frame into Celonis, once for each run of its DAG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow.sdk import BaseHook, BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from celonis_frames import AppKey, Celonis, OAuth2
from celonis_frames.exceptions import ConfigError, FrameError


class CelonisPushOperator(BaseOperator):
    """Pushes a frame; its XCom is the status as a dict.

    Args:
        data_pool: Data Pool: id, name or URL.
        table: Name of the table.
        staging: An fsspec URL that all workers reach: it keeps the receipts of the pushes.
        files: Path or URL of Parquet files.
        python_callable: Instead of `files`, a function that takes the context and returns a frame.
        options: Other parameters of `push`, such as ``{"keys": "EVENT_ID"}``.
        conn_id: Connection whose host is the team's URL, with the id and the secret of an OAuth
            client as login and password, or with an application key as password alone.
    """

    template_fields = ("data_pool", "table", "staging", "files", "options")

    def __init__(
        self, *, data_pool: str, table: str, staging: str, files: Any = None,
        python_callable: Callable[[Any], Any] | None = None,
        options: Mapping[str, Any] | None = None, conn_id: str = "celonis_default", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.data_pool, self.table, self.staging, self.files = data_pool, table, staging, files
        self.python_callable, self.conn_id = python_callable, conn_id
        self.options = dict(options or {})

    def execute(self, context: Any) -> dict[str, Any]:
        """Push; a try whose rows an earlier try has sent sends nothing."""
        team = BaseHook.get_connection(self.conn_id)
        auth = OAuth2(team.login, team.password) if team.login else AppKey(team.password)
        task = context["ti"]  # its try_number changes, these four do not
        push_id = f"{task.dag_id}/{task.task_id}/{task.map_index}/{task.run_id}"
        frame = self.python_callable(context) if self.python_callable else self.files
        try:
            with Celonis(team.host, auth=auth) as celonis:
                status = celonis.push(
                    frame, self.data_pool, self.table, push_id=push_id, staging=self.staging,
                    progress=False, **self.options,
                )  # fmt: skip
        except (ConfigError, FrameError) as error:  # another try would end in the same way
            raise AirflowFailException(str(error)) from error
        return status.to_dict()
