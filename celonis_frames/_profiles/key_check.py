"""Whether a key is accepted: one call that reads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from celonis_frames._api.client import DataPushApi
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._http.auth import Auth, Unsigned
from celonis_frames._http.status_errors import restated
from celonis_frames._http.transport import Timeouts, Transport
from celonis_frames._ingestion.gateway import IngestionGateway
from celonis_frames._ingestion.keys import IngestionKeys
from celonis_frames.exceptions import AuthenticationError, PermissionDenied


@dataclass(frozen=True)
class AcceptedKey:
    """A key that the server accepts.

    Attributes:
        auth: The key, as the kind that it is.
        pools: Number of pools that it may see; None if it may not list them.
    """

    auth: Auth
    pools: int | None


def check_key(url: str, candidates: Sequence[Auth]) -> AcceptedKey:
    """The first of these that the server accepts: one key, as the kinds that it may be.

    Raises:
        AuthenticationError: It accepts none of them.
        ApiError: The call failed otherwise.
    """
    rejected: list[AuthenticationError] = []
    for auth in candidates:
        with closing(Transport(url, auth)) as transport:
            try:
                return AcceptedKey(auth, len(DataPushApi(transport).pools()))
            except PermissionDenied:
                return AcceptedKey(auth, None)
            except AuthenticationError as error:
                rejected.append(error)
    first = rejected[0]
    if len(rejected) == 1:
        raise first
    kinds = " nor as ".join(auth.kind for auth in candidates)
    raise restated(
        first,
        f"{first.method} {first.url} returned 401: the server accepts the key neither as {kinds}. "
        "Check that it belongs to this team, is complete and was not deleted.",
    )


def check_ingestion_keys(
    url: str, keys: IngestionKeys, *, verify: Any = True, timeouts: Timeouts | None = None
) -> bool:
    """Whether ingestion keys are known to be right; nothing is stored.

    `verify` and `timeouts` are those of `connect`.

    Raises:
        ApiError: They are wrong, or the call failed.
        ImportError: botocore is not installed.
    """
    with closing(Transport(url, Unsigned(), verify=verify, timeouts=timeouts)) as transport:
        return IngestionGateway(transport, keys).check_keys(CancelToken())
