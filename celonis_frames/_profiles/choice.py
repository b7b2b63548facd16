"""Which connection is used if none is given: the environment's, else that of a profile."""

from __future__ import annotations

from celonis_frames._auth import environment
from celonis_frames._auth.environment import Settings
from celonis_frames._formatting import listed, verb
from celonis_frames._http.auth import Auth
from celonis_frames._profiles.profile import DEFAULT
from celonis_frames._profiles.profiles import has_profile, load_profile, stored_profiles
from celonis_frames._reporting.current import warn
from celonis_frames.exceptions import ConfigError


def chosen_profile(given: str | None = None) -> str | None:
    """The profile to use; None if the environment describes the connection, or nothing does.

    1. The one that is given. 2. None with CELONIS_URL. 3. CELONIS_PROFILE. 4. The profile
    ``default``, if there is one.

    Raises:
        ConfigError: CELONIS_URL is wrong, or the config file cannot be read.
    """
    if given is not None:
        return given
    if environment.environment_url() is not None:
        return None
    return environment.environment_profile() or (DEFAULT if has_profile(DEFAULT) else None)


def choose_settings(profile: str | None = None, auth: Auth | None = None) -> Settings:
    """The connection to use, with `auth` instead of its key if that is given.

    It comes as a whole from `chosen_profile` or from the environment: no key is used for the URL of
    another.

    Raises:
        ConfigError: There is none, or something is missing or wrong with it.
        ImportError: Its key is in the keyring, whose library is not installed.
    """
    chosen, named = chosen_profile(profile), environment.environment_profile()
    if chosen is None:
        if named is not None:
            warn(
                "%s=%s is not used, because %s is set and goes first",
                environment.PROFILE, named, environment.URL,
            )  # fmt: skip
        if environment.environment_url() is None and not environment.has_key():
            _check_profiles()
        return environment.read_environment(auth)
    if profile is None and named is None and environment.has_token():
        # It would be ignored, and somebody else's key used.
        raise ConfigError(
            f"{environment.TOKEN} is set, and {environment.URL} is not: set the URL that "
            f"it belongs to, or {environment.PROFILE}={DEFAULT} to use the profile."
        )
    return load_profile(chosen, auth)


def _check_profiles() -> None:
    """Raise ConfigError if there are profiles of which none is chosen."""
    if names := sorted(stored_profiles()):
        raise ConfigError(
            f"No connection: {environment.URL} is not set, and no profile is named {DEFAULT!r}. "
            f"There {verb(len(names), 'are', 'is')} {listed(names)}: choose one with "
            f"{environment.PROFILE}, profile= or --profile, or store one of that name: "
            "celonis-frames login."
        )
