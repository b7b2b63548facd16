"""What all calls share: the connection, the token that ends them, retries of those that read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self, TypeVar
from urllib.parse import quote

from celonis_frames._api.models import Entries, log_skipped
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._http.responses import Response
from celonis_frames._http.retry import RetryPolicy
from celonis_frames._http.transport import Transport
from celonis_frames.exceptions import ConfigError

_T = TypeVar("_T")


class ApiCalls:
    """The base of the calls. Every method of them raises `ApiError` if its call fails.

    The policy says when to retry, by default never; only requests that read are retried here. The
    token can end the calls: one that was not made because of it raises `Cancelled`, or
    `ApiTimeoutError` after its deadline. `before_change` is called before each call that may change
    something; what it raises is raised instead.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        policy: RetryPolicy | None = None,
        token: CancelToken | None = None,
        before_change: Callable[[], None] | None = None,
    ) -> None:
        self._transport = transport
        self.policy = policy or RetryPolicy(max_tries=1)
        self.token = token or CancelToken()
        self._before_change = before_change
        self.url = transport.url

    @property
    def connection(self) -> object:
        """What all calls of one connection share, under whatever token."""
        return self._transport

    @classmethod
    def sharing(cls, other: ApiCalls) -> Self:
        """These calls over the connection of others, under their token."""
        return cls(
            other._transport,
            policy=other.policy,
            token=other.token,
            before_change=other._before_change,
        )

    def within(self, token: CancelToken) -> Self:
        """The same calls under a token, which can end them."""
        return type(self)(
            self._transport, policy=self.policy, token=token, before_change=self._before_change
        )

    def guarded(self, before_change: Callable[[], None]) -> Self:
        """The same calls; the function is called before each that may change something."""
        return type(self)(
            self._transport, policy=self.policy, token=self.token, before_change=before_change
        )

    def _request(
        self,
        method: str,
        path: str,
        read: Callable[[Response, Any], Any] | None = None,
        **options: Any,
    ) -> Any:
        """The response; or what `read` makes of it and its JSON, which is held whole."""
        if self._before_change is not None and method != "GET":
            self._before_change()
        with self.token.calling():
            response = self._transport.request(method, path, **options)
        return response if read is None else read(response, response.json())

    def _get(
        self,
        path: str,
        read: Callable[[Response, Any], _T],
        *,
        params: Mapping[str, str] | None = None,
        job_id: str | None = None,
        policy: RetryPolicy | None = None,
    ) -> _T:
        """The same for a call that only reads, with retries."""
        fetch: Callable[[], _T] = partial(
            self._request, "GET", path, read, params=params, job_id=job_id
        )
        return (policy or self.policy).call(fetch, self.token)

    def _long_list(
        self,
        path: str,
        read: Callable[[Response, Any], _T],
        *,
        policy: RetryPolicy | None = None,
        where: Callable[[_T], bool] | None = None,
    ) -> list[_T]:
        """The entries of a list that may be very long: they are read as they arrive."""

        def fetch() -> list[_T]:
            entries = Entries(read, where)
            response = self._request("GET", path, on_item=entries.add)
            if entries.skipped:
                log_skipped(response, entries.skipped)
            return entries.found

        return (policy or self.policy).call(fetch, self.token)


def url_path(form: str, *ids: str) -> str:
    """A path with ids in its fields, each as one segment."""
    segments = []
    for value in ids:
        # Dot segments would be resolved on the way, and the request end at another path.
        if not value or value in {".", ".."}:
            msg = (
                f"{value!r} is not an id. Give the id of a pool or job as it stands in the page's "
                "URL."
            )
            raise ConfigError(msg)
        segments.append(quote(value, safe=""))
    return form.format(*segments)
