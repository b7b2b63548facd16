"""A figure of a few lines over a few numbers, as SVG."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT = 700, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 260, 20, 45
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


@dataclasses.dataclass(frozen=True)
class _Plane:
    """Where a point of the figure is on the page."""

    right: float
    top: float

    def x(self, value: float) -> float:
        return round(_LEFT + value / self.right * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        return round(_HEIGHT - _BOTTOM - value / self.top * (_HEIGHT - _TOP - _BOTTOM), 1)


def draw(
    title: str,
    across: str,
    up: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    bound: tuple[str, float] | None = None,
) -> str:
    """The figure.

    Args:
        title: For those who cannot see it.
        across: What the numbers across are.
        up: What the numbers up are.
        lines: The points of each line, by its name.
        bound: The name and the place of a level that no line should pass, if there is one.
    """
    points = [point for line in lines.values() for point in line]
    top = _round(1.1 * max([bound[1] if bound else 0.0, *(y for _, y in points)]))
    plane = _Plane(max(x for x, _ in points), top)
    edge = _WIDTH - _RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
    ]
    for step in range(5):
        value = top * step / 4
        parts += [
            f'<path d="M{_LEFT} {plane.y(value)}H{edge}" stroke="#dddddd"/>',
            _text(_LEFT - 8, plane.y(value) + 4, f"{value:,.0f}", "end"),
        ]
    parts += [
        _text(plane.x(value), _HEIGHT - _BOTTOM + 18, f"{value:g}", "middle")
        for value in sorted({x for x, _ in points})
    ]
    parts += [
        _text((_LEFT + edge) / 2, _HEIGHT - 8, across, "middle"),
        _text(_LEFT, _TOP - 7, up, "start"),
    ]
    # Names stand at the ends of lines, moved apart where these are close.
    labels = []
    if bound is not None:
        level = plane.y(bound[1])
        parts.append(f'<path d="M{_LEFT} {level}H{edge}" stroke="#555555" stroke-dasharray="5 4"/>')
        labels.append((level, bound[0], "#555555"))
    for (name, line), colour in zip(lines.items(), _COLOURS, strict=False):
        path = "L".join(f"{plane.x(x)} {plane.y(y)}" for x, y in line)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{plane.x(x)}" cy="{plane.y(y)}" r="3" fill="{colour}"/>' for x, y in line
        ]
        labels.append((plane.y(line[-1][1]), name, colour))
    last = 0.0
    for place, name, colour in sorted(labels):
        last = max(place + 4, last + 14)
        parts.append(_text(edge + 10, last, name, "start", colour))
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333333") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _round(value: float) -> float:
    """The next number of one digit and a half."""
    size = float(10 ** (len(str(int(value))) - 1))
    return next(n * size / 2 for n in range(2, 21) if n * size / 2 >= value)
