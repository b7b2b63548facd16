"""The gateway's check of signatures: AWS' published examples, what botocore signs, tampering."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from gateway_client import GatewayClient, file
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames import local
from celonis_frames.local._gateway.signature import (
    MAX_SKEW,
    UNSIGNED,
    Authorization,
    Credentials,
    SignedRequest,
    signing_key,
    verify,
)
from celonis_frames.local._gateway.xml_errors import CODES, GatewayError

# From AWS' documentation, "Signature Calculations for the Authorization Header" of Amazon S3.
ACCESS, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
AT = datetime(2013, 5, 24, tzinfo=UTC)
EMPTY = hashlib.sha256(b"").hexdigest()
EXAMPLES: dict[str, tuple[str, bytes, bytes, dict[str, str], str, str]] = {
    "GET object": (
        "GET", b"/test.txt", b"", {"range": "bytes=0-9"}, EMPTY,
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "PUT object": (
        "PUT", b"/test$file.text", b"",
        {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
        hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "GET lifecycle": (
        "GET", b"/", b"lifecycle", {}, EMPTY,
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list objects": (
        "GET", b"/", b"max-keys=2&prefix=J", {}, EMPTY,
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}  # fmt: skip


def _known(access_key: str) -> Credentials | None:
    return Credentials(SECRET, "us-east-1") if access_key == ACCESS else None


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_published_examples_are_right_and_a_changed_one_is_not(example: str) -> None:
    """Each of AWS' examples is accepted; with another last digit of its signature it is not."""
    method, path, query, more, payload, signature = EXAMPLES[example]
    headers = more | {
        "host": "examplebucket.s3.amazonaws.com", "x-amz-content-sha256": payload,
        "x-amz-date": "20130524T000000Z",
    }  # fmt: skip
    start = (
        f"AWS4-HMAC-SHA256 Credential={ACCESS}/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={';'.join(sorted(headers))},Signature="
    )

    def check(given: str) -> tuple[str, str]:
        signed = SignedRequest(
            method, path, query, tuple((headers | {"authorization": start + given}).items())
        )
        return verify(signed, _known, AT)

    assert check(signature) == (ACCESS, payload)
    with pytest.raises(GatewayError, match="SignatureDoesNotMatch"):
        check(signature[:-1] + ("0" if signature[-1] != "0" else "1"))


def test_the_published_signing_key_is_derived() -> None:
    """AWS' example of deriving a key."""
    scope = Authorization("", "20120215", "us-east-1", "iam", (), "")
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    expected = "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"
    assert signing_key(secret, scope).hex() == expected


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


def _signed_by_botocore(
    path: str, query: str, headers: dict[str, str], body: bytes, secret: str
) -> SignedRequest:
    url = f"http://localhost:1{path}" + (f"?{query}" if query else "")
    request = AWSRequest("PUT", url, {"Host": "localhost:1"} | headers, body)
    S3SigV4Auth(BotoCredentials(ACCESS, secret), "s3", "us-east-1").add_auth(request)
    return SignedRequest(
        "PUT", path.encode(), query.encode(),
        tuple((name.lower(), str(value)) for name, value in request.headers.items()),
    )  # fmt: skip


@given(
    segments=st.lists(TEXT, min_size=1, max_size=4),
    pairs=st.dictionaries(TEXT, TEXT, max_size=3),
    value=VALUE,
    body=st.binary(max_size=20),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=50),
)
def test_what_botocore_signs_is_accepted(
    segments: list[str], pairs: dict[str, str], value: str, body: bytes, secret: str
) -> None:
    """Any path, query, value of a header, body and secret; with another secret it is rejected."""
    path = "/" + "/".join(quote(segment, safe="~") for segment in segments)
    query = "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in pairs.items())
    signed = _signed_by_botocore(path, query, {"x-amz-meta-a": value}, body, secret)
    now = datetime.now(UTC)
    known = {ACCESS: Credentials(secret, "us-east-1")}
    digest = hashlib.sha256(body).hexdigest()
    assert verify(signed, known.get, now) == (ACCESS, digest)
    other = {ACCESS: Credentials(secret + "x", "us-east-1")}
    with pytest.raises(GatewayError, match="SignatureDoesNotMatch"):
        verify(signed, other.get, now)


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayClient]:
    """A local Celonis with a connection, and calls to it."""
    with local.start(limits=False) as celonis:
        yield GatewayClient(celonis, celonis.ingestion("P", {"T": {}}))


BODY = file(pa.table({"A": [1]}))


def _code(response: Any) -> str:
    """The code of an error, whose status must be that of the code."""
    root = ET.fromstring(response.content)  # noqa: S314  # of our own server
    assert root.tag == "Error"
    code = root.findtext("Code") or ""
    assert response.status_code == CODES[code][0]
    assert response.headers["content-type"] == "application/xml"
    assert root.findtext("Message")
    assert root.findtext("RequestId") == response.headers["x-amz-request-id"]
    assert root.findtext("Resource") == urlsplit(response.request.url).path
    return code


