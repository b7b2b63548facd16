"""The parts of a report that statuses, plans and event logs have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from celonis_frames._formatting import counted, format_seconds
from celonis_frames._html.elements import Markup, element, joined
from celonis_frames._html.style import CLASS, STAGES, STYLE

Level = Literal["good", "bad", "warn", "open"]
"""How something ended; ``open``: it did not, yet."""

MARKS: Mapping[Level, str] = {"good": "✓", "bad": "✗", "warn": "⚠", "open": "…"}

MAX_OPEN = 5
"""Notes that are shown unfolded."""
MAX_NOTES = 100
"""Notes that are shown at all."""
MAX_LOG_LINES = 200
"""The last lines of a log that are shown."""

_LABELS = {"wait_for_earlier_calls": "wait for earlier calls"}
"""Names of stages in words."""

_HIDDEN_SHARE = 0.02
"""Share of the whole time up to which what belongs to no stage is not shown."""


def report(level: Level, *parts: str) -> str:
    """A box with its stylesheet; parts that are "" are left out."""
    style = element("style", Markup(STYLE))
    return element("div", style, *parts, class_=f"{CLASS} {level}")


def headline(
    level: Level, state: str, title: str, detail: str = "", *, mark: bool = True
) -> Markup:
    """The state with its mark, what it is the state of, and a word more about that."""
    return element("header", joined(
        marked(level, f"{MARKS[level]} {state}" if mark else state),
        element("b", title),
        element("span", detail) if detail else "",
        separator=" ",
    ))  # fmt: skip


def facts(values: Mapping[str, str | int | None]) -> Markup:
    """Figures under their names, side by side; those that are None are left out."""
    shown = [
        (name, value if isinstance(value, str) else f"{value:,}")
        for name, value in values.items()
        if value is not None
    ]
    if not shown:
        return Markup()
    return element("dl", *(
        element("div", element("dt", name), element("dd", value)) for name, value in shown
    ))  # fmt: skip


def ids(values: Mapping[str, str | None]) -> Markup:
    """Ids in one line; those that are None or "" are left out."""
    shown = [joined(f"{name} ", element("code", one)) for name, one in values.items() if one]
    return element("p", joined(*shown, separator=" · "), class_="ids") if shown else Markup()


def timeline(seconds: Mapping[str, float]) -> Markup:
    """The stages as parts of a bar, with their seconds; ``total`` is the whole."""
    stages = {name: spent for name, spent in seconds.items() if name != "total" and spent >= 0}
    left = seconds.get("total", 0.0) - sum(stages.values())
    if left > _HIDDEN_SHARE * seconds.get("total", 0.0):
        stages["other"] = left
    whole = sum(stages.values())
    if not whole:
        return Markup()
    words = {
        name: f"{_LABELS.get(name, name)} {format_seconds(spent)}" for name, spent in stages.items()
    }
    bar = element(
        "div",
        *(
            element("span", class_=_colour(name), style=f"flex-grow:{spent / whole:.4f}")
            for name, spent in stages.items()
        ),
        class_="bar", role="img", aria_label=", ".join(words.values()),
    )  # fmt: skip
    legend = (
        element("li", element("span", class_=_colour(name)), word) for name, word in words.items()
    )
    return joined(bar, element("ul", *legend, class_="legend"))


def meter(share: float | None) -> Markup:
    """How much of something is done, 0 to 1; nothing if that is not known."""
    if share is None:
        return Markup()
    done = element("span", class_="upload", style=f"flex-grow:{share:.4f}")
    rest = element("span", class_="rest", style=f"flex-grow:{1 - share:.4f}")
    return element("div", done, rest, class_="bar", role="img", aria_label=f"{share:.0%}")


def warnings(found: Sequence[str], *, more: int = 0) -> Markup:
    """Warnings with their count, unfolded if they are few; `more` are not among them."""
    title = f"{MARKS['warn']} {counted(len(found) + more, 'warning')}"
    return notes(title, found, level="warn", more=more)


def notes(title: str, found: Sequence[str], *, level: Level = "open", more: int = 0) -> Markup:
    """Sentences under a title, unfolded if they are few."""
    if not found and not more:
        return Markup()
    shown = [*found[:MAX_NOTES]]
    more += len(found) - len(shown)
    if more:
        shown.append(f"… and {more:,} more")
    return folded(marked(level, title), sentences(shown), unfolded=len(shown) <= MAX_OPEN)


def log(lines: Sequence[str], *, unfolded: bool = False) -> Markup:
    """The log of a job; of a long one its end."""
    if not lines:
        return Markup()
    shown = lines[-MAX_LOG_LINES:]
    title = f"Log, {counted(len(lines), 'line')}"
    if len(shown) < len(lines):
        title += f", the last {len(shown):,}"
    return folded(title, code("\n".join(shown)), unfolded=unfolded)


def folded(title: str, *content: str, unfolded: bool = False) -> Markup:
    """Content behind a title that opens and closes it."""
    opened = {"open": "open"} if unfolded else {}
    return element("details", element("summary", title), *content, **opened)


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()
) -> Markup:
    """A table, whose columns at the places `numbers` are aligned as such."""
    places = set(numbers)

    def line(tag: str, cells: Sequence[str]) -> Markup:
        return element("tr", *(
            element(tag, cell, class_="number" if place in places else "")
            for place, cell in enumerate(cells)
        ))  # fmt: skip

    body = [line("td", cells) for cells in rows]
    if not body:
        return Markup()
    return element(
        "div",
        element("table", element("thead", line("th", head)), element("tbody", *body)),
        class_="scroll",
    )


def paragraph(*content: str) -> Markup:
    """Texts and elements in a paragraph of their own."""
    return element("p", *content)


def code(text: str) -> Markup:
    """Text with its line ends, in the font of code."""
    return element("pre", text)


def strong(word: str) -> Markup:
    """A word that stands out."""
    return element("b", word)


def sentences(found: Sequence[str]) -> Markup:
    """Sentences as a list, without a title."""
    shown = [element("li", one) for one in found]
    return element("ul", *shown, class_="notes") if shown else Markup()


def marked(level: Level, word: str) -> Markup:
    """A word in the colour of its level."""
    return element("span", word, class_="" if level == "open" else level)


def _colour(stage: str) -> str:
    return stage if stage in STAGES else "other"
