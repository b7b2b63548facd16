"""Writes the tables and the error tree that mirror code into the documentation.

The tables of types show planned pushes of all cases in tests/cases.py.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import textwrap
from pathlib import Path

import celonis_frames
from celonis_frames import events
from celonis_frames._doctor.finding import EXIT_CODES
from celonis_frames._doctor.trial import NOT_TRIED, PROBES
from celonis_frames._frames.reading import FRAMES, choose_reading
from celonis_frames._jobs.machine import TABLE as TRANSITIONS
from celonis_frames._schema.types import TYPE_TABLE
from celonis_frames._tables.alignment import Follow, choose_type
from celonis_frames._validation.rejects import Reason
from celonis_frames.local._assumptions import ASSUMPTIONS

HERE = Path(__file__).parent
sys.path += [str(HERE.parent / "tests"), str(HERE.parent / "tests" / "docs")]

import cases  # noqa: E402  # the tests' own list
import messages  # noqa: E402


def types_table() -> str:
    """The type table as Markdown."""
    rows = ["| Arrow | Celonis | by `columns=` also | conversion |", "|---|---|---|---|"]
    rows += [
        f"| {rule.arrow_types} | {rule.default or 'rejected'} | {', '.join(rule.others)} | "
        f"{rule.how}{f': {rule.advice}' if rule.advice else ''} |"
        for rule in TYPE_TABLE
    ]
    return "\n".join(rows)


def library_table(library: str) -> str:
    """The Celonis types of one library's types as Markdown."""
    rows = [f"| {library} | options | Celonis | example or error | note |", "|---|---|---|---|---|"]
    for case in cases.LIBRARIES[library]:
        options = ", ".join(f"`{name}={value!r}`" for name, value in case.options.items())
        frame = cases.frame(library, {"C": case.make()})
        try:
            plan = celonis_frames.plan(frame, "Pool", "TABLE", **case.options)
        except celonis_frames.exceptions.FrameError as error:
            celonis, shown = "rejected", str(error).replace("|", "\\|").replace("<", "\\<")
        else:
            celonis = next(column.type for column in plan.columns if column.name == "C")
            shown = ", ".join(_shown(value) for value in case.stored or [])
        rows.append(f"| {case.type} | {options} | {celonis} | {shown} | {case.note} |")
    return "\n".join(rows)


def alignment_table() -> str:
    """What becomes of a column of one type for a table that shows another, as Markdown."""
    shown = ("INTEGER", "FLOAT", "STRING", "DATE")
    rows = [f"| frame | {' | '.join(f'table: {one}' for one in shown)} |", "|---" * 5 + "|"]
    for own in ("INTEGER", "FLOAT", "BOOLEAN", "STRING", "DATETIME"):
        cells = [_FOLLOWED[choose_type(own, one)] for one in shown]
        rows.append(f"| {own} | {' | '.join(cells)} |")
    cells = [_FOLLOWED[Follow.AS_IT_IS]] * len(shown)
    rows.append(f"| only nulls, of any type | {' | '.join(cells)} |")
    return "\n".join(rows)


_FOLLOWED = {
    Follow.AS_IT_IS: "sent",
    Follow.WHOLE_NUMBERS: "whole numbers are sent",
    Follow.EXACT_FLOATS: "if exact as floats",
    Follow.TEXT: "as text, with a warning; an error for keys and `deduplicate_by`",
    Follow.ONLY_NULLS: "an error",
}


def _shown(value: object) -> str:
    text = "null" if value is None else str(value) if not isinstance(value, str) else f'"{value}"'
    return f"`{text}`"


def assumptions_table() -> str:
    """The assumptions of the local Celonis as Markdown."""
    rows = ["| topic | assumption | setting |", "|---|---|---|"]
    for topic, assumption, names in ASSUMPTIONS:
        settings = ", ".join(f"`{name}`" for name in names.split(", ") if name)
        rows.append(f"| {topic} | {assumption} | {settings} |")
    return "\n".join(rows)


def exits_table() -> str:
    """The exit statuses of the doctor as Markdown."""
    rows = [
        "| status | the first error is about |",
        "|---|---|",
        "| 0 | nothing: there may be warnings |",
    ]
    for status in dict.fromkeys(EXIT_CODES.values()):
        checks = ", ".join(name for name, code in EXIT_CODES.items() if code == status)
        rows.append(f"| {status} | {checks} |")
    return "\n".join(rows)