def _set(name: str, value: str) -> Any:
    def change(request: AWSRequest) -> None:
        del request.headers[name]
        request.headers[name] = value

    return change


def _set_to_now(request: AWSRequest) -> None:
    _set("X-Amz-Date", datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"))(request)


def _replace(old: str, new: str) -> Any:
    def change(request: AWSRequest) -> None:
        header = request.headers["Authorization"]
        assert old in header
        _set("Authorization", header.replace(old, new))(request)

    return change


def _path(request: AWSRequest) -> None:
    request.url = request.url.replace("/T/", "/t/")


def _query(request: AWSRequest) -> None:
    request.url += "?x-id=PutObject"


def _body(request: AWSRequest) -> None:
    request.data = BODY[:-1] + b"X"


def _without(name: str) -> Any:
    def change(request: AWSRequest) -> None:
        del request.headers[name]

    return change


TAMPERING: dict[str, tuple[Any, str]] = {
    "path": (_path, "SignatureDoesNotMatch"),
    "query": (_query, "SignatureDoesNotMatch"),
    "body": (_body, "XAmzContentSHA256Mismatch"),
    "host": (_set("Host", "localhost"), "SignatureDoesNotMatch"),
    "metadata": (_set("x-amz-meta-a", "2"), "SignatureDoesNotMatch"),
    "content type": (_set("Content-Type", "text/plain"), "SignatureDoesNotMatch"),
    "one more header": (_set("x-amz-meta-b", "1"), "AccessDenied"),
    "a header fewer": (_without("x-amz-meta-a"), "SignatureDoesNotMatch"),
    "time": (_set_to_now, "SignatureDoesNotMatch"),
    "no time": (_without("X-Amz-Date"), "AccessDenied"),
    "payload": (_set("X-Amz-Content-SHA256", "0" * 64), "SignatureDoesNotMatch"),
    "unsigned payload": (_set("X-Amz-Content-SHA256", UNSIGNED), "SignatureDoesNotMatch"),
    "no payload": (_without("X-Amz-Content-SHA256"), "InvalidRequest"),
    "key": (_replace("Credential=LC", "Credential=XX"), "InvalidAccessKeyId"),
    "no key": (_without("Authorization"), "AccessDenied"),
    "signed headers": (_replace(";x-amz-meta-a", ""), "AccessDenied"),
    "service": (_replace("/s3/", "/iam/"), "AuthorizationHeaderMalformed"),
    "region": (_replace("/eu-central-1/", "/us-east-1/"), "AuthorizationHeaderMalformed"),
    "end of the scope": (_replace("aws4_request", "aws5"), "AuthorizationHeaderMalformed"),
    "parts": (_replace("SignedHeaders", "Signed"), "AuthorizationHeaderMalformed"),
    "bearer": (_set("Authorization", "Bearer x"), "InvalidRequest"),
    "another algorithm": (_replace("AWS4-HMAC-SHA256", "AWS4-ECDSA"), "InvalidRequest"),
    "signature": (_replace("Signature=", "Signature=0"), "SignatureDoesNotMatch"),
    "signature of letters": (_replace("Signature=", "Signature=\u00e4"), "SignatureDoesNotMatch"),
}


@pytest.mark.parametrize("change", TAMPERING)
def test_a_request_that_was_changed_is_rejected(gateway: GatewayClient, change: str) -> None:
    """Each part of a request is protected; the error says what differs. Nothing is stored."""
    request = gateway.signed(
        gateway.path("T", f"{change}.parquet"), BODY,
        headers={"x-amz-meta-a": "1", "Content-Type": "application/octet-stream"},
        at=datetime.now(UTC) - timedelta(seconds=90),
    )  # fmt: skip
    alter, code = TAMPERING[change]
    alter(request)
    assert _code(gateway.send(request)) == code
    assert f"{change}.parquet" not in gateway.states()


def test_a_request_that_was_not_changed_is_accepted(gateway: GatewayClient) -> None:
    """The request that the test above changes."""
    response = gateway.put(
        "T", "a", BODY, headers={"x-amz-meta-a": "1", "Content-Type": "application/octet-stream"},
        at=datetime.now(UTC) - timedelta(seconds=90),
    )  # fmt: skip
    assert response.status_code == 200
    assert response.content == b""


@given(place=st.integers(0, 63), digit=st.sampled_from("0123456789abcdef"))
def test_every_digit_of_a_signature_counts(place: int, digit: str) -> None:
    """Changing any one is seen."""
    signed = _signed_by_botocore("/a", "", {}, b"", SECRET)
    headers = dict(signed.headers)
    start, _, signature = headers["authorization"].rpartition("=")
    changed = signature[:place] + digit + signature[place + 1 :]
    headers["authorization"] = f"{start}={changed}"
    request = SignedRequest(signed.method, signed.path, signed.query, tuple(headers.items()))
    if changed == signature:
        verify(request, _known, datetime.now(UTC))
    else:
        with pytest.raises(GatewayError, match="SignatureDoesNotMatch"):
            verify(request, _known, datetime.now(UTC))


@pytest.mark.parametrize("sign", [1, -1])
def test_clocks_may_differ_by_a_quarter_of_an_hour(sign: int) -> None:
    """To the second, in both directions."""
    signed = _signed_by_botocore("/a", "", {}, b"", SECRET)
    text = dict(signed.headers)["x-amz-date"]
    at = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    verify(signed, _known, at + sign * MAX_SKEW)
    with pytest.raises(GatewayError, match="RequestTimeTooSkewed"):
        verify(signed, _known, at + sign * (MAX_SKEW + timedelta(seconds=1)))


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_wrong_clock_is_told_the_time(gateway: GatewayClient, minutes: int) -> None:
    """RequestTimeTooSkewed names both times."""
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    response = gateway.put("T", "skewed", BODY, at=at)
    assert _code(response) == "RequestTimeTooSkewed"
    root = ET.fromstring(response.content)  # noqa: S314  # of our own server
    assert root.findtext("RequestTime") == at.strftime("%Y%m%dT%H%M%SZ")
    assert root.findtext("ServerTime")


def test_a_time_that_is_no_time_is_rejected(gateway: GatewayClient) -> None:
    """Whatever else stands there, also a day that differs from the key's."""
    codes = {"soon": "AccessDenied", "19700101T000000Z": "AuthorizationHeaderMalformed"}
    for value, code in codes.items():
        request = gateway.signed(gateway.path("T", "a"), BODY)
        _set("X-Amz-Date", value)(request)
        assert _code(gateway.send(request)) == code


def test_the_date_header_will_do(gateway: GatewayClient) -> None:
    """Without x-amz-date, in the format of HTTP."""
    headers = {"Date": "now"}  # botocore writes the time into it, if it is there
    request = AWSRequest(
        "PUT", gateway.endpoint, {"Host": urlsplit(gateway.endpoint).netloc} | headers, BODY
    )
    request.url = gateway.celonis.url + gateway.path("T", "date")
    keys = BotoCredentials(gateway.keys.access_key.reveal(), gateway.keys.secret_key.reveal())
    S3SigV4Auth(keys, "s3", gateway.keys.region).add_auth(request)
    assert "X-Amz-Date" not in request.headers
    assert gateway.send(request).status_code == 200


@pytest.mark.parametrize("header", ["", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a,b=c,d=e",
                                    "AWS4-HMAC-SHA256 Credential=/1/2/3/aws4_request,"
                                    "SignedHeaders=host,Signature=a"])  # fmt: skip
def test_a_malformed_header_is_an_error_not_a_crash(gateway: GatewayClient, header: str) -> None:
    """With a code of S3."""
    request = gateway.signed(gateway.path("T", "a"), BODY)
    _set("Authorization", header)(request)
    assert _code(gateway.send(request)) in ("AccessDenied", "AuthorizationHeaderMalformed")


@given(
    header=st.text(st.characters(max_codepoint=255)),
    name=st.sampled_from(["authorization", "x-amz-date", "x-amz-content-sha256", "date"]),
)
def test_nothing_but_a_signature_is_accepted(header: str, name: str) -> None:
    """Any text in any of the headers that count gives an error of S3."""
    signed = _signed_by_botocore("/a", "", {}, b"", SECRET)
    headers = dict(signed.headers)
    if headers.get(name) == header:
        return
    headers[name] = header
    request = SignedRequest(signed.method, signed.path, signed.query, tuple(headers.items()))
    if name == "date":  # is not signed, and x-amz-date is there
        verify(request, _known, datetime.now(UTC))
        return
    with pytest.raises(GatewayError):
        verify(request, _known, datetime.now(UTC))


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(
    lambda name: name.strip() and name not in (".", "..") and len(name.encode()) <= 128
)


@pytest.mark.exhaustive
@settings(max_examples=25)
@given(table=NAMES, name=NAMES)
def test_any_name_of_a_table_and_a_file_arrives(
    gateway: GatewayClient, table: str, name: str
) -> None:
    """Signed and sent by botocore's own client of S3, slashes included."""
    name = name.replace("/", "_")
    table = table.strip("/") or "t"
    key = gateway.key(table, name)
    s3 = gateway.s3()
    s3.put_object(Bucket=gateway.keys.bucket, Key=key, Body=BODY)
    s3.close()
    last = gateway.celonis._state.objects.last(key)
    assert (last["table_name"], last["bytes"]) == (table, len(BODY))
