"""The Parquet codecs that `compression=` takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Codec:
    """A compression codec of Parquet."""

    name: str  # in `compression=` and in pyarrow
    parquet_name: str  # in the footer of a file
    accepted: bool  # whether Celonis is known to accept it; see docs/parquet-files.md


CODECS = {
    codec.name: codec
    for codec in (
        Codec("snappy", "SNAPPY", accepted=True),
        Codec("none", "UNCOMPRESSED", accepted=True),
        Codec("zstd", "ZSTD", accepted=False),
        Codec("gzip", "GZIP", accepted=False),
        Codec("lz4", "LZ4", accepted=False),
    )
}
"""All codecs by name, in the order in which error messages list them."""

DEFAULT_CODEC: Literal["snappy"] = "snappy"
"""The official client always writes it, so it is certain to be accepted."""
