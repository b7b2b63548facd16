"""The page's parts on data models and data jobs."""

from __future__ import annotations

import html

import requests
from processing_client import ProcessingClient

from celonis_frames import local

HOSTILE = "<script>alert('1')</script>"


def test_the_page_shows_data_models_and_data_jobs() -> None:
    """With their tables, rows, states, messages and SQL; every value is escaped."""
    with local.start(limits=False) as celonis:
        client = ProcessingClient(celonis)
        assert client.celonis.add_data_job("P", HOSTILE, f"SELECT '{HOSTILE.replace(chr(39), '')}'")
        page = requests.get(celonis.url, timeout=30).text
        assert "not run yet" in page
        assert "Data models" not in page
        client.sql("CREATE TABLE T AS FROM range(1234)", name="Make T")
        model = celonis.add_data_model("P", HOSTILE, ["T", HOSTILE])
        assert "never loaded" in requests.get(celonis.url, timeout=30).text
        client.load(model)
        page = requests.get(celonis.url, timeout=30).text
        for text in (
            "WARNING", "COMPLETE load", "1,234", "not loaded", html.escape(f"no table {HOSTILE}"),
            "SUCCESS", "FULL", "Make T", html.escape("SELECT '<script>"), html.escape(HOSTILE),
            model,
        ):  # fmt: skip
            assert text in page, text
        assert "<script" not in page
        celonis.faults.fail_data_jobs("the licence has expired")
        client.run("Make T")
        assert "the licence has expired" in requests.get(celonis.url, timeout=30).text