def probes_table() -> str:
    """What a trial of the doctor tries, and what it does not, as Markdown."""
    rows = ["| tried | assumed | setting |", "|---|---|---|"]
    rows += [
        f"| {probe.name} | {probe.ours} | {probe.setting and f'`{probe.setting}`'} |"
        for probe in PROBES
    ]
    rows += ["", "| not tried | because |", "|---|---|"]
    rows += [f"| {name} | {why} |" for name, why in NOT_TRIED]
    return "\n".join(rows)


def readings_table() -> str:
    """How the kinds of frames are read, as Markdown."""
    rows = ["| frame | how it is read | chunks are kept |", "|---|---|---|"]
    for frame, facts in FRAMES:
        choice = choose_reading(facts)
        rows.append(f"| {frame} | {choice.reading.value} | {'yes' if choice.keeps else 'no'} |")
    return "\n".join(rows)


def events_table() -> str:
    """The kinds of records with their keys, as Markdown."""
    rows = ["| `event` | key | value |", "|---|---|---|"]
    kinds = [
        one
        for one in vars(events).values()
        if isinstance(one, type) and one.__module__ == events.__name__
    ]
    for kind in kinds:
        if not issubclass(kind, events.Event):
            continue
        if kind is not events.Event:
            rows.append(f"| `{kind.event}` | | {_first_line(kind)} |")
        shown = "every kind" if kind is events.Event else ""
        for attribute, text in _attributes(kind):
            rows.append(f"| {shown} | `{attribute}` | {text} |")
            shown = ""
    return "\n".join(rows)


def _attributes(kind: type) -> list[tuple[str, str]]:
    """The attributes of a class, from the part of its docstring about them."""
    text = inspect.getdoc(kind) or ""
    part = text.partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n     .*)*)", part, re.MULTILINE)
    return [(name, " ".join(what.split()).replace("``", "`")) for name, what in found]


def reasons_table() -> str:
    """The reasons of rejects as Markdown."""
    rows = ["| reason | value |", "|---|---|"]
    for reason in Reason:
        word, meaning = reason.value
        fits = f"{word} INTEGER` (or another type)" if reason is Reason.NOT_FITTING else f"{word}`"
        rows.append(f"| `{fits} | {meaning} |")
    return "\n".join(rows)


def transitions_table() -> str:
    """The transitions of a delivery as Markdown, by state."""
    rows = ["| in | event | if | then | next |", "|---|---|---|---|---|"]
    state = None
    for row in TRANSITIONS:
        event = "" if row.event is None else f"`{row.event.__name__}`"
        shown = "" if row.state is state else f"**{row.state}**"
        state = row.state
        rows.append(
            f"| {shown} | {event} | {_first_line(row.guard)} | {_first_line(row.action)} | "
            f"{row.next} |"
        )
    return "\n".join(rows)


def _first_line(function: object) -> str:
    return "" if function is None else (function.__doc__ or "").split("\n")[0].rstrip(".")


def error_tree() -> str:
    """The error tree as it is in the docstring of the errors' module."""
    _, _, tree = (celonis_frames.exceptions.__doc__ or "").partition("::\n")
    return f"```{{code-block}} text\n:class: unwrapped\n{textwrap.dedent(tree).strip()}\n```"


@functools.cache
def _messages() -> dict[str, str]:
    return messages.messages()


def message(name: str) -> str:
    """The message of an error, as a block whose lines wrap."""
    return f"```{{code-block}} text\n:class: wrapped\n{_messages()[name]}\n```"


def mirrored(page: str, name: str, table: str) -> str:
    """The page with the table between the markers of that name."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n{table}\n{end}", page)


PAGES = (
    ("types.md", "types", types_table),
    ("types.md", "pandas", lambda: library_table("pandas")),
    ("types.md", "polars", lambda: library_table("polars")),
    ("types.md", "arrow", lambda: library_table("Arrow")),
    ("types.md", "reasons", reasons_table),
    ("local.md", "assumptions", assumptions_table),
    ("doctor.md", "exits", exits_table),
    ("doctor.md", "probes", probes_table),
    ("errors.md", "tree", error_tree),
    ("logging.md", "events", events_table),
    *(("errors.md", name, functools.partial(message, name)) for name in messages.NAMES),
    ("reliability.md", "transitions", transitions_table),
    ("architecture.md", "readings", readings_table),
    ("existing-table.md", "alignment", alignment_table),
)

if __name__ == "__main__":
    for file, name, table in PAGES:
        path = HERE / file
        path.write_text(mirrored(path.read_text("utf-8"), name, table()), "utf-8")
