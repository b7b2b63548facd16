"""What a job's list of chunks proves about the uploads into it: pure functions.

A job holds every chunk exactly once if it holds as many as were sent and no two of them are equal.
A count alone is no proof: a chunk that a gateway stored twice can stand in for one that is missing.
So after an upload with an unknown outcome the server's checksums must tell chunks apart. Their
algorithm is not documented; `ChecksumKind` is what the lists have shown about it.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from celonis_frames._formatting import counted

Checksums = Sequence[str | None]
"""The checksums of a job's chunks, as the server lists them."""
Digests = Collection[str]
"""What a server may report for one chunk: its digests by the usual algorithms."""

REPEATED = "two of the job's chunks are equal, or one has no checksum"
UNIDENTIFIED = "one of the job's chunks cannot be identified"
UNDECIDED = "it is unknown which of several chunks were received"
UNPROVABLE = "the server's checksums do not show whether a chunk was stored twice"


class ChecksumKind(enum.Enum):
    """What is known about a server's checksums."""

    UNKNOWN = "nothing is known yet"
    DIGEST = "a digest of the content by a usual algorithm"
    CONTENT = "equal content has equal checksums; the algorithm is unknown"
    ARBITRARY = "equal content has different checksums, or there are none"


FOLLOWS_CONTENT = frozenset({ChecksumKind.DIGEST, ChecksumKind.CONTENT})
"""With these, different checksums prove that no chunk is in the job twice."""


class Finding(enum.Enum):
    """What a list of chunks says."""

    SETTLED = "every upload is known to be stored or not"
    SHORT = "chunks that are or may be there are not in the list yet: read it again"
    AMBIGUOUS = "it cannot be determined which chunks the job holds"


class Reconciled(NamedTuple):
    """A finding; with `reconcile`, the uploads that were stored, by number."""

    finding: Finding
    stored: frozenset[int] = frozenset()
    reason: str = ""


def reconcile(
    acknowledged: int,
    unknown: Mapping[int, Digests],
    listed: Checksums,
    kind: ChecksumKind,
    *,
    last: bool,
) -> Reconciled:
    """Which of the uploads with an unknown outcome are in the job.

    Args:
        acknowledged: Number of other chunks, which the server has confirmed.
        unknown: The digests of each upload with an unknown outcome.
        listed: The checksums of all chunks in the job, read while no upload runs.
        kind: What is known about the checksums.
        last: Whether the list is not read again: what it does not show is lost.
    """
    count = len(listed) - acknowledged
    if count > len(unknown) or (count < 0 and last):
        return Reconciled(Finding.AMBIGUOUS, reason=_mismatch(listed, acknowledged, len(unknown)))
    if count < len(unknown) and not last:
        return Reconciled(Finding.SHORT)
    if has_repeats(listed):
        return Reconciled(Finding.AMBIGUOUS, reason=REPEATED)
    if kind is ChecksumKind.DIGEST:
        stored = _present(unknown, listed)
        if len(stored) != count:
            return Reconciled(Finding.AMBIGUOUS, reason=UNIDENTIFIED)
        return Reconciled(Finding.SETTLED, stored)
    if 0 < count < len(unknown):
        return Reconciled(Finding.AMBIGUOUS, reason=UNDECIDED)
    return Reconciled(Finding.SETTLED, frozenset(unknown) if count else frozenset())


def verify(
    sent: int, listed: Checksums, kind: ChecksumKind, *, doubted: bool, last: bool
) -> Reconciled:
    """Whether a job holds every one of its `sent` chunks exactly once.

    If no outcome was ever unknown, the count decides. A single chunk needs no checksum either:
    nothing else was sent.
    """
    if len(listed) < sent and not last:
        return Reconciled(Finding.SHORT)
    if len(listed) != sent:
        return Reconciled(Finding.AMBIGUOUS, reason=_mismatch(listed, sent, 0))
    if not doubted or sent == 1:
        return Reconciled(Finding.SETTLED)
    if has_repeats(listed):
        return Reconciled(Finding.AMBIGUOUS, reason=REPEATED)
    if kind not in FOLLOWS_CONTENT:
        return Reconciled(Finding.AMBIGUOUS, reason=UNPROVABLE)
    return Reconciled(Finding.SETTLED)


def kind_shown(kind: ChecksumKind, known: Iterable[Digests], listed: Checksums) -> ChecksumKind:
    """The kind of checksums, after a list of a job that holds some of the `known` chunks."""
    if kind is ChecksumKind.UNKNOWN:
        present = set(listed)
        if any(not present.isdisjoint(digests) for digests in known):
            return ChecksumKind.DIGEST
    return kind


def kind_after_repeat(sent: int, listed: Checksums) -> ChecksumKind:
    """The kind of checksums, after a chunk was sent into the job a second time.

    `sent` is the number of chunks that the list may show besides. `UNKNOWN` if it shows no more.
    """
    if None not in listed and has_repeats(listed):
        return ChecksumKind.CONTENT
    return ChecksumKind.UNKNOWN if len(listed) <= sent else ChecksumKind.ARBITRARY


def same_chunks(chunks: Iterable[Digests], listed: Checksums) -> bool | None:
    """Whether a job holds exactly these chunks; None if its checksums are of an unknown kind."""
    rest = list(listed)
    chunks = list(chunks)
    for digests in chunks:
        match = next((checksum for checksum in rest if checksum in digests), None)
        if match is not None:
            rest.remove(match)
    if len(listed) != len(chunks):
        return False
    if not rest:
        return True
    return None if len(rest) == len(listed) else False


def has_repeats(listed: Checksums) -> bool:
    """Whether two chunks have the same checksum, or one of several has none."""
    return len(listed) > 1 and (None in listed or len(set(listed)) < len(listed))


def _present(unknown: Mapping[int, Digests], listed: Checksums) -> frozenset[int]:
    present = set(listed)
    return frozenset(
        number for number, digests in unknown.items() if not present.isdisjoint(digests)
    )


def _mismatch(listed: Checksums, acknowledged: int, unknown: int) -> str:
    without = f", {unknown:,} of them without a response" if unknown else ""
    held = counted(len(listed), "chunk")
    return f"the job holds {held}; sent: {acknowledged + unknown:,}{without}"
