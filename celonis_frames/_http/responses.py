"""What an answer is, and what only looks like one: a refusal, a login page, a body without end."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from celonis_frames._http.messages import RawResponse, Request
from celonis_frames._http.redaction import plain
from celonis_frames._http.status_errors import redirect, status_error, unreadable
from celonis_frames.exceptions import ApiConnectionError

if TYPE_CHECKING:
    from celonis_frames._http.auth import Auth
    from celonis_frames._http.multipart import MultipartFile
    from celonis_frames.exceptions import ApiStatusError

__all__ = ["MAX_ANSWER_BYTES", "Response", "raise_for_status"]

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""Largest answer that is read: a pool's whole list of jobs, with logs, is far below."""
_START = 200


@dataclasses.dataclass(frozen=True)
class Response:
    """A successful answer.

    Attributes:
        status: The HTTP status, 2xx.
        content: The body.
        call: What was asked.
    """

    status: int
    content: bytes = dataclasses.field(repr=False)
    call: Request

    def json(self) -> Any:
        """The body, read as JSON.

        Raises:
            ApiStatusError: If it is no JSON; the message quotes its beginning.
        """
        try:
            value = json.loads(self.content)
            if b"\\ud" in self.content.lower():
                # Half of a pair of escapes is no text, and would break wherever it is written to.
                whole = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass")
                value = json.loads(whole.decode("utf-16", "replace"))
        except (ValueError, RecursionError):
            pass
        else:
            return value
        raise self.unreadable("the answer is no JSON")

    def unreadable(self, problem: str) -> ApiStatusError:
        """The error to raise when the body is not what the API promises."""
        return unreadable(self.call, self.status, problem, plain(self.content, _START))


def raise_for_status(reply: RawResponse, auth: Auth, body: MultipartFile | None) -> Response:
    """The answer, if it is a success.

    Args:
        reply: What came back.
        auth: How the call was authenticated, for what to advise.
        body: The file that was sent, if one was.

    Raises:
        ApiConnectionError: If it came before the file was sent.
        ApiStatusError: If it is no success, or too large.
    """
    call, status, received = reply.request, reply.status, reply.content
    if 300 <= status < 400:
        raise redirect(reply)
    if not 200 <= status < 300:
        raise status_error(reply, auth)
    answer = Response(status, received, call)
    kind = reply.headers.get("Content-Type", "").strip().lower()
    if kind.startswith("text/html") or received.lstrip()[:1] == b"<":
        # Also where no content is expected: a login page is not a stored chunk.
        raise answer.unreadable("the answer is a web page")
    if body is not None and not body.finished:
        msg = (
            f"{call} answered {status} before the file was sent to its end. Nothing tells what "
            "the server has stored."
        )
        raise ApiConnectionError(msg, **dataclasses.asdict(call))
    if len(received) > MAX_ANSWER_BYTES:
        raise answer.unreadable(f"the answer is longer than {MAX_ANSWER_BYTES:,} bytes")
    return answer
