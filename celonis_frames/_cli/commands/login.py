"""`login`, `logout` and `profiles`: connections that this user has stored.

Secrets are asked for, or read from standard input, one a line; they are never arguments, where
other users of the machine would see them.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import Any, get_args

from celonis_frames._auth.environment import environment_profile, environment_url
from celonis_frames._auth.keys import ApiKey, AppKey
from celonis_frames._auth.oauth2 import DATA_PUSH, OAuth2
from celonis_frames._cli.output import Output
from celonis_frames._cli.printing import say_error
from celonis_frames._cli.registry import Commands, flag
from celonis_frames._formatting import counted
from celonis_frames._http.auth import Auth
from celonis_frames._ingestion.keys import IngestionKeys
from celonis_frames._profiles.choice import chosen_profile
from celonis_frames._profiles.key_check import check_ingestion_keys, check_key
from celonis_frames._profiles.profile import DEFAULT, Profile, Store, checked_name
from celonis_frames._profiles.profiles import (
    config_path,
    credentials_path,
    remove_profile,
    save_profile,
    stored_profiles,
)
from celonis_frames._profiles.secret_stores import keyring_problem
from celonis_frames._secrets import Secret
from celonis_frames._urls import base_url
from celonis_frames.exceptions import ApiError, ConfigError

_KINDS = {
    "key": "an API key or application key; login finds out which it is",
    "api-key": "a user's API key",
    "app-key": "an application key",
    "oauth": "an OAuth client",
    "ingestion": "the keys of a Push data into Celonis connection",
}
_TYPES: dict[str, tuple[type[ApiKey | AppKey], ...]] = {
    "api-key": (ApiKey,),
    "app-key": (AppKey,),
    "key": (AppKey, ApiKey),
}
_ASKED = ("key", "oauth", "ingestion")
_PLACES = {"connection": "id of the data connection", "bucket": "bucket", "region": "region"}


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    sub = commands.add(
        "login", _login, "store a connection as a profile", connects=False,
        about="Asks for the URL and the key, checks them, and stores the URL in a config file and "
        "the key in the keyring of this system. Without a terminal the key is read from standard "
        "input (of ingestion keys, two lines: access key and secret key). Keys are no arguments, "
        "because other users of this machine could see them.",
        example="""
            celonis-frames login --profile prod
            pass show celonis | celonis-frames login --kind app-key \\
              --url https://myteam.eu-1.celonis.cloud
            """,
    )  # fmt: skip
    sub.add_argument("--profile", metavar="NAME", help=f"its name (default: {DEFAULT})")
    sub.add_argument("--url", help="any page of the team, pasted from the browser")
    sub.add_argument(
        "--kind",
        choices=list(_KINDS),
        metavar="KIND",
        help="; ".join(f"{name}: {text}" for name, text in _KINDS.items()),
    )
    sub.add_argument("--client-id", metavar="ID", help="id of the OAuth client")
    sub.add_argument("--scopes", help=f"scopes of the OAuth client (default: {DATA_PUSH})")
    sub.add_argument(
        "--method",
        choices=["basic", "post"],
        help="where the OAuth client sends its secret (default: basic)",
    )
    for name, text in _PLACES.items():
        sub.add_argument(f"--{name}", metavar="ID" if name == "connection" else name.upper(),
                         help=f"of ingestion keys: {text}")  # fmt: skip
    sub.add_argument(
        "--store",
        choices=list(get_args(Store)),
        help="where the key is stored (default: the keyring; without one, login asks)",
    )
    flag(sub, "--no-check", "store it without a call to Celonis")

    sub = commands.add(
        "logout", _logout, "remove a profile and its key", connects=False,
        example="celonis-frames logout --profile prod",
    )  # fmt: skip
    sub.add_argument(
        "--profile",
        metavar="NAME",
        help=f"its name (default: CELONIS_PROFILE, else {DEFAULT})",
    )

    commands.add(
        "profiles", _profiles, "list the profiles", connects=False,
        about="The profile that is used if none is named has a * in front.",
        example="celonis-frames profiles",
    )  # fmt: skip


def _login(arguments: argparse.Namespace, output: Output) -> None:
    """Nothing is stored unless Celonis accepts the key."""
    ask = _Questions(arguments)
    name = checked_name(arguments.profile or DEFAULT)
    url = base_url(ask.text("url", "URL of your team (any page, pasted from the browser)"))
    kind = ask.kind()
    if kind == "key" and arguments.no_check:
        raise ConfigError("--no-check needs to know the kind: give --kind api-key or app-key.")
    keys: IngestionKeys | None = None
    candidates: list[Auth] = []
    if kind == "ingestion":
        connection, bucket, region = (ask.text(*item) for item in _PLACES.items())
        access_key = ask.secret("Access key")
        keys = IngestionKeys(connection, access_key, ask.secret("Secret key"), bucket, region)
    else:
        candidates = _candidates(ask, kind)
    auth = candidates[0] if candidates else None
    if not arguments.no_check:
        auth, checked = _check(url, candidates, keys)
        output.note(checked)
    store = _store(arguments.store, ask)
    path = save_profile(name, url, store, auth, keys)
    stored = stored_profiles()[name]
    where = "the keyring" if store == "keyring" else str(credentials_path())
    output.report(
        _entry(name, stored),
        f"Profile {name!r} is stored: {stored.kind} for {url}",
        f"  key in {where}",
        f"  the rest in {path}",
    )
    if environment_url() is not None:
        output.note(f"CELONIS_URL is set, and goes first: use --profile {name}, or unset it.")


def _candidates(ask: _Questions, kind: str) -> list[Auth]:
    """The key as the kinds that it may be."""
    if kind == "oauth":
        client_id = ask.text("client_id", "Id of the OAuth client")
        secret = ask.secret("Secret of the OAuth client")
        scopes = ask.given("scopes") or (DATA_PUSH,)
        return [
            OAuth2(client_id, secret.reveal(), scopes=scopes, method=ask.given("method") or "basic")
        ]
    key = ask.secret("Key")
    return [one(key.reveal()) for one in _TYPES[kind]]


def _check(url: str, candidates: list[Auth], keys: IngestionKeys | None) -> tuple[Auth | None, str]:
    """The key as the kind that is accepted, and what is known of it."""
    try:
        if keys is not None:
            if check_ingestion_keys(url, keys):
                return None, "Checked: the gateway accepts the ingestion keys."
            return None, "Not checked: the gateway does not say whether it accepts the keys."
        accepted = check_key(url, candidates)
    except ApiError as error:
        error.add_note("Nothing is stored. To store it without a check: --no-check")
        raise
    if accepted.pools is None:
        return accepted.auth, (
            "Checked: the key is accepted. It may not list pools: give them by id or URL."
        )
    pools = counted(accepted.pools, "Data Pool")
    return accepted.auth, f"Checked: the key is accepted, and sees {pools}."


def _store(given: Store | None, ask: _Questions) -> Store:
    """Where the secret goes: the keyring if there is one, else a file, after asking."""
    if given is not None:
        return given
    problem = keyring_problem()
    if problem is None:
        return "keyring"
    path = credentials_path()
    if not ask.interactive:
        raise ConfigError(
            f"There is no keyring to store the secret in: {problem}. Give --store file to store it "
            f"in {path}, which only you can read."
        )
    say_error(f"There is no keyring: {problem}.")
    if ask.yes(f"Store the secret in {path}, which only you can read?"):
        return "file"
    raise ConfigError("Nothing is stored. Without a profile, set the environment variables.")


def _logout(arguments: argparse.Namespace, output: Output) -> None:
    name = checked_name(arguments.profile or environment_profile() or DEFAULT)
    removed = remove_profile(name)
    output.report(
        _entry(name, removed),
        f"Profile {name!r} is removed with its key: {removed.kind} for {removed.url}",
    )
    output.note("The key itself is still valid. It can be deleted in Celonis.")


def _profiles(arguments: argparse.Namespace, output: Output) -> int:
    del arguments
    stored = stored_profiles()
    if not stored:
        output.note(f"{config_path()} has no profiles. Store one: celonis-frames login")
    if stored and environment_url() is not None:
        output.note("CELONIS_URL is set, and goes before the profiles.")
    used = chosen_profile()
    lines = (
        f"{'*' if name == used else ' '} {name}\n    {one.url}\n    {one.kind}, in the {one.store}"
        for name, one in stored.items()
    )
    return output.show([_entry(name, one) for name, one in stored.items()], *lines)


def _entry(name: str, profile: Profile) -> dict[str, Any]:
    """A profile for a program; no secret is in it."""
    return {"name": name, **profile.to_dict()}


class _Questions:
    """Answers from the arguments, else from the terminal; secrets from it or standard input."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self.interactive = bool(sys.stdin and sys.stdin.isatty())

    def given(self, name: str) -> Any:
        """The value of an argument, or None."""
        return getattr(self._arguments, name)

    def text(self, name: str, question: str) -> str:
        """What was given as an argument, or is typed now."""
        given = self.given(name)
        if given is None and not self.interactive:
            raise ConfigError(
                f"--{name.replace('_', '-')} is needed if standard input is no terminal."
            )
        return str(self._ask(f"{question[0].upper()}{question[1:]}") if given is None else given)

    def kind(self) -> str:
        """The kind of key."""
        if self._arguments.kind is not None:
            return str(self._arguments.kind)
        if not self.interactive:
            return "key"
        for number, name in enumerate(_ASKED, start=1):
            say_error(f"  {number}  {_KINDS[name]}")
        answer = self._ask("What do you have? [1]") or "1"
        if answer not in {"1", "2", "3"}:
            raise ConfigError("Answer 1, 2 or 3. Nothing is stored.")
        return _ASKED[int(answer) - 1]

    def secret(self, question: str) -> Secret:
        """A secret, which is not shown while it is typed."""
        if self.interactive:
            return Secret(getpass.getpass(f"{question} (it is not shown): ", sys.stderr).strip())
        line = Secret(sys.stdin.readline().strip() if sys.stdin else "")
        if not line.reveal():
            raise ConfigError(
                f"{question}: standard input has no line for it. Pipe it in, one secret a line; as "
                "an argument other users of the machine could see it."
            )
        return line

    def yes(self, question: str) -> bool:
        """Whether the answer is yes."""
        return self._ask(f"{question} [y/N]").lower() in {"y", "yes"}

    @staticmethod
    def _ask(question: str) -> str:
        sys.stderr.write(f"{question}: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise ConfigError("Standard input has ended. Nothing is stored.")
        return line.strip()
