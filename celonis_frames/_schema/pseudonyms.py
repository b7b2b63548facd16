"""Pseudonyms of values: the same for the same text and key, in every frame and every table.

HMAC-SHA-256 is computed once for each distinct value of a batch. No frame here has the key as a
local variable, which a traceback might show, nor has any error the message of another library,
which might show a value.
"""

from __future__ import annotations

import hmac
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts
from celonis_frames._arrow.casts import ConversionError
from celonis_frames._schema.types import Conversion
from celonis_frames._secrets import Secret

PSEUDONYM_LENGTH = 32
"""Hex digits of a pseudonym, the first half of the digest: at 128 bits two values practically never
get the same one, even among billions."""

NOT_UTF8_ERROR = (
    "that are not UTF-8, such as bytes of another encoding",
    "read its source with the right encoding",
)


def pseudonymised(to_text: Conversion, key: Secret) -> Conversion:
    """A conversion to pseudonyms of the strings that `to_text` returns; nulls stay nulls."""
    coded = pa.types.is_dictionary(to_text.encoded_type)
    encoded = to_text.encoded_type if coded else pa.large_string()
    return Conversion("STRING", encoded, _Pseudonyms(to_text, key, coded=coded))


class _Pseudonyms:
    def __init__(self, to_text: Conversion, key: Secret, *, coded: bool) -> None:
        self._to_text, self._coded = to_text, coded
        self._keyed = hmac.new(key.reveal().encode("utf-8", "surrogateescape"), digestmod="sha256")

    def __call__(self, array: Any) -> Any:
        """The pseudonyms of an array.

        Raises:
            ConversionError: A value has no text, or one that is not UTF-8.
        """
        texts = self._texts(array)
        if not self._coded:
            texts = texts.dictionary_encode()
        _check_utf8(texts)
        pseudonyms = self._of(texts.dictionary)
        if self._coded:
            return pa.DictionaryArray.from_arrays(texts.indices, pseudonyms)
        return pseudonyms.take(texts.indices)

    def _texts(self, array: Any) -> Any:
        problem = None
        try:
            return self._to_text.convert(array)
        except ConversionError as error:
            problem = error.what, error.advice
        except (pa.ArrowException, ValueError, ArithmeticError, TypeError):
            problem = "that cannot be written as text", "convert them in the frame"
        # Not in the except clause: the other error would be the context of this one.
        raise ConversionError(*problem)

    def _of(self, texts: Any) -> Any:
        values = texts.cast(pa.large_binary()).to_pylist()
        digests = pa.py_buffer(b"".join(map(self._digest, values)))
        kind = pa.binary(PSEUDONYM_LENGTH // 2)
        return casts.hex_text(pa.Array.from_buffers(kind, len(texts), [None, digests]))

    def _digest(self, text: bytes) -> bytes:
        # A copy of a keyed HMAC takes half the time of `hmac.digest`, which starts with the key.
        keyed = self._keyed.copy()
        keyed.update(text)
        return keyed.digest()[: PSEUDONYM_LENGTH // 2]


def _check_utf8(texts: Any) -> None:
    if _is_valid(texts.dictionary):
        return
    used = texts.dictionary.take(pc.unique(texts.indices).drop_null())
    if not _is_valid(used):
        raise ConversionError(*NOT_UTF8_ERROR)


def _is_valid(texts: Any) -> bool:
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
