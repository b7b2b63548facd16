"""An IO manager of Dagster that pushes assets into Celonis."""

from __future__ import annotations

from typing import Any, NoReturn

from dagster import ConfigurableIOManager, Failure, InputContext, OutputContext

from celonis_frames import Celonis


class CelonisIOManager(ConfigurableIOManager):
    """Pushes each asset into the table of its name, once for each run and its retries.

    An asset without partitions replaces its table. One with partitions adds to it, and needs
    `keys`, so that a partition that is materialised again replaces its rows. Options of `push` are
    in the asset's metadata: ``{"celonis": {"keys": "EVENT_ID"}}``; `table` there is another name.

    Args:
        pool: Data Pool: id, name or URL.
        staging: An fsspec URL that all processes reach: it keeps the receipts of the pushes.
    """

    pool: str
    staging: str

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Push a frame: of pandas, polars or Arrow, or the path of Parquet files."""
        name = "/".join(context.asset_key.path)
        options = dict(context.definition_metadata.get("celonis", {}))
        table = options.pop("table", context.asset_key.path[-1])
        if context.has_asset_partitions:
            covered = context.asset_partition_key_range  # of one partition, unless it is a backfill
            name += "/" + "...".join(dict.fromkeys((covered.start, covered.end)))
            if not {"keys", "mode"} & set(options):
                raise Failure(
                    f"{name} is a partition: name the keys of its table in the asset's metadata, "
                    "{'celonis': {'keys': …}}, or its rows would be added each time.",
                    allow_retries=False,
                )
        else:
            options.setdefault("mode", "REPLACE")
        run = context.step_context.dagster_run  # a retry is another run, with the same root
        push_id = f"{name}/{run.root_run_id or run.run_id}"
        with Celonis.from_env() as celonis:
            status = celonis.push(
                obj, self.pool, table, push_id=push_id, staging=self.staging, progress=False,
                **options,
            )  # fmt: skip
        facts = {
            "dagster/row_count": status.rows, "table": f"{self.pool}.{status.table}",
            "job_id": status.job_id, "bytes_sent": status.bytes_sent, "repeated": status.repeated,
            "warnings": list(status.warnings),
        }  # fmt: skip
        context.add_output_metadata({key: fact for key, fact in facts.items() if fact is not None})

    def load_input(self, context: InputContext) -> NoReturn:
        """Celonis returns no rows."""
        raise Failure(
            f"{context.asset_key.to_user_string()} is a table of Celonis, which returns no rows: "
            "name the asset in deps= instead of as a parameter.",
            allow_retries=False,
        )
