"""The shell of the delivery machine, through a real server: what later packages build on."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest

from celonis_frames import Celonis, exceptions
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._encoding.chunk import MemoryChunk
from celonis_frames._jobs.delivery import BodyRefuted, Delivery, DeliveryResult
from celonis_frames._jobs.shell import deliver
from celonis_frames._push.progress import Progress, Reporting

ROWS = 1_000
FRAME = pl.DataFrame({"A": range(ROWS)})


class Bucket:
    """A destination without jobs: objects by name. The response to `lost` calls never arrives."""

    def __init__(self, *, repeatable: bool, lost: int = 0) -> None:
        self.repeatable, self.lost = repeatable, lost
        self.objects: dict[str, str] = {}
        self.calls = 0

    def upload(self, _: CancelToken, payload: Any, *, deleted: bool, on_sent: Any) -> None:
        assert not deleted
        assert callable(on_sent)
        self.objects[payload.name] = hashlib.sha256(b"".join(payload.blocks())).hexdigest()
        self.calls += 1
        if self.calls <= self.lost:
            raise exceptions.ApiConnectionError("lost", method="PUT", url="bucket", sent=True)


def _chunks(count: int) -> Callable[[Callable[[], None]], Iterator[MemoryChunk]]:
    def chunks(_: Callable[[], None]) -> Iterator[MemoryChunk]:
        for number in range(1, count + 1):
            yield MemoryChunk(number, 1, (bytes([number]) * 100,), "PARQUET")

    return chunks


def _hidden() -> Progress:
    return Progress("push", "T", "https://team.eu-1.celonis.cloud", Reporting(False, None))


def _put(client: Celonis, bucket: Bucket, result: DeliveryResult) -> None:
    delivery = Delivery(
        "P", lambda _: {}, _chunks(7), workers=lambda: 3, mark={}, destination=bucket
    )
    deliver(client._api, delivery, result, progress=_hidden(), timings={})


@pytest.mark.parametrize("lost", [0, 2])
def test_objects_are_stored_without_a_job(own: Any, client: Celonis, lost: int) -> None:
    """A destination without jobs gets every chunk; one that may be repeated is stored again."""
    bucket, result = Bucket(repeatable=True, lost=lost), DeliveryResult()
    _put(client, bucket, result)
    assert len(set(bucket.objects.values())) == 7
    assert (bucket.calls, result.chunks, result.rows) == (7 + lost, 7, 7)
    assert own.jobs == []


def test_an_object_with_an_unknown_outcome_is_not_stored_again(own: Any, client: Celonis) -> None:
    """Where an object must not be repeated, a lost response ends the push; no job is touched."""
    bucket = Bucket(repeatable=False, lost=1)
    with pytest.raises(exceptions.UploadUncertain):
        _put(client, bucket, DeliveryResult())
    assert bucket.calls <= 3
    assert own.jobs == []


def test_a_refuted_body_begins_a_new_job_with_the_same_chunks(
    own: Any, client: Celonis, table: str
) -> None:
    """Chunks that exist are sent again into a job with other fields; the first one is cancelled."""
    client.push(FRAME.head(1), "P", "OTHER")  # a job whose fields fit
    names = ("type", "fileType", "dataPoolId", "keys", "tableSchema")
    body = {name: own.jobs[0][name] for name in names} | {"targetName": table}
    made = _encoded()
    begun: list[int] = []

    def chunks(_: Callable[[], None]) -> Iterator[MemoryChunk]:
        begun.append(len(begun))
        yield from made[:2]
        if len(begun) == 1:
            raise BodyRefuted
        yield from made[2:]

    def fields(_: Callable[[], None]) -> dict[str, Any]:
        return {**body, "fallbackVarcharLength": 222 if begun else 111}

    delivery = Delivery("P", fields, chunks, workers=lambda: 2, mark={})
    result = DeliveryResult()
    deliver(client._api, delivery, result, progress=_hidden(), timings={})
    client.job("P", result.job_id).wait()
    states = {job["fallbackVarcharLength"]: job["status"] for job in own.jobs}
    assert (states[111], states[222]) == ("CANCELED", "DONE")
    assert own.table("P", table).num_rows == ROWS
    assert result.rows == ROWS
    assert result.restarts == 1


def _encoded() -> list[MemoryChunk]:
    """The frame in four chunks."""
    made = []
    for number in range(4):
        file = io.BytesIO()
        FRAME.slice(number * ROWS // 4, ROWS // 4).write_parquet(file, compression="snappy")
        made.append(MemoryChunk(number + 1, ROWS // 4, (file.getvalue(),), "PARQUET"))
    return made
