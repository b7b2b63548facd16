"""An upload's body: its bytes, its length, its errors."""

from __future__ import annotations

import email.parser
import email.policy
import hashlib
import socket
import threading
from collections.abc import Iterator

import pytest

from celonis_frames._api.client import DataPushApi
from celonis_frames._auth.keys import ApiKey
from celonis_frames._http.file_body import SEND_BYTES, MultipartFile
from celonis_frames._http.transport import Transport
from celonis_frames.exceptions import ApiConnectionError, ApiStatusError, FrameError
from unit.conftest import POOL, Server


class Bytes:
    """A payload over bytes."""

    def __init__(self, *parts: bytes, size: int | None = None, name: str = "c-0.parquet") -> None:
        self.name = name
        self.parts = parts
        self.size = sum(map(len, parts)) if size is None else size

    def blocks(self) -> Iterator[bytes | memoryview]:
        yield from self.parts


def file_in(content_type: str, body: bytes) -> tuple[str, bytes]:
    """The form's one file, read by a parser that is not ours."""
    raw = f"Content-Type: {content_type}\r\n\r\n".encode() + body
    form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(raw)
    (part,) = form.iter_parts()
    assert part.get_param("name", header="Content-Disposition") == "file"
    return str(part.get_filename()), part.get_payload(decode=True)


@pytest.mark.parametrize("parts", [(), (b"",), (b"a", b"", b"bc"), (b"x" * (3 * SEND_BYTES + 7),)])
def test_the_form_is_what_it_announces(parts: tuple[bytes, ...]) -> None:
    """Length, blocks and content agree, however the payload is cut; each iteration is the same."""
    body = MultipartFile(Bytes(*parts))
    first = [bytes(block) for block in body]
    assert max(map(len, first)) <= SEND_BYTES
    assert len(body) == sum(map(len, first))
    assert file_in(body.content_type, b"".join(first)) == ("c-0.parquet", b"".join(parts))
    assert [bytes(block) for block in body] == first


def test_blocks_are_views_of_the_payload() -> None:
    """Nothing of the payload is copied."""
    content = bytearray(b"x" * 10)
    blocks = list(MultipartFile(Bytes(content)))  # type: ignore[arg-type]
    views = [b for b in blocks if isinstance(b, memoryview)]
    assert [view.obj for view in views] == [content]


def test_a_name_cannot_leave_its_place() -> None:
    """Quotes and line breaks in a name do not end the header."""
    body = MultipartFile(Bytes(b"x", name='a"\r\nEvil: 1.parquet'))
    sent = b"".join(bytes(block) for block in body)
    assert b"\r\nEvil" not in sent
    assert file_in(body.content_type, sent)[1] == b"x"


@pytest.mark.parametrize(("size", "word"), [(2, "more"), (9, "instead of")])
def test_a_payload_that_changed_is_an_error(size: int, word: str) -> None:
    """More or fewer bytes than announced never count as a body."""
    body = MultipartFile(Bytes(b"abcd", size=size))
    with pytest.raises(FrameError, match=word):
        list(body)
    assert not body.finished


def test_progress_is_taken_back_on_a_rewind() -> None:
    """What is counted adds up to the payload's size, however often the body is sent."""
    counted: list[int] = []
    body = MultipartFile(Bytes(b"x" * 10), on_sent=counted.append)
    list(body)
    list(body)
    assert sum(counted) == 10
    assert min(counted) == -10


def test_an_upload_as_it_is_sent(scripted: Server, api: DataPushApi) -> None:
    """Content-Length, not chunked; the server gets the same bytes; the path names the kind."""
    content = bytes(range(256)) * 20_000
    scripted.say((200, {}, b""))
    counted: list[int] = []
    api.upload_chunk(POOL, "j-1", Bytes(content), on_sent=counted.append)
    api.upload_chunk(POOL, "j-1", Bytes(b"k"), deleted=True)
    first, second = scripted.seen
    assert int(first.headers["content-length"]) == len(first.body)
    assert "transfer-encoding" not in first.headers
    got = file_in(first.headers["content-type"], first.body)[1]
    assert hashlib.sha256(got).digest() == hashlib.sha256(content).digest()
    assert sum(counted) == len(content)
    base = f"/data-ingestion/api/v1/data-push/{POOL}/jobs/j-1/chunks"
    assert [first.path, second.path] == [f"{base}/upserted", f"{base}/deleted"]


class Raises(Bytes):
    """A payload that fails while it is read."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(b"x" * 100)
        self.error = error

    def blocks(self) -> Iterator[bytes | memoryview]:
        yield b"x" * 50
        raise self.error


@pytest.mark.parametrize(
    "error",
    [OSError(5, "disk"), ConnectionResetError("staging"), ValueError("v"), KeyboardInterrupt()],
)
@pytest.mark.usefixtures("server")
def test_a_payloads_own_error_is_not_the_networks(api: DataPushApi, error: BaseException) -> None:
    """A chunk that cannot be read is not reported as a broken connection."""
    with pytest.raises(type(error)) as caught:
        api.upload_chunk(POOL, "j-1", Raises(error))
    assert caught.value is error


@pytest.mark.usefixtures("server")
def test_what_on_sent_raises_ends_the_upload(api: DataPushApi) -> None:
    """A cancelled push can end an upload between two blocks."""

    class Cancelled(Exception):
        pass

    def stop(_: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        api.upload_chunk(POOL, "j-1", Bytes(b"x" * 100), on_sent=stop)


def test_a_response_before_the_end() -> None:
    """A 413 while sending is reported; a 200 while sending is not a stored chunk."""
    for status, kinds in (
        (413, (ApiStatusError, ApiConnectionError)),
        (200, (ApiConnectionError,)),
    ):
        listener = socket.create_server(("127.0.0.1", 0))

        def serve(listener: socket.socket = listener, status: int = status) -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
                peer.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        transport = Transport(f"http://127.0.0.1:{listener.getsockname()[1]}", ApiKey("k"))
        with pytest.raises(kinds):
            DataPushApi(transport).upload_chunk(POOL, "j-1", Bytes(b"x" * 30_000_000))
        transport.close()
        thread.join(5)
        listener.close()
