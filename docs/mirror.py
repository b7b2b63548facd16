"""Write the tables that mirror code into the documentation."""

from __future__ import annotations

import re
from pathlib import Path

from celonis_frames._types import TYPE_TABLE
from celonis_frames.local._choices import CHOICES

HERE = Path(__file__).parent


def types_table() -> str:
    """The type table as Markdown."""
    rows = ["| Arrow | Celonis | or by `columns=` | how |", "|---|---|---|---|"]
    rows += [
        f"| {rule.arrow} | {rule.default or 'refused'} | {', '.join(rule.others)} | "
        f"{rule.how}{f': {rule.advice}' if rule.advice else ''} |"
        for rule in TYPE_TABLE
    ]
    return "\n".join(rows)


def choices_table() -> str:
    """The local Celonis' undocumented choices as Markdown."""
    rows = ["| topic | choice |", "|---|---|"]
    rows += [f"| {topic} | {choice} |" for topic, choice in CHOICES]
    return "\n".join(rows)


def mirrored(page: str, name: str, table: str) -> str:
    """The page with the table between its markers."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n{table}\n{end}", page)


PAGES = (("types.md", "types", types_table), ("local.md", "choices", choices_table))

if __name__ == "__main__":
    for file, name, table in PAGES:
        path = HERE / file
        path.write_text(mirrored(path.read_text("utf-8"), name, table()), "utf-8")
