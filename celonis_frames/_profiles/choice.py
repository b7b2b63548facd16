"""Which connection is used if none is given: the environment's, else that of a profile."""

from __future__ import annotations

from celonis_frames._auth import environment
from celonis_frames._auth.environment import Settings
from celonis_frames._http.auth import Auth
from celonis_frames._profiles.profile import DEFAULT
from celonis_frames._profiles.profiles import has_profile, load_profile
from celonis_frames._reporting.current import warn
from celonis_frames.exceptions import ConfigError


def choose_settings(profile: str | None = None, auth: Auth | None = None) -> Settings:
    """The connection to use, with `auth` instead of its key if that is given.

    1. The profile that is named here. 2. CELONIS_URL, with the key of the environment. 3. The
    profile in CELONIS_PROFILE. 4. The profile ``default``. It comes from one of them as a whole: no
    key is used for the URL of another.

    Raises:
        ConfigError: There is none, or something is missing or wrong with it.
        ImportError: Its key is in the keyring, whose library is not installed.
    """
    if profile is not None:
        return load_profile(profile, auth)
    named = environment.environment_profile()
    if environment.environment_url() is None:
        if named is not None:
            return load_profile(named, auth)
        if has_profile(DEFAULT):
            if environment.has_token():
                # It would be ignored, and somebody else's key used.
                raise ConfigError(
                    f"{environment.TOKEN} is set, and {environment.URL} is not: set the URL that "
                    f"it belongs to, or {environment.PROFILE}={DEFAULT} to use the profile."
                )
            return load_profile(DEFAULT, auth)
    elif named is not None:
        warn(
            "%s=%s is not used, because %s is set and goes first",
            environment.PROFILE, named, environment.URL,
        )  # fmt: skip
    return environment.read_environment(auth)
