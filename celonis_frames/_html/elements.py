"""HTML elements. Whatever is not `Markup` is text, and is escaped."""

from __future__ import annotations

import html

_REPLACED = "\N{REPLACEMENT CHARACTER}"
_UNPRINTABLE = {
    # Browsers drop or change control characters, and no file holds a surrogate.
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)], _REPLACED),
    ord("\t"): "\t",
    ord("\n"): "\n",
    ord("\r"): "\N{SYMBOL FOR CARRIAGE RETURN}",
}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """Text as HTML, whatever is in it; what is HTML already stays as it is."""
    if isinstance(text, Markup):
        return text
    return Markup(html.escape(str(text).translate(_UNPRINTABLE)))


def element(tag: str, *children: str, **attributes: str) -> Markup:
    """An element; `class_` is the attribute ``class``, and ``_`` in a name is ``-``.

    An attribute that is "" is left out.
    """
    words = [tag]
    for name, value in attributes.items():
        if value:
            words.append(f'{name.rstrip("_").replace("_", "-")}="{escape(value)}"')
    return Markup(f"<{' '.join(words)}>{joined(*children)}</{tag}>")


def joined(*children: str, separator: str = "") -> Markup:
    """Texts and elements, one after the other; those that are "" are left out."""
    return Markup(escape(separator).join(map(escape, filter(None, children))))
