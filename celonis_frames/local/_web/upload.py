"""Stream an upload to disk: the multipart form is parsed as it arrives, never held in memory."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from celonis_frames.local._web.block_writer import BLOCK_BYTES, BlockWriter

MAX_HEADER_BYTES = 64 * 1024
"""Largest size of the headers of all parts of a form."""
MAX_FORM_BYTES = 100_000
"""Largest size of the form without its file."""


class UploadRejected(Exception):
    """The upload is rejected.

    Attributes:
        status: The HTTP status, 400 or 413.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _FileField:
    """The parser's callbacks: they write the field ``file`` and ignore all others."""

    def __init__(self, disk: BlockWriter, limit: int) -> None:
        self._limit = limit
        self._headers: dict[bytes, bytes] = {}
        self._field, self._value = b"", b""
        self._wanted = False
        self._header_bytes = 0
        self._disk = disk
        self.size = 0
        self.found = self.ended = False

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_data,
            "on_end": self._on_end,
        }

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._bound_header(end - start)
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._bound_header(end - start)
        self._value += data[start:end]

    def _bound_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES:
            raise UploadRejected(400, "The headers of the form are too long")

    def _on_header_end(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field, self._value = b"", b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._wanted = options.get(b"name") == b"file" and not self.found
        self.found = self.found or self._wanted

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if not self._wanted:
            return
        self.size += end - start
        if self.size > self._limit:
            raise UploadRejected(413, f"The chunk is larger than {self._limit:,} bytes")
        self._disk.put(memoryview(data)[start:end])

    def _on_end(self) -> None:
        self.ended = True


async def receive(request: Any, path: Path, limit: int, algorithm: str) -> tuple[str, int]:
    """Write the file of the form to `path`; returns its checksum in hex and its size in bytes.

    Raises:
        UploadRejected: There is no form, no file in it, or the file is larger than `limit`.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise UploadRejected(400, "The body must be multipart/form-data with the field 'file'")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit + MAX_FORM_BYTES:
        raise UploadRejected(413, f"The chunk is larger than {limit:,} bytes")
    digest = hashlib.new(algorithm, usedforsecurity=False)
    disk = BlockWriter(path, int(declared) if declared.isdecimal() else BLOCK_BYTES, digest)
    file = _FileField(disk, limit)
    try:
        parser = MultipartParser(boundary, file.callbacks())
        received = 0
        async for data in request.stream():
            received += len(data)
            if received > limit + MAX_FORM_BYTES:
                raise UploadRejected(
                    413, f"The form is larger than {limit + MAX_FORM_BYTES:,} bytes"
                )
            for start in range(0, len(data), BLOCK_BYTES):
                parser.write(data[start : start + BLOCK_BYTES])
                await disk.make_room()
        parser.finalize()
        await disk.finish()
    except FormParserError as error:
        raise UploadRejected(400, f"The form cannot be parsed: {error}") from error
    finally:
        await disk.close()
    if not file.found or not file.ended:
        raise UploadRejected(400, "The form has no complete field 'file'")
    return digest.hexdigest(), file.size
