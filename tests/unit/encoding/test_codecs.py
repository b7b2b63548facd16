"""The codec table: what `compression=` takes, what files then have, what Celonis accepts."""

from __future__ import annotations

import io
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from celonis_frames import Celonis, exceptions
from celonis_frames._encoding.chunking import encode
from celonis_frames._encoding.codecs import CODECS, DEFAULT_CODEC
from celonis_frames._options.push_options import PushOptions
from celonis_frames._options.upload import Compression
from celonis_frames.local._assumptions import STRICT
from celonis_frames.local._database import parquet_rules


@pytest.mark.parametrize("name", CODECS)
def test_files_have_the_codec_asked_for(name: str) -> None:
    """By Parquet's name for it, which the footer says."""
    frame = pa.table({"N": range(1_000), "S": ["alpha beta"] * 1_000})
    (chunk,) = encode(frame.to_batches(), frame.schema, compression=name)
    metadata = pq.read_metadata(io.BytesIO(b"".join(chunk.blocks())))
    codecs = {metadata.row_group(0).column(n).compression for n in range(metadata.num_columns)}
    assert codecs == {CODECS[name].parquet_name}


def test_what_is_said_to_be_accepted_is_accepted() -> None:
    """The local Celonis' strict rules take exactly these, the default among them."""
    accepted = {codec.parquet_name for codec in CODECS.values() if codec.accepted}
    rules = parquet_rules.rules_of(STRICT)
    assert rules is not None
    assert accepted == rules.codecs
    assert PushOptions().codec == DEFAULT_CODEC == "snappy"
    assert CODECS[DEFAULT_CODEC].accepted


def test_the_type_of_compression_names_the_codecs() -> None:
    """A type checker rejects what the options reject."""
    assert get_args(Compression) == tuple(CODECS)


@pytest.mark.parametrize("word", ["auto", "best"])
def test_another_word_is_rejected(connection: Celonis, table: str, word: str) -> None:
    """The error lists the codecs there are."""
    with pytest.raises(exceptions.ConfigError, match="use snappy, none, zstd, gzip or lz4"):
        connection.push(pa.table({"A": [1]}), "Codecs", table, upload={"compression": word})  # type: ignore[arg-type]
