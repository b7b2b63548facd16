"""A plan for a terminal: its table in the width there is, and how the files were read."""

from __future__ import annotations

import re
import sys

from celonis_frames import PushPlan
from celonis_frames._cli.layout import table, width_of
from celonis_frames._cli.reading.reading import Reading
from celonis_frames._cli.wording import in_cli_words
from celonis_frames._push.plan import plan_text

_TEXT = re.compile(r"\b(string_view|large_string|string)$")
"""Arrow's names of text, which say how it is held in memory."""


def plan_lines(plan: PushPlan, reading: Reading) -> list[str]:
    """The plan as lines."""
    text = plan_text(plan)
    rows = [tuple(_TEXT.sub("text", cell) for cell in row) for row in text.columns]
    return [
        text.headline,
        f"read from {reading.line}",
        "",
        *table(text.head, rows, width_of(sys.stdout)),
        *(["", *map(in_cli_words, text.differences)] if text.differences else []),
        *(f"! {note}" for note in (*reading.notes, *map(in_cli_words, plan.warnings))),
    ]
