"""The values of a column of cases or activities: what may be wrong with them as names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts
from celonis_frames._validation.key_counter import DuplicateKeyCounter

_is = pa.types

_MISREAD = "".join(
    sorted(
        {bytes([code]).decode("latin-1") for code in range(0x80, 0xC0)}
        | set(bytes(range(0x80, 0xC0)).decode("cp1252", "ignore"))
    )
)
"""What the second byte of an umlaut in UTF-8 becomes if it is read as cp1252 or Latin-1."""
DAMAGE = f"[ÃÂ][{_MISREAD}]|â€"
"""Text in UTF-8 that was read as cp1252 or Latin-1: ``Ã¤`` for ä, ``â€“`` for a dash."""
LOST = "\ufffd"
"""What decoders write for bytes that are not valid: the character is lost."""


@dataclass
class NameStats:
    """What is known of the values of a column; numbers of rows, unless said otherwise.

    Attributes:
        decimals: Whether they are decimals, which are stored as floats.
        categories: Whether text is in dictionaries: categories of pandas and polars.
        empty: Empty text, or only blanks.
        blank_ends: Blanks at the ends of other text.
        damaged: Text in UTF-8 that was read in another encoding.
        lost: Text with characters that could not be decoded.
        floats: Floats and decimals.
        fractions: Those that are not whole.
        float_text: Text such as ``45.0``.
        digits: Integers, or text of digits only.
        leading_zeros: Text of digits that begins with 0.
        shortest: Fewest digits of `digits`.
        longest: Most of them.
    """

    decimals: bool = False
    categories: bool = False
    empty: int = 0
    blank_ends: int = 0
    damaged: int = 0
    lost: int = 0
    floats: int = 0
    fractions: int = 0
    float_text: int = 0
    digits: int = 0
    leading_zeros: int = 0
    shortest: int = 0
    longest: int = 0

    @classmethod
    def of(cls, kind: pa.DataType) -> NameStats:
        """Statistics of a column of this type, of which nothing was read."""
        decimals = _is.is_decimal(casts.storage_type(kind))
        return cls(decimals=decimals, categories=_is.is_dictionary(kind))

    def update(self, values: Any, weights: Any) -> None:
        """Add distinct values, without nulls, and how many rows have each."""
        if not len(values):
            return
        if self.decimals:  # as text, see `identities`
            self.floats += _weight(weights)
            self.fractions += _matching(values, weights, r"\.[0-9]*[1-9]")
        elif casts.is_text(values.type):
            self._add_texts(values, weights)
        elif _is.is_floating(values.type):
            self.floats += _weight(weights)
            whole = pc.equal(pc.floor(values), values)
            self.fractions += _weight(weights.filter(pc.invert(whole)))
        elif _is.is_integer(values.type):
            texts = pc.utf8_ltrim(values.cast(pa.large_string()), "-")
            sizes = pc.min_max(pc.binary_length(texts)).as_py()
            self._add_digits(sizes["min"], sizes["max"], _weight(weights))

    def _add_texts(self, texts: Any, weights: Any) -> None:
        self.empty += _matching(texts, weights, r"^\s*$")
        self.blank_ends += _matching(texts, weights, r"^\s+\S|\S\s+$")
        self.damaged += _matching(texts, weights, DAMAGE)
        self.lost += _matching(texts, weights, LOST)
        self.float_text += _matching(texts, weights, r"^\d+\.0$")
        mask = pc.match_substring_regex(texts, r"^[0-9]+$")
        found = _weight(weights.filter(mask))
        if found:
            digits = texts.filter(mask)
            sizes = pc.min_max(pc.binary_length(digits)).as_py()
            self._add_digits(sizes["min"], sizes["max"], found)
            self.leading_zeros += _matching(texts, weights, r"^0[0-9]+$")

    def _add_digits(self, shortest: int, longest: int, count: int) -> None:
        self.shortest = min(shortest, self.shortest or shortest)
        self.longest = max(longest, self.longest)
        self.digits += count


def _matching(texts: Any, weights: Any, pattern: str) -> int:
    """How many rows have a text that matches."""
    return _weight(weights.filter(pc.match_substring_regex(texts, pattern)))


def _weight(weights: Any) -> int:
    return int(pc.sum(weights).as_py() or 0)


@dataclass
class DistinctNames:
    """Counts the different values of a column, and those that differ by case or blanks only.

    Its memory grows with them: two digests of 16 bytes for each.
    """

    _values: DuplicateKeyCounter = field(default_factory=lambda: DuplicateKeyCounter(bounded=False))
    _folded: DuplicateKeyCounter = field(default_factory=lambda: DuplicateKeyCounter(bounded=False))
    _text: bool = False

    def update(self, values: Any) -> None:
        """Add values that differ from each other, without nulls."""
        if not len(values):
            return
        self._values.update([values])
        if casts.is_text(values.type):
            self._text = True
            self._folded.update([_folded(values)])

    @property
    def count(self) -> int:
        """Number of different values."""
        return self._values.different

    @property
    def alike(self) -> int:
        """How many of them differ from another by case or blanks only."""
        return self.count - self._folded.different if self._text else 0


def _folded(texts: Any) -> Any:
    """The texts in lower case, without blanks at the ends, and with one for several inside."""
    try:
        lower = pc.utf8_lower(texts)
    except pa.ArrowInvalid:  # not UTF-8, which is rejected or left out later
        sound = [
            text.decode(errors="replace") for text in texts.cast(pa.large_binary()).to_pylist()
        ]
        lower = pc.utf8_lower(pa.array(sound, pa.large_string()))
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(lower, r"\s+", " "))
