"""How an option is declared: its default, its parser and its command-line argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, fields
from typing import Any

from celonis_frames._formatting import alternatives, did_you_mean, shown
from celonis_frames.exceptions import ConfigError

Parse = Callable[[str, Any], Any]


def option(default: Any, parse: Parse, help: str | None = None, **argument: Any) -> Any:  # noqa: A002
    """A field with its parser and its command-line argument; without `help` it has none.

    Args:
        default: The value if none is given.
        parse: Returns the final value for the option's name and the value given.
        help: Help of the command-line argument.
        argument: More of what `ArgumentParser.add_argument` takes.
    """
    cli = None if help is None else {"help": help, **argument}
    return field(default=default, metadata={"parse": parse, "cli": cli})


def one_of(*allowed: str) -> Parse:
    """A parser for one of some words, in any case."""

    def parse(name: str, value: Any) -> str:
        for word in allowed:
            if isinstance(value, str) and value.casefold() == word.casefold():
                return word
        raise ConfigError(
            f"{name}={shown(value)} is unknown: use {alternatives(allowed)}."
            f"{did_you_mean(value, allowed) if isinstance(value, str) else ''}"
        )

    return parse


def instance(form: str, *kinds: type) -> Parse:
    """A parser for values of some types, or None."""

    def parse(name: str, value: Any) -> Any:
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise ConfigError(f"{name}={shown(value)} must be {form}.")
        return value

    return parse


def flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{name}={shown(value)} must be True or False.")
    return value


def parsed(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values given, each parsed as its field says."""
    if not given:
        return {}
    parsers = {one.name: one.metadata["parse"] for one in fields(kind)}
    return {name: parsers[name](name, value) for name, value in given.items()}
