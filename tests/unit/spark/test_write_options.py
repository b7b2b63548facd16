"""The options of Spark's data source are those of a push, and no secret is among them."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celonis_frames._auth.environment import read_environment, read_from
from celonis_frames._options.push_options import PushOptions
from celonis_frames._options.upload import Upload
from celonis_frames._spark.credentials import read_variables
from celonis_frames._spark.write_options import _PARSERS, _SPELLED, parse_write_options
from celonis_frames.exceptions import CelonisFramesError, ConfigError

GIVEN = {"pool": "P", "table": "T", "staging": "s3://bucket/celonis"}
CANARY = "canary-1234"
NOT_HERE = {"index", "times", "push_id", "progress", "on_event", "upload", "mode"}
"""Parameters of a push that a data source cannot have, or has in another form."""

values = st.one_of(
    st.text(), st.integers().map(str), st.sampled_from(["", "A,B", "true", "2 MB", "null"]),
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    ).map(json.dumps),
)  # fmt: skip


def spelled(name: str, data: Any) -> str:
    """An option's name as Spark takes it: in any case, with or without underscores."""
    written = data.draw(
        st.sampled_from([name, _SPELLED[name], name.upper(), name.replace("_", "")])
    )
    return str(written)


def test_all_parameters_of_a_push_are_options() -> None:
    """But for those that make no sense where a process of Spark sends the rows."""
    names = {one.name for kind in (PushOptions, Upload) for one in fields(kind)}
    own = {"pool", "table", "upsert_strategy", "credentials", "status"}
    assert set(_PARSERS) - own == names - NOT_HERE


@given(st.dictionaries(st.sampled_from(sorted(_PARSERS)), values), st.data())
def test_any_values_are_parsed_or_an_error_of_ours(options: dict[str, str], data: Any) -> None:
    """However the names are written, the result is the same."""
    first = outcome(GIVEN | options)
    again = {spelled(name, data): value for name, value in (GIVEN | options).items()}
    assert outcome(again) == first


def outcome(options: dict[str, str]) -> Any:
    """What is parsed, or the kind of the error."""
    try:
        write = parse_write_options(options, mode="DELTA")
    except CelonisFramesError as error:
        return type(error), error.message
    return write, write.options


@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, unique=True))
def test_any_names_can_be_given_as_json(names: list[str]) -> None:
    """Also those with commas, brackets and blanks."""
    write = parse_write_options(GIVEN | {"keys": json.dumps(names)}, mode="DELTA")
    assert write.options.keys == tuple(names)


@given(
    st.sampled_from(["token", "apiKey", "MY_SECRET", "password", "auth", "credential"]), st.data()
)
def test_what_looks_like_a_secret_is_rejected_without_its_value(name: str, data: Any) -> None:
    """As are secrets inside of options that are none."""
    hidden = data.draw(st.sampled_from([
        {name: CANARY},
        {"staging": f"s3://user:{CANARY}@bucket"},
        {"status": f"https://host/x?sig={CANARY}"},
        {"storageOptions": json.dumps({"client_kwargs": {name: CANARY}})},
        {"columns": json.dumps({"A": {"pseudonymise": CANARY}})},
        {"credentials": CANARY},
    ]))  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        parse_write_options(GIVEN | hidden, mode="DELTA")
    assert CANARY not in caught.value.message


@pytest.mark.parametrize("name", ["pool", "table", "staging"])
def test_what_is_required_is_named(name: str) -> None:
    """With an example."""
    left = {one: value for one, value in GIVEN.items() if one != name}
    with pytest.raises(ConfigError, match=rf"option\('{name}'\) is missing"):
        parse_write_options(left, mode="DELTA")


def test_an_unknown_option_is_an_error_unless_it_is_of_spark() -> None:
    """The message has all that there are, and the nearest."""
    with pytest.raises(ConfigError, match="Did you mean 'chunkBytes'"):
        parse_write_options(GIVEN | {"chunkbites": "1 MB"}, mode="DELTA")
    options = GIVEN | {"checkpointlocation": "/x"}
    parse_write_options(options, mode="DELTA", ignored=("checkpointLocation",))


def test_the_upload_is_one_of_a_push() -> None:
    """Its options stand beside the others."""
    write = parse_write_options(
        GIVEN | {"fileType": "csv", "chunkBytes": "2000000", "workers": "2", "keys": "A",
                 "upsertStrategy": "UPSERT_WITH_NULLIFICATION", "jobOptions": '{"x": 1}'},
        mode="DELTA",
    )  # fmt: skip
    upload = write.options.upload
    assert (upload.file_type, upload.chunk_bytes, upload.workers) == ("CSV", 2_000_000, 2)
    strategy = {"x": 1, "upsertStrategy": "UPSERT_WITH_NULLIFICATION"}
    assert upload.job_options == strategy


def test_a_file_of_credentials_is_the_environment_for_a_while(tmp_path: Path) -> None:
    """Its owner alone may read it; no message shows a line of it."""
    path = tmp_path / "celonis.env"
    path.touch(mode=0o600)
    path.write_text(
        "# a comment\n\nexport CELONIS_URL=https://t.eu-1.celonis.cloud\n"
        f"CELONIS_API_TOKEN = '{CANARY}'\n"
    )
    variables = read_variables(path)
    with read_from(variables):
        found = read_environment()
    assert found.url == "https://t.eu-1.celonis.cloud"
    assert found.auth is not None
    assert CANARY not in os.environ.values()
    path.write_text(f"{CANARY}\n")
    with pytest.raises(ConfigError, match="Line 1 of the file") as caught:
        read_variables(path)
    assert CANARY not in caught.value.message
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_variables(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_variables(tmp_path / "nowhere")


def test_a_file_of_credentials_is_measured_in_bytes(tmp_path: Path) -> None:
    """Of a longer one no part is used, whatever number of characters it has."""
    path = tmp_path / "celonis.env"
    path.touch(mode=0o600)
    path.write_text(f"#{'ä' * 40_000}\nCELONIS_API_TOKEN={CANARY}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="more than 65,536 bytes"):
        read_variables(path)


def test_a_mode_says_nothing_without_posix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows every file has the mode 0666 or 0444."""
    path = tmp_path / "celonis.env"
    path.write_text(f"CELONIS_API_TOKEN={CANARY}\n")
    path.chmod(0o666)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(os, "name", "nt")
        variables = read_variables(path)
    assert variables == {"CELONIS_API_TOKEN": CANARY}
