"""The options of a push: parsed once, with the defaults of the connection."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from celonis_frames import Upload
from celonis_frames._options.push_options import PushOptions
from celonis_frames.exceptions import ConfigError, KeyColumnError


def test_values_have_their_final_types() -> None:
    """Whatever form was given: words in upper case, keys as a tuple, sizes in bytes."""
    options = PushOptions.parse(
        mode="replace", keys="K", verify="rows", upload={"chunk_bytes": "1 MB", "file_type": "csv"}
    )
    assert (options.mode, options.keys, options.verify) == ("REPLACE", ("K",), ("rows",))
    assert options.upload == Upload(chunk_bytes=1_000_000, file_type="CSV")


def test_a_dict_changes_what_it_names_and_an_upload_all() -> None:
    """The rest stays as the connection has it."""
    default = Upload(workers=2, chunk_bytes=1_000_000, job_options={"allowDuplicate": True})
    changed = PushOptions.from_call({"upload": {"workers": 8}}, default).upload
    assert changed == Upload(workers=8, chunk_bytes=1_000_000, job_options={"allowDuplicate": True})
    assert PushOptions.from_call({"upload": Upload(workers=8)}, default).upload == Upload(workers=8)
    assert PushOptions.from_call({"upload": None}, default).upload == default
    assert PushOptions.from_call({}, default).upload == default


def test_other_names_of_a_call_are_passed_over() -> None:
    """A call is given with all its parameters, the frame among them."""
    options = PushOptions.from_call({"frame": object(), "self": None, "wait": False}, Upload())
    assert options == PushOptions(wait=False)


def test_the_default_codec_is_the_certain_one() -> None:
    """If nothing else is given, or known of the pool."""
    assert Upload() == Upload(compression=None)
    assert PushOptions().codec == "snappy"
    assert PushOptions.parse(upload={"compression": "ZSTD"}).codec == "zstd"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"upload": {"chunks": 1}}, "file_type"),
        ({"upload": "fast"}, "Upload"),
        ({"upload": {"workers": 0}}, "workers=0"),
        ({"upload": {"workers": True}}, "workers=True"),
        ({"upload": {"job_options": {"type": "DELTA"}}}, "mode="),
        ({"upload": {"job_options": {"upsertStrategy": "MERGE"}}}, "NULLIFICATION"),
        ({"verify": "columns"}, "verify="),
        ({"timeout": 0}, "timeout=0"),
    ],
)
def test_wrong_values_are_named(given: dict[str, Any], message: str) -> None:
    """The message names the option and what it takes."""
    with pytest.raises(ConfigError, match=message):
        PushOptions.parse(**given)


def test_an_upsert_strategy_needs_keys_and_a_delta() -> None:
    """The API's field is about rows with the same key."""
    upload = Upload(job_options={"upsertStrategy": "UPSERT_WITH_NULLIFICATION"})
    for given in ({}, {"mode": "REPLACE", "keys": "K"}):
        with pytest.raises(KeyColumnError, match="upsertStrategy"):
            PushOptions.parse(upload=upload, **given)
    assert PushOptions.parse(upload=upload, keys="K").upload == upload


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"upload": {"worker": 2}}, "no 'worker', only .* Did you mean 'workers'"),
        ({"upload": {"job_options": {"duplicateRemovalColumn": "V"}}}, "deduplicate_by="),
        ({"upload": {"job_options": {1: 2}}}, "must be a string"),
        ({"progress": "no"}, "progress='no' must be True or False"),
        ({"wait": "no"}, "wait='no' must be True or False"),
        ({"keys": []}, "names no column"),
    ],
)
def test_nothing_is_ignored_in_silence(given: dict[str, Any], message: str) -> None:
    """A value that would change nothing, or the opposite of what it says, is an error."""
    with pytest.raises(ConfigError, match=message):
        PushOptions.parse(**given)


def test_a_size_with_a_unit_needs_none_a_second_time() -> None:
    """Settings are taken over and changed without being parsed as if they were given again."""
    small = Upload(chunk_bytes="5 KB")
    assert dataclasses.replace(small, workers=2) == Upload(chunk_bytes="5 KB", workers=2)
    assert small.changed({"workers": 2}).chunk_bytes == 5_000
    with pytest.raises(ConfigError, match="hardly"):
        Upload(chunk_bytes=5_000)


def test_wait_is_true_or_false() -> None:
    """None would mean: do not wait."""
    with pytest.raises(ConfigError, match="wait=None must be True or False"):
        PushOptions.parse(wait=None)


@pytest.mark.parametrize(
    ("mode", "message"), [("upsert", "keys="), ("Append", "DELTA"), ("overwrite", "REPLACE")]
)
def test_the_modes_of_other_libraries_are_explained(mode: str, message: str) -> None:
    """The message says which mode means the same here."""
    with pytest.raises(ConfigError, match=message):
        PushOptions.parse(mode=mode)


def test_what_has_its_default_is_not_parsed() -> None:
    """The defaults of a call are those of the options; None elsewhere is rejected as any value."""
    call = {"keys": None, "verify": None, "columns": None, "timeout": None, "mode": "DELTA"}
    assert PushOptions.from_call(call, Upload()) == PushOptions()
    for name in ("mode", "nested", "binary", "times", "on_bad", "wait"):
        with pytest.raises(ConfigError, match=f"{name}=None"):
            PushOptions.from_call({name: None}, Upload())
    with pytest.raises(ConfigError, match=r"keys=\(\)"):
        PushOptions.from_call({"keys": ()}, Upload())
