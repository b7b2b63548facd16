"""The body of an upload: a file, alone or as ``multipart/form-data``, streamed without a copy.

``files=`` of requests copies the whole chunk, and a generator would force chunked transfer
encoding, which some gateways reject.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol

from urllib3.fields import RequestField

from celonis_frames.exceptions import FrameError

SEND_BYTES = 1_048_576
"""Bytes given to the socket at a time: more is no faster, less is slower."""


class Payload(Protocol):
    """A finished chunk, wherever its bytes are."""

    @property
    def name(self) -> str:
        """File name."""

    @property
    def size(self) -> int:
        """Bytes."""

    def blocks(self) -> Iterator[bytes | memoryview]:
        """The bytes, from the beginning on every call; not after `release`."""

    def release(self) -> None:
        """Free the bytes: the chunk has arrived and is not read again."""


class FileBody:
    """A request body that streams a payload with a known length.

    Each iteration starts at the beginning, so that a request can be repeated. `on_sent` is called
    with the number of the payload's bytes after each block given to the socket; when a body is
    repeated, first with minus what had been counted. An error that it raises ends the request.

    Attributes:
        finished: Whether the whole body was given to the socket.
        failure: The error raised while the payload was read, if any: the HTTP library would report
            an unreadable file as a broken connection.
        trace: Its traceback, without the frames of the HTTP library.
    """

    content_type = "application/octet-stream"

    def __init__(
        self, payload: Payload, *, on_sent: Callable[[int], None] = lambda _: None
    ) -> None:
        self._payload = payload
        self._on_sent = on_sent
        self._counted = 0
        self._prefix = self._suffix = b""
        self.finished = False
        self.failure: Exception | None = None
        self.trace: TracebackType | None = None

    def __len__(self) -> int:
        return len(self._prefix) + self._payload.size + len(self._suffix)

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """The body in blocks.

        Raises:
            FrameError: If the payload is longer or shorter than announced in the header.
        """
        self.finished, self.failure = False, None
        total, size = 0, self._payload.size
        if self._prefix:
            yield self._prefix
        try:
            if self._counted:
                self._on_sent(-self._counted)
                self._counted = 0
            for piece in self._payload.blocks():
                # Buffers of Arrow are signed bytes; an empty view cannot be cast.
                view = memoryview(piece).cast("B") if len(piece) else memoryview(b"")
                total += len(view)
                if total > size:
                    break
                for start in range(0, len(view), SEND_BYTES):
                    block = view[start : start + SEND_BYTES]
                    yield block
                    self._counted += len(block)
                    self._on_sent(len(block))
            if total != size:
                raise FrameError(
                    f"The chunk {self._payload.name} has {'more than ' if total > size else ''}"
                    f"{min(total, size):,} bytes instead of {size:,}: it was changed or cut while "
                    "it was sent. The upload was aborted."
                )
        except Exception as error:
            self.failure, self.trace = error, error.__traceback__
            raise
        if self._suffix:
            yield self._suffix
        self.finished = True


class MultipartFile(FileBody):
    """The same as the field ``file`` of a form."""

    def __init__(
        self, payload: Payload, *, on_sent: Callable[[int], None] = lambda _: None
    ) -> None:
        super().__init__(payload, on_sent=on_sent)
        boundary = f"celonis-frames-{secrets.token_hex(16)}"
        part = RequestField("file", b"", filename=payload.name)
        part.make_multipart(content_type="application/octet-stream")
        self._prefix = f"--{boundary}\r\n{part.render_headers()}".encode()
        self._suffix = f"\r\n--{boundary}--\r\n".encode()
        self.content_type = f"multipart/form-data; boundary={boundary}"
