"""A page in headless Chromium: a picture of it, and the contrasts of its texts.

    python tests/browser/chromium.py PAGE.html… [--scope SELECTOR]

opens each page in a light and in a dark scheme, prints every text whose contrast to its background
is below 4.5, and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
LEAST = 4.5
"""Contrast that the Web Content Accessibility Guidelines ask of text, at level AA."""
SCHEMES = {"light": 1, "dark": 0}
"""What the reader prefers, in Chromium's setting."""
SECONDS = 120

_MEASURE = """
<script>
addEventListener("load", () => setTimeout(() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  const context = Object.assign(document.createElement("canvas"), {width: 1, height: 1})
    .getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const background = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      layers.push(rgba(getComputedStyle(e).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    let found = rgba("Canvas");
    for (const layer of layers.reverse()) found = over(layer, found);
    return found;
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.closest("SCOPE") || element.closest("style,script")) continue;
    const style = getComputedStyle(element), box = element.getBoundingClientRect();
    if (style.visibility === "hidden" || !box.width || !box.height) continue;
    const under = background(element), text = over(rgba(style.color), under);
    const [dark, bright] = [luminance(under), luminance(text)].sort((a, b) => a - b);
    const host = element.closest("[data-host]");
    found.push({
      host: host ? host.dataset.host : "", text: node.data.trim().slice(0, 80),
      size: parseFloat(style.fontSize),
      contrast: (bright + 0.05) / (dark + 0.05),
      colours: `${style.color} on rgb(${under.map(Math.round).join(", ")})`,
    });
  }
  const result = document.createElement("pre");
  result.id = "result";
  result.textContent = JSON.stringify(found);
  document.documentElement.append(result);
}, 0));
</script>
"""  # noqa: E501  # JavaScript


@dataclass(frozen=True)
class Text:
    """A piece of text on a page; `host` is what it stands in, `size` in pixels."""

    host: str
    text: str
    size: float
    contrast: float
    colours: str


def run(page: Path, *options: str, scheme: str = "light") -> str:
    """What Chromium prints for a page, opened in a profile of its own."""
    assert CHROMIUM is not None, "install Chromium: apt-get install chromium"
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--disable-background-networking", "--allow-file-access-from-files",
                f"--user-data-dir={profile}", "--window-size=1280,2000",
                f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
                "--virtual-time-budget=8000", *options, page.resolve().as_uri(),
            ],
            capture_output=True, text=True, timeout=SECONDS, check=True,
        )  # fmt: skip
    return done.stdout


def texts(page: Path, *, scheme: str = "light", scope: str = "body") -> list[Text]:
    """All texts within `scope`, a selector, as they are rendered; whatever is folded is opened."""
    measured = page.with_name(f".{page.stem}-{scheme}.html")
    source = page.read_text("utf-8") + _MEASURE.replace("SCOPE", scope)
    measured.write_text(source, "utf-8")
    try:
        dom = run(measured, "--dump-dom", scheme=scheme)
    finally:
        measured.unlink()
    return [Text(**one) for one in json.loads(_result(dom))]


def scroll_width(page: Path, width: int) -> int:
    """The width of a page in a window of this width: more than that if it scrolls sideways."""
    framed = _framed(page, width)
    try:
        return int(_result(run(framed, "--dump-dom")))
    finally:
        framed.unlink()


def picture(
    page: Path, file: Path, *, scheme: str = "light", width: int = 1280, height: int = 2000
) -> None:
    """Write a picture of a page, as PNG."""
    framed = _framed(page, width, height)
    try:
        run(framed, f"--screenshot={file}", f"--window-size={width},{height}", scheme=scheme)
    finally:
        framed.unlink()


def _framed(page: Path, width: int, height: int = 2000) -> Path:
    """A page with the page in a frame, which may be narrower than a window of Chromium can be."""
    framed = page.with_name(f".{page.stem}-framed.html")
    framed.write_text(
        "<!doctype html><meta charset=utf-8><meta name=color-scheme content='light dark'>"
        f"<body style='margin:0'><iframe src='{page.name}' width={width} height={height} "
        "style='border:0' onload=\"const result = document.createElement('pre');"
        "result.id = 'result'; result.hidden = true;"
        "result.textContent = this.contentDocument.documentElement.scrollWidth;"
        'document.body.append(result)"></iframe>'
    )
    return framed


def _result(dom: str) -> str:
    found = re.search(r'<pre id="result"[^>]*>(.*?)</pre>', dom, re.DOTALL)
    assert found, "the page did not load in time"
    return html.unescape(found[1])


def main() -> None:
    """Measure the pages of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--scope", default="body", help="selector of what to measure")
    given = parser.parse_args()
    low = 0
    for page in given.pages:
        for scheme in SCHEMES:
            found = texts(page, scheme=scheme, scope=given.scope)
            lowest = min((one.contrast for one in found), default=0.0)
            print(f"{page.name}, {scheme}: {len(found)} texts, lowest contrast {lowest:.2f}")
            for one in found:
                if one.contrast < LEAST:
                    low += 1
                    print(f"  {one.contrast:.2f}: {one.text!r}, {one.colours}")
    sys.exit(1 if low else 0)


if __name__ == "__main__":
    main()
