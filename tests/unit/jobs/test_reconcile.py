"""What a list of chunks proves, against a model that knows which chunks are stored."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from celonis_frames._jobs import reconcile as pure
from celonis_frames._jobs.reconcile import ChecksumKind, Finding

SERVERS = ("digest", "content", "arbitrary", "none")


class Stored(NamedTuple):
    """A job of the model: what each upload did, and in which order the server lists the chunks."""

    server: str
    contents: tuple[int, ...]  # of the chunks that were sent, by number from 1
    times: tuple[int, ...]  # how often each was stored
    unknown: frozenset[int]  # numbers without a response
    order: int

    @property
    def acknowledged(self) -> int:
        return len(self.contents) - len(self.unknown)

    @property
    def exact(self) -> bool:
        """Whether every chunk is stored exactly once."""
        return set(self.times) <= {1}

    def digests(self, number: int) -> frozenset[str]:
        content = self.contents[number - 1]
        return frozenset({f"d{content}", f"e{content}"})

    def listed(self) -> tuple[str | None, ...]:
        chunks = [
            content
            for content, times in zip(self.contents, self.times, strict=True)
            for _ in range(times)
        ]
        turn = self.order % (len(chunks) or 1)
        chunks = chunks[turn:] + chunks[:turn]
        if self.server == "none":
            return (None,) * len(chunks)
        if self.server == "arbitrary":
            return tuple(f"a{serial}" for serial in range(len(chunks)))
        return tuple(f"{self.server[0]}{content}" for content in chunks)

    def kind(self) -> ChecksumKind:
        return {
            "digest": ChecksumKind.DIGEST, "content": ChecksumKind.CONTENT,
            "arbitrary": ChecksumKind.ARBITRARY, "none": ChecksumKind.ARBITRARY,
        }[self.server]  # fmt: skip


@st.composite
def jobs(draw: Any, *, twice: bool = True) -> Stored:
    """Acknowledged chunks are stored at least once; others never, once or twice."""
    count = draw(st.integers(1, 5))
    contents = tuple(draw(st.lists(st.integers(1, 6), min_size=count, max_size=count)))
    unknown = frozenset(draw(st.sets(st.integers(1, count))))
    most = 2 if twice else 1
    times = tuple(
        draw(st.integers(0 if number in unknown else 1, most)) for number in range(1, count + 1)
    )
    server = draw(st.sampled_from(SERVERS))
    return Stored(server, contents, times, unknown, draw(st.integers(0, 9)))


def _reconcile(job: Stored, kind: ChecksumKind, *, last: bool = True) -> pure.Reconciled:
    unknown = {number: job.digests(number) for number in job.unknown}
    return pure.reconcile(job.acknowledged, unknown, job.listed(), kind, last=last)


@given(jobs())
def test_what_is_settled_is_stored(job: Stored) -> None:
    """With checksums that follow content, the chunks found to be stored are, and no others."""
    found = _reconcile(job, job.kind())
    if found.finding is Finding.SETTLED and job.server in ("digest", "content"):
        distinct = len(set(job.contents)) == len(job.contents)
        if distinct or job.server == "digest":
            stored = {n for n in job.unknown if job.times[n - 1]}
            twins = {
                n for n in job.unknown
                if any(job.contents[n - 1] == job.contents[m] and job.times[m]
                       for m in range(len(job.contents)) if m != n - 1)
            }  # fmt: skip
            assert found.stored - twins == stored - twins


@given(jobs(twice=False))
def test_a_known_digest_settles_every_job_of_distinct_chunks(job: Stored) -> None:
    """Chunks that differ are told apart, whichever of them were stored."""
    if job.server == "digest" and len(set(job.contents)) == len(job.contents):
        found = _reconcile(job, ChecksumKind.DIGEST)
        assert found.finding is Finding.SETTLED
        assert found.stored == {n for n in job.unknown if job.times[n - 1]}


@given(jobs())
def test_what_is_missing_is_looked_for_again(job: Stored) -> None:
    """Unless it is the last look, a list with fewer chunks than may be there is short."""
    found = _reconcile(job, job.kind(), last=False)
    listed = len(job.listed())
    assert (found.finding is Finding.SHORT) is (listed < len(job.contents))
    assert (_reconcile(job, job.kind()).finding is Finding.SHORT) is False


@given(jobs(), st.booleans())
def test_a_verified_job_is_exact(job: Stored, doubted: bool) -> None:
    """A doubted job is settled only if every chunk is stored once; an exact job is settled."""
    found = pure.verify(
        len(job.contents), job.listed(), job.kind(), doubted=doubted, last=True
    )  # fmt: skip
    follows = job.server in ("digest", "content")
    if found.finding is Finding.SETTLED and doubted:
        assert job.exact
        assert follows or len(job.contents) == 1
    if job.exact and len(set(job.contents)) == len(job.contents) and (follows or not doubted):
        assert found.finding is Finding.SETTLED


@given(jobs())
def test_the_count_alone_is_no_proof(job: Stored) -> None:
    """Of a doubted job of several chunks, nothing is believed while the kind is unknown."""
    if len(job.contents) > 1:
        found = pure.verify(
            len(job.contents), job.listed(), ChecksumKind.UNKNOWN, doubted=True, last=True
        )
        assert found.finding is Finding.AMBIGUOUS


@given(jobs())
def test_the_kind_is_shown_by_a_chunk_that_is_there(job: Stored) -> None:
    """A list shows DIGEST exactly if it has one of the known digests; what is known stays."""
    known = [job.digests(number) for number in job.unknown]
    shown = pure.kind_shown(ChecksumKind.UNKNOWN, known, job.listed())
    contents = {c for c, times in zip(job.contents, job.times, strict=True) if times}
    there = {job.contents[n - 1] for n in job.unknown} & contents
    expected = job.server == "digest" and bool(there)
    assert shown is (ChecksumKind.DIGEST if expected else ChecksumKind.UNKNOWN)
    for kind in set(ChecksumKind) - {ChecksumKind.UNKNOWN}:
        assert pure.kind_shown(kind, known, job.listed()) is kind


@given(jobs(twice=False))
def test_a_repeated_chunk_shows_whether_checksums_follow_content(job: Stored) -> None:
    """A chunk that was stored twice has equal checksums if, and only if, they follow content."""
    once = job._replace(contents=tuple(range(1, len(job.contents) + 1)),
                        times=(1,) * len(job.contents))  # fmt: skip
    repeated = once._replace(times=(2, *once.times[1:]))
    sent = len(once.contents)
    assert pure.kind_after_repeat(sent, once.listed()) is ChecksumKind.UNKNOWN
    shown = pure.kind_after_repeat(sent, repeated.listed())
    follows = job.server in ("digest", "content")
    assert shown is (ChecksumKind.CONTENT if follows else ChecksumKind.ARBITRARY)


@given(jobs(), jobs())
def test_the_same_chunks(job: Stored, other: Stored) -> None:
    """A job is the push's if it holds the same contents as often; unknown kinds are no answer."""
    chunks = [other.digests(number) for number in range(1, len(other.contents) + 1)]
    found = pure.same_chunks(chunks, job.listed())
    held = Counter(
        content
        for content, times in zip(job.contents, job.times, strict=True)
        for _ in range(times)
    )
    same = held == Counter(other.contents)
    if job.server == "digest":
        if same:
            assert found is True
        else:
            assert not found
    elif len(job.listed()) != len(other.contents):
        assert found is False
    else:
        assert found is None


@given(jobs())
def test_repeats(job: Stored) -> None:
    """One of several chunks without a checksum counts as a repeat: it cannot be told apart."""
    listed = job.listed()
    expected = len(listed) > 1 and (None in listed or len(set(listed)) < len(listed))
    assert pure.has_repeats(listed) is expected
