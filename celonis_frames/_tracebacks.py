"""Short tracebacks: an error of this library shows the caller's line and few lines of its own."""

from __future__ import annotations

import functools
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, TracebackType
from typing import Any, TypeVar

from celonis_frames._keywords import hint_on
from celonis_frames.exceptions import CelonisFramesError

_HERE = str(Path(__file__).parent)
_WRAPPERS = {
    __file__,
    str(Path(__file__).with_name("_functions.py")),
    str(Path(__file__).with_name("_accessors.py")),
}
_Class = TypeVar("_Class", bound=type)
_Function = TypeVar("_Function", bound=Callable[..., Any])


def short_tracebacks(kind: _Class) -> _Class:
    """A class whose public methods shorten the tracebacks of this library's errors."""
    for name, method in list(vars(kind).items()):
        if name.startswith("_") and name not in ("__init__", "__exit__"):
            continue
        if isinstance(method, FunctionType):
            setattr(kind, name, short_traceback(method))
        elif isinstance(method, classmethod):
            setattr(kind, name, classmethod(short_traceback(method.__func__)))
    return kind


def short_traceback(function: _Function) -> _Function:
    """A public function whose errors show where it was called and where they were raised.

    The steps between them are of no use to a caller, who reads the message below. Errors of other
    libraries and of a caller's own code, such as a generator of frames, are left as they are.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except CelonisFramesError as error:
            _shorten(error)
            raise
        except TypeError as error:
            if all(_file(entry) in _WRAPPERS for entry in _entries(error.__traceback__)):
                error.__traceback__ = None  # wrong arguments: the function was not entered
                _add_hint(error, hint_on(function, kwargs))
            raise

    return call  # type: ignore[return-value]  # with the signature of the function


def _add_hint(error: TypeError, hint: str) -> None:
    """Add a hint to the message, which the wrappers around the function do not add again."""
    message = str(error).partition(". Did you mean ")[0]  # Python 3.13 has a suggestion of its own
    if hint and not message.endswith(hint):
        error.args = (message + hint,)


def _shorten(error: BaseException) -> None:
    """Keep the first and the last frame of this library, and none of it below a cause."""
    error.__traceback__ = _without(error.__traceback__, keep_first=True)
    seen = {id(error)}
    below = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while below is not None and id(below) not in seen:
        seen.add(id(below))
        below.__traceback__ = _without(below.__traceback__, keep_first=False)
        below = below.__cause__ or (None if below.__suppress_context__ else below.__context__)


def _without(trace: TracebackType | None, *, keep_first: bool) -> TracebackType | None:
    entries = [entry for entry in _entries(trace) if _file(entry) != __file__]
    ours = [entry for entry in entries if _file(entry).startswith(_HERE)]
    if keep_first:
        # Frames of libraries between ours are steps, too; those of the caller's code stay.
        libraries = [entry for entry in entries if _file(entry).startswith(_libraries())]
        dropped = [entry for entry in (*ours[1:], *libraries) if entry is not entries[-1]]
        dropped = [entry for entry in dropped if entry not in ours[:1]]
    else:
        dropped = ours if len(ours) < len(entries) else ours[:-1]
    kept = [entry for entry in entries if entry not in dropped]
    trace = None
    for entry in reversed(kept):
        trace = TracebackType(trace, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return trace


@functools.cache
def _libraries() -> tuple[str, ...]:
    """Where Python and the libraries are; sysconfig takes some milliseconds to say so."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({sysconfig.get_path(name) for name in names})


def _entries(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _file(entry: TracebackType) -> str:
    return entry.tb_frame.f_code.co_filename
