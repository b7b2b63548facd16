"""`df.celonis` on pandas, polars and Dask frames, whichever is imported first, or neither.

The accessor holds the frame and nothing else; its methods are the functions of the package.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from wrapt import when_imported

from celonis_frames import _functions
from celonis_frames._event_log.check import check_event_log
from celonis_frames._functions import without_first
from celonis_frames._tracebacks import short_traceback

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _method(
    function: Callable[Concatenate[Any, _P], _R],
) -> Callable[Concatenate[CelonisAccessor, _P], _R]:
    """The function as a method: the frame is the accessor's own."""

    @short_traceback
    @functools.wraps(function)
    def method(self: CelonisAccessor, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return function(self._frame, *args, **kwargs)

    signature = without_first(function)
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[itself, *signature.parameters.values()]
    )
    method.__qualname__ = f"CelonisAccessor.{function.__name__}"
    return method


class CelonisAccessor:
    """`df.celonis`: `push`, `delete`, `plan` and those of event logs for this frame."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    push = _method(_functions.push)
    delete = _method(_functions.delete)
    plan = _method(_functions.plan)
    check_event_log = _method(check_event_log)
    push_event_log = _method(_functions.push_event_log)


class _AccessorDescriptor:
    """A descriptor that makes an accessor on each access.

    polars' own registration keeps the accessor on the frame, and with it a reference cycle that
    holds the frame's memory until a cyclic collection.
    """

    def __get__(self, frame: Any, kind: type) -> Any:
        return CelonisAccessor if frame is None else CelonisAccessor(frame)


def install() -> None:
    """Put the accessor on the frames of these libraries, now or when they are imported."""
    when_imported("pandas")(_install_pandas)
    when_imported("polars")(_install_polars)
    when_imported("dask.dataframe")(_install_dask)


def _install_pandas(pandas: Any) -> None:
    pandas.api.extensions.register_dataframe_accessor("celonis")(CelonisAccessor)


def _install_dask(dataframe: Any) -> None:
    dataframe.extensions.register_dataframe_accessor("celonis")(CelonisAccessor)


def _install_polars(polars: Any) -> None:
    for kind in (polars.DataFrame, polars.LazyFrame):
        kind.celonis = _AccessorDescriptor()
        kind._accessors = kind._accessors | {"celonis"}  # noqa: SLF001  # for completion
