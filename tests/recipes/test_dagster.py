"""The recipe of Dagster, run by Dagster."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    BackfillPolicy,
    DagsterInstance,
    RetryPolicy,
    StaticPartitionsDefinition,
    asset,
    materialize,
)
from processes import Processes

KEYED = {"celonis": {"keys": "K"}}


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    """An instance in a folder of the test, whose daemon repeats runs that fail."""
    (tmp_path / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\nrun_retries: {enabled: true, max_retries: 2}\n"
    )
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with DagsterInstance.get() as found:
        yield found


@pytest.fixture
def run(tmp_path: Path, instance: DagsterInstance) -> Callable[..., Any]:
    """A function that materializes assets in this process."""
    from dagster_io_manager import CelonisIOManager  # noqa: PLC0415  # the docs'

    manager = CelonisIOManager(pool="Purchasing", staging=str(tmp_path / "staging"))

    def materialized(*assets: Any, **options: Any) -> Any:
        return materialize(assets, instance=instance, resources={"celonis": manager}, **options)

    return materialized


def _materialization(instance: DagsterInstance, name: str) -> AssetMaterialization:
    """The latest one of an asset."""
    (record,) = instance.fetch_materializations(AssetKey(name), limit=1).records
    assert record.asset_materialization is not None
    return record.asset_materialization


def _facts(instance: DagsterInstance, name: str) -> dict[str, Any]:
    metadata = _materialization(instance, name).metadata
    return {key: value.value for key, value in metadata.items()}


def test_a_run_whose_step_is_killed_pushes_its_rows_once(
    recipes: Path, celonis: Any, instance: DagsterInstance, processes: Processes
) -> None:
    """The daemon starts the run again, as another run; it follows the job of the first."""
    celonis.faults.slow_jobs(running=3)
    assets = ("-f", str(recipes / "dagster_assets.py"))
    processes.start("dagster-daemon", "run", *assets)
    partition = json.dumps({"dagster/partition": "2026-11-28"})
    processes.run("dagster", "job", "launch", *assets, "-j", "daily", "--tags", partition)
    processes.kill_the_pusher(celonis)

    def retried() -> Any:
        runs = instance.get_runs()
        assert len(runs) <= 2, processes.logs()
        return next((one for one in runs if one.root_run_id and one.is_finished), None)

    assert processes.wait_for(retried).is_success, processes.logs()
    assert [job["status"] for job in celonis.jobs] == ["DONE"]
    assert celonis.table("Purchasing", "EVENTS").num_rows == 3
    assert _materialization(instance, "events").partition == "2026-11-28"
    facts = _facts(instance, "events")
    assert facts["dagster/row_count"] == 3
    assert facts["job_id"] == celonis.jobs[0]["id"]
    assert "/2026-11-28/" in facts["warnings"][0]  # it names the push_id


def test_the_assets_of_the_docs_are_pushed(
    recipes: Path, celonis: Any, instance: DagsterInstance, processes: Processes
) -> None:
    """By the command line; the metadata say where the rows went."""
    processes.run(
        "dagster", "asset", "materialize", "-f", str(recipes / "dagster_assets.py"),
        "--select", "orders",
    )  # fmt: skip
    assert celonis.table("Purchasing", "ORDERS").num_rows == 2
    (job,) = celonis.jobs
    facts = _facts(instance, "orders")
    assert facts.pop("bytes_sent") > 0
    assert facts == {
        "dagster/row_count": 2, "table": "Purchasing.ORDERS", "job_id": job["id"],
        "repeated": False, "warnings": [],
    }  # fmt: skip


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_an_asset_replaces_its_table(library: Any, run: Any, celonis: Any) -> None:
    """A new materialization pushes again: it is another run."""
    sizes = iter([3, 2])

    @asset(io_manager_key="celonis")
    def events() -> Any:
        return library.DataFrame({"K": range(next(sizes))})

    for left in (3, 2):
        assert run(events).success
        assert celonis.table("Purchasing", "events").num_rows == left


def test_a_partition_replaces_its_own_rows(
    run: Any, celonis: Any, instance: DagsterInstance
) -> None:
    """Materialized again it upserts by its keys; a backfill in one run is one push."""

    @asset(
        partitions_def=StaticPartitionsDefinition(["a", "b", "c"]), io_manager_key="celonis",
        metadata=KEYED, backfill_policy=BackfillPolicy.single_run(),
    )  # fmt: skip
    def events(context) -> pl.DataFrame:  # noqa: ANN001  # Dagster rejects the name of the type
        return pl.DataFrame(
            {"K": context.partition_keys, "RUN": [context.run_id] * len(context.partition_keys)}
        )

    for key in ("a", "b", "a"):
        assert run(events, partition_key=key).success
    rows = {row["K"]: row["RUN"] for row in celonis.table("Purchasing", "events").to_pylist()}
    latest = {one.tags["dagster/partition"]: one.run_id for one in reversed(instance.get_runs())}
    assert rows == latest
    tags = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "c"}
    assert run(events, tags=tags).success
    assert len(celonis.jobs) == 4
    assert set(celonis.table("Purchasing", "events").column("K").to_pylist()) == {"a", "b", "c"}


def test_a_retry_of_a_step_sends_its_rows_once(run: Any, celonis: Any) -> None:
    """The step's second try, in the same run, finds what the first has sent."""
    celonis.faults.answer("job", 401, times=3)  # the job is executed, and its end not seen

    @asset(
        partitions_def=StaticPartitionsDefinition(["a"]), io_manager_key="celonis",
        metadata={"celonis": {"mode": "DELTA"}}, retry_policy=RetryPolicy(max_retries=3),
    )  # fmt: skip
    def events() -> pl.DataFrame:
        return pl.DataFrame({"K": [1, 2]})

    assert run(events, partition_key="a").success
    assert len(celonis.jobs) == 1
    assert celonis.table("Purchasing", "events").num_rows == 2


def test_partitions_need_keys(run: Any, celonis: Any) -> None:
    """Without them a partition that is materialized again would be there twice."""

    @asset(partitions_def=StaticPartitionsDefinition(["a"]), io_manager_key="celonis")
    def events() -> pl.DataFrame:
        return pl.DataFrame({"K": [1]})

    result = run(events, partition_key="a", raise_on_error=False)
    assert "keys" in str(result.failure_data_for_node("events"))
    assert celonis.jobs == []


@pytest.mark.usefixtures("celonis")
def test_celonis_gives_no_rows_back(run: Any) -> None:
    """An asset that asks for the frame of another one fails, and the message says deps=."""

    @asset(io_manager_key="celonis")
    def events() -> pl.DataFrame:
        return pl.DataFrame({"K": [1]})

    @asset
    def report(events: Any) -> None:
        raise AssertionError(events)

    result = run(events, report, raise_on_error=False)
    assert "deps=" in str(result.failure_data_for_node("report"))
