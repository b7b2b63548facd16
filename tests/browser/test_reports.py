"""Reports in a browser: legible on every page, light and dark, wide and narrow."""

from __future__ import annotations

from pathlib import Path

import hosts
import pytest
from chromium import LEAST, SCHEMES, scroll_width, texts
from reports import HOSTILE, reports

SMALLEST = 11.0
"""Pixels of the smallest font that is read without effort."""


@pytest.fixture(scope="module")
def shown() -> dict[str, str]:
    """All reports as HTML."""
    return {name: one._repr_html_() for name, one in reports().items()}


def test_a_faint_text_is_found(tmp_path: Path) -> None:
    """The measurement finds what is wrong, also behind transparent layers and in folded parts."""
    page = tmp_path / "page.html"
    page.write_text(
        "<body style='background:white'><p style='color:#767676'>fine</p><p style='color:#777'>no"
        "</p><div style='background:rgba(0,0,0,.5)'><b style='color:#333'>dim</b></div>"
        "<details><summary>more</summary><i style='color:rgba(0,0,0,.4)'>thin</i></details>"
    )
    low = {one.text: one.contrast for one in texts(page) if one.contrast < LEAST}
    assert set(low) == {"no", "dim", "thin"}
    assert low["no"] == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_text_is_legible_on_every_page(
    shown: dict[str, str], tmp_path: Path, scheme: str
) -> None:
    """Contrast of at least 4.5 and no tiny font, whatever theme the page has."""
    page = tmp_path / "page.html"
    page.write_text(hosts.page(shown), "utf-8")
    found = texts(page, scheme=scheme)
    assert [one for one in found if one.contrast < LEAST or one.size < SMALLEST] == []
    per_host = {host: sum(one.host == host for one in found) for host in hosts.HOSTS}
    assert min(per_host.values()) == max(per_host.values()) > 20 * len(shown)
    assert any(HOSTILE[:40] in one.text for one in found), "as text"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_decides_on_light_and_dark(
    shown: dict[str, str], tmp_path: Path, scheme: str
) -> None:
    """A page that says what it is has the report in its colours; else it is the reader's choice."""
    page = tmp_path / "page.html"
    page.write_text(hosts.page({"push": shown["push"]}), "utf-8")
    colours = {one.host: one.colours for one in texts(page, scheme=scheme) if "DONE" in one.text}
    dark = {host for host, one in colours.items() if one.startswith("rgb(126, 226, 160)")}
    expected = {host for host in hosts.HOSTS if hosts.is_dark(host)}
    assert dark == (expected | hosts.UNDECIDED if scheme == "dark" else expected)


def test_a_phone_needs_no_scrolling(shown: dict[str, str], tmp_path: Path) -> None:
    """At 390 pixels only wide tables scroll, within their report."""
    page = tmp_path / "page.html"
    page.write_text(hosts.page(shown), "utf-8")
    assert scroll_width(page, 390) == 390
    page.write_text(page.read_text("utf-8") + "<p style='width:391px;margin:0'>wide", "utf-8")
    assert scroll_width(page, 390) > 390, "it is measured"
