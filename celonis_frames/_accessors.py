"""`df.celonis` on the frames of pandas, polars, Dask and Spark, whichever is imported first.

The accessor holds the frame and nothing else; its methods are the functions of the package.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from wrapt import when_imported

import celonis_frames
from celonis_frames._tracebacks import short_traceback

_P = ParamSpec("_P")
_R = TypeVar("_R")


class _Method(Generic[_P, _R]):
    """A function of the package as a method, imported when it is first asked for.

    The frame is the accessor's own. `function` returns the function.
    """

    def __init__(self, function: Callable[[], Callable[Concatenate[Any, _P], _R]]) -> None:
        self._function = function

    @overload
    def __get__(
        self, accessor: None, kind: type
    ) -> Callable[Concatenate[CelonisAccessor, _P], _R]: ...
    @overload
    def __get__(self, accessor: CelonisAccessor, kind: type) -> Callable[_P, _R]: ...
    def __get__(self, accessor: Any, kind: type) -> Any:
        function = self._function()
        method = _method(function)
        setattr(kind, function.__name__, method)  # in the place of this descriptor
        return method if accessor is None else method.__get__(accessor, kind)


def _method(function: Callable[..., Any]) -> Any:
    from celonis_frames._functions import without_first  # noqa: PLC0415  # not before it is needed

    @short_traceback
    @functools.wraps(function)
    def method(self: CelonisAccessor, /, *args: Any, **kwargs: Any) -> Any:
        return function(self._frame, *args, **kwargs)

    signature = without_first(function)
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[itself, *signature.parameters.values()]
    )
    method.__qualname__ = f"CelonisAccessor.{function.__name__}"
    return method


class CelonisAccessor:
    """`df.celonis`: `push`, `delete`, `plan` and those of event logs for this frame.

    Type checkers do not see `df.celonis`; ``CelonisAccessor(df)`` is the same with types.

    Args:
        frame: The frame; it is held, not copied.
    """

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    push = _Method(lambda: celonis_frames.push)
    delete = _Method(lambda: celonis_frames.delete)
    plan = _Method(lambda: celonis_frames.plan)
    check_event_log = _Method(lambda: celonis_frames.check_event_log)
    push_event_log = _Method(lambda: celonis_frames.push_event_log)


class _AccessorDescriptor:
    """A descriptor that makes an accessor on each access.

    polars' own registration keeps the accessor on the frame, and with it a reference cycle that
    holds the frame's memory until a cyclic collection.
    """

    def __get__(self, frame: Any, kind: type) -> Any:
        return CelonisAccessor if frame is None else CelonisAccessor(frame)


def install() -> None:
    """Put the accessor on the frames of each library, now or when it is imported."""
    when_imported("pandas")(_install_pandas)
    when_imported("polars")(_install_polars)
    when_imported("dask.dataframe")(_install_dask)
    when_imported("pyspark.sql")(_install_spark)
    when_imported("pyspark.sql.connect.dataframe")(_install_spark)


def _install_pandas(pandas: Any) -> None:
    pandas.api.extensions.register_dataframe_accessor("celonis")(CelonisAccessor)


def _install_dask(dataframe: Any) -> None:
    dataframe.extensions.register_dataframe_accessor("celonis")(CelonisAccessor)


def _install_polars(polars: Any) -> None:
    for kind in (polars.DataFrame, polars.LazyFrame):
        kind.celonis = _AccessorDescriptor()
        kind._accessors = kind._accessors | {"celonis"}  # noqa: SLF001  # for completion


def _install_spark(module: Any) -> None:
    # Before Spark 4.0 the frames of Spark Connect are of a class of their own.
    module.DataFrame.celonis = _AccessorDescriptor()
