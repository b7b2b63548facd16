"""The methods of `Celonis` as functions over the default connection.

Their signatures and docstrings are written once, there.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from celonis_frames._client import Celonis
from celonis_frames._connect import current, plan_defaults
from celonis_frames._connection import PlanDefaults
from celonis_frames._formatting import shown
from celonis_frames._tracebacks import short_traceback
from celonis_frames.exceptions import ConfigError

_P = ParamSpec("_P")
_R = TypeVar("_R")
_C = TypeVar("_C", Celonis, Celonis | PlanDefaults | None)


class _Annotation(str):
    """An annotation that `help` shows as it is written, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def without_first(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a function without its first parameter."""
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=_Annotation(parameter.annotation))
        for parameter in list(signature.parameters.values())[1:]
    ]
    return inspect.Signature(parameters, return_annotation=_Annotation(signature.return_annotation))


def _function(
    method: Callable[Concatenate[_C, _P], _R], connection: Callable[[], _C]
) -> Callable[_P, _R]:
    """A method of `Celonis` as a function.

    Args:
        method: The method.
        connection: Returns the connection to use if the call gives none with ``client=``.
    """

    @short_traceback
    @functools.wraps(method)
    def function(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        client: Any = kwargs.get("client")
        if client is not None and not isinstance(client, Celonis):
            raise ConfigError(
                f"client={shown(client)} must be a connection, as connect() returns it."
            )
        return method(connection() if client is None else client, *args, **kwargs)

    function.__signature__ = without_first(method)  # type: ignore[attr-defined]
    function.__module__, function.__qualname__ = "celonis_frames", function.__name__
    return function


push = _function(Celonis.push, current)
push_many = _function(Celonis.push_many, current)
delete = _function(Celonis.delete, current)
changes = _function(Celonis.changes, current)
resume = _function(Celonis.resume, current)
plan = _function(Celonis.plan, plan_defaults)
push_event_log = _function(Celonis.push_event_log, current)
