"""Probes of calls: what a pool responds to what is not documented."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from functools import partial

from celonis_frames._doctor.probe import Probe, Seen, by_rows, ended, unknown
from celonis_frames._doctor.scratch import K, Scratch, keys_of, texts
from celonis_frames._http.session import informational_statuses
from celonis_frames.exceptions import ApiStatusError

_FILE = texts((1, "a"))
_ALGORITHMS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")


def checksum_kind(checksum: str | None, content: bytes) -> str:
    """The kind of a checksum of a file: an algorithm, ``none``, or how it looks."""
    if not checksum:
        return "none"
    for name in _ALGORITHMS:
        digest = hashlib.new(name, content, usedforsecurity=False).digest()
        if checksum.lower() == digest.hex():
            return name
        if checksum == base64.b64encode(digest).decode():
            return f"{name} in base64"
    if checksum.lower() == f"{binascii.crc32(content):08x}":
        return "crc32"
    return f"another of {len(checksum)} characters"


def _checksum(scratch: Scratch) -> Seen:
    with scratch.job(_FILE) as job_id:
        found = scratch.checksums(job_id)
    return Seen(checksum_kind(found[0] if found else None, _FILE), "response")


def _informational(scratch: Scratch) -> Seen:
    """Responses before the response, which this library skips."""
    with informational_statuses() as seen:
        result = scratch.run(_FILE)
    if not result.done:
        return unknown(result, "a job")
    return Seen(", ".join(map(str, sorted(set(seen)))) or "none", "response")


def _cancel_response(scratch: Scratch) -> Seen:
    with scratch.job(_FILE) as job_id:
        accepted, size = scratch.cancel(job_id)
    if not accepted:
        return Seen("rejected", "response")
    return Seen("job" if size else "empty", "response")


def _cancel_ended(scratch: Scratch) -> Seen:
    with scratch.job(_FILE) as job_id:
        scratch.finish(job_id)
        accepted, _ = scratch.cancel(job_id)
    return Seen("accept" if accepted else "reject", "response")


def _delete_status(scratch: Scratch) -> Seen:
    with scratch.job(_FILE) as job_id:
        status = scratch.remove(job_id)
    return Seen("rejected" if status is None else str(status), "response")


def _late_chunks(scratch: Scratch) -> Seen:
    with scratch.job(_FILE) as job_id:
        scratch.finish(job_id)
        if _is_rejected(partial(scratch.upload, job_id, texts((2, "b")))):
            return Seen("reject", "response")
        return Seen("apply", "rows") if scratch.rows() == 2 else Seen("ignore", "response")


def _second_executions(scratch: Scratch) -> Seen:
    with scratch.job(_FILE) as job_id:
        scratch.finish(job_id)
        rejected = _is_rejected(partial(scratch.execute, job_id))
    return Seen("reject" if rejected else "ignore", "response")


def _is_rejected(call: Callable[[], None]) -> bool:
    """Whether the server rejects a call; what else goes wrong is raised."""
    try:
        call()
    except ApiStatusError as error:
        if error.status_code >= 500:
            raise
        return True
    return False


def _no_chunks(scratch: Scratch) -> Seen:
    result = scratch.run(keys=[K], mode="DELTA")
    if result.rejected:
        return Seen("reject", "response", result.detail)
    return Seen("done" if result.done else "error", "job", result.detail)


def _empty_chunks(scratch: Scratch) -> Seen:
    result = scratch.run(texts())
    if result.rejected:
        return Seen("reject", "response", result.detail)
    return Seen("accept", "job") if result.done else ended(result)


def _row_counts(scratch: Scratch) -> Seen:
    result = scratch.run(keys_of(1, 2))
    if not result.done:
        return unknown(result, "a job")
    if scratch.rows() is None:
        return Seen("no", "response")
    return by_rows(scratch, {2: "yes"})


CALL_PROBES: tuple[Probe, ...] = (
    Probe("numbers of rows are shown", "", "row_counts", _row_counts),
    Probe("checksum of a chunk", "sha1", "checksum", _checksum),
    Probe("informational responses (1xx)", "none", "informational", _informational),
    Probe("response to a cancellation", "job", "cancel_response", _cancel_response),
    Probe("cancelling a job that has ended", "reject", "cancel_ended", _cancel_ended),
    Probe("response to a deletion", "204", "delete_status", _delete_status),
    Probe("a chunk for a submitted job", "reject", "late_chunks", _late_chunks),
    Probe("a second submission", "reject", "second_executions", _second_executions),
    Probe("a job without chunks", "error", "no_chunks", _no_chunks),
    Probe("a chunk without rows", "accept", "empty_chunks", _empty_chunks),
)
