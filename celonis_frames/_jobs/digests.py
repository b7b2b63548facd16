"""Digests of a chunk, to recognise it in the server's list."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import zlib

from celonis_frames._http.file_body import Payload

_ALGORITHMS = ("md5", "sha1", "sha256")


def digests(payload: Payload) -> frozenset[str]:
    """The checksums that a server may report for these bytes; its algorithm is not documented.

    Empty if the bytes cannot be read now.
    """
    hashes = [hashlib.new(name, usedforsecurity=False) for name in _ALGORITHMS]
    crc = 0
    with contextlib.suppress(OSError):
        for block in payload.blocks():
            crc = zlib.crc32(block, crc)
            for digest in hashes:
                digest.update(block)
        found = {str(crc), f"{crc:08x}"}
        for digest in hashes:
            text = digest.hexdigest()
            found |= {text, text.upper(), base64.b64encode(digest.digest()).decode()}
        return frozenset(found)
    return frozenset()
