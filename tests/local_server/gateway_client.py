"""A client for the gateway of the local Celonis: botocore's own, and signed plain requests."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import botocore.session
import pyarrow as pa
import pyarrow.parquet as pq
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

SETTINGS: dict[str, Any] = {
    "s3": {"addressing_style": "path"},
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}
"""What a client of such a gateway needs."""


def file(table: pa.Table, **options: Any) -> bytes:
    """A Parquet file as the gateway takes it."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **({"compression": "none"} | options))
    return sink.getvalue()


class GatewayClient:
    """Calls to the gateway with the keys of a connection."""

    def __init__(self, celonis: Any, keys: Any) -> None:
        self.celonis, self.keys = celonis, keys
        self.endpoint = f"{celonis.url}/api/data-ingestion"

    def s3(self, **settings: Any) -> Any:
        """The client of S3 that botocore has."""
        session = botocore.session.Session()
        given = SETTINGS | {"retries": {"max_attempts": 0}} | settings
        # The botocore of 2023 has no settings of checksums, and sends none.
        given = {name: value for name, value in given.items() if name in Config.OPTION_DEFAULTS}
        return session.create_client(
            "s3", endpoint_url=self.endpoint, region_name=self.keys.region,
            aws_access_key_id=self.keys.access_key.reveal(),
            aws_secret_access_key=self.keys.secret_key.reveal(), config=Config(**given),
        )  # fmt: skip

    def key(self, table: str, name: str) -> str:
        return f"connection/{self.keys.connection}/{table}/{name}"

    def path(self, table: str, name: str) -> str:
        """The path of an object's URL."""
        return f"/api/data-ingestion/{self.keys.bucket}/{quote(self.key(table, name))}"

    def signed(
        self,
        path: str,
        body: bytes,
        *,
        method: str = "PUT",
        headers: dict[str, str] | None = None,
        at: datetime | None = None,
        region: str | None = None,
        service: str = "s3",
        credentials: tuple[str, str] | None = None,
    ) -> AWSRequest:
        """A request as botocore signs it."""
        given = {"Host": urlsplit(self.celonis.url).netloc} | (headers or {})
        request = AWSRequest(method, self.celonis.url + path, given, body)
        access, secret = credentials or (
            self.keys.access_key.reveal(), self.keys.secret_key.reveal(),
        )  # fmt: skip
        signer = _SignerAt(Credentials(access, secret), service, region or self.keys.region)
        signer.at = at or datetime.now(UTC)
        signer.add_auth(request)
        return request

    def send(self, request: AWSRequest) -> requests.Response:
        """Send a request as it is."""
        prepared = requests.Request(
            request.method, request.url, dict(request.headers), data=request.data
        ).prepare()
        prepared.url = request.url
        with requests.Session() as session:
            return session.send(prepared, timeout=30)

    def put(self, table: str, name: str, body: bytes, **options: Any) -> requests.Response:
        """Store an object; other arguments are those of `signed`."""
        return self.send(self.signed(self.path(table, name), body, **options))

    def put_rows(self, table: str, name: str, rows: pa.Table, **options: Any) -> None:
        """Store a file of rows."""
        response = self.put(table, name, file(rows, **options))
        assert response.status_code == 200, response.text

    def states(self, names: Iterable[str] | None = None) -> dict[str, str]:
        """The states of the objects by the names of their files."""
        found = {item["key"].rpartition("/")[2]: item["state"] for item in self.celonis.objects}
        return found if names is None else {name: found[name] for name in names}


class _SignerAt(S3SigV4Auth):
    """botocore's signer, at a given time."""

    at: datetime

    def add_auth(self, request: Any) -> None:
        request.context["timestamp"] = self.at.strftime("%Y%m%dT%H%M%SZ")
        request.headers["X-Amz-Date"] = request.context["timestamp"]
        if "X-Amz-Content-SHA256" not in request.headers:
            digest = hashlib.sha256(request.data or b"").hexdigest()
            request.headers["X-Amz-Content-SHA256"] = digest
        canonical = self.canonical_request(request)
        text = self.string_to_sign(request, canonical)
        self._inject_signature_to_request(request, self.signature(text, request))
