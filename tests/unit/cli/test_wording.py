"""The library's messages in the words of the command line."""

from __future__ import annotations

import pytest

from celonis_frames._cli.wording import in_cli_words

JOB = "celonis.job('P 1', 'j-1')"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ('push with mode="REPLACE".', "push with --mode REPLACE."),
        ("mode='APPEND' is unknown", "--mode APPEND is unknown"),
        ("columns= sets another type", "--column sets another type"),
        ("give keys= as well: keys=['A']", "give --keys as well: --keys['A']"),
        ("when timeout= passed. timeout=-1.5 must", "when --timeout passed. --timeout -1.5 must"),
        ("columns={'A B': \"FLOAT\"}, or", "--column 'A B=FLOAT', or"),
        ("columns={'A': 200}.", "--column A=200."),
        ("(first in row 1,999, counted from 0): convert",
         "(first in row 2,000, counted from 1 without the header): convert"),
        ('upload={"file_type": "CSV"}', "--file-type CSV"),
        ("reload= needs wait=True: the", "--reload cannot be used with --no-wait: the"),
        ("again with celonis.reload('p', 'My (model)').",
         "again with celonis-frames reload p 'My (model)'."),
        (f"Wait for it with {JOB}.wait(), or stop it with .cancel().",
         "Look at it with celonis-frames job 'P 1' j-1, or stop it with "
         "celonis-frames cancel 'P 1' j-1."),
        (f"cancel it with {JOB}.cancel()", "cancel it with celonis-frames cancel 'P 1' j-1"),
        ("see celonis.job(pool, id)", "see celonis-frames job POOL JOB"),
        ("celonis_frames.resume(…) finishes", "celonis-frames resume STAGING finishes"),
    ],
)  # fmt: skip
def test_parameters_and_functions_become_options_and_commands(message: str, words: str) -> None:
    """With their values, quoted for a shell where they need it."""
    assert in_cli_words(message) == words


@pytest.mark.parametrize(
    "message",
    [
        "https://h/p?mode=x&keys=y", "column 'mode=x'", "--read-option columns= names",
        "--storage-option timeout=x", "Table 'T' has modes", "client=3", "index=True", "0045=x",
    ],
)  # fmt: skip
def test_other_text_stays_as_it_is(message: str) -> None:
    """Names in quotes, URLs, options of readers, and parameters without an option."""
    assert in_cli_words(message) == message
