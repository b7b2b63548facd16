"""The OpenAPI description, made from the endpoints themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from celonis_frames._version import __version__

if TYPE_CHECKING:
    from celonis_frames.local._app import Endpoint

_SCHEMAS: dict[str, list[str]] = {
    "Job": ["id", "targetName", "type", "fileType", "dataPoolId", "connectionId", "keys", "status",
            "logs", "tableSchema", "lastModified"],
    "Chunk": ["id", "creationDate", "type", "pushJobId", "checksum"],
    "Pool": ["id", "name"],
    "DataConnection": ["id", "name", "poolId", "type"],
    "Table": ["name", "dataSourceId", "dataSourceName", "type", "schemaName"],
    "TableColumn": ["name", "type", "length"],
}  # fmt: skip


def describe(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The description as OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        for number, path in enumerate(endpoint.paths):
            for method in endpoint.methods:
                operation_id = "_".join(
                    [endpoint.name, method.lower(), *([str(number)] if number else [])]
                )
                paths.setdefault(path, {})[method.lower()] = _operation(
                    endpoint, path, operation_id
                )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Local Celonis: Data Push API", "version": __version__},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "Bearer <user API key> or AppKey <application key>",
                }
            },
            "schemas": {
                name: {"type": "object", "properties": {field: {} for field in fields}}
                for name, fields in _SCHEMAS.items()
            },
        },
    }


def _operation(endpoint: Endpoint, path: str, operation_id: str) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]
    parameters += [
        {"name": name, "in": "query", "schema": {"type": "string"}} for name in endpoint.query
    ]
    success: dict[str, Any] = {"description": "Done"}
    if endpoint.answer:
        name = endpoint.answer.removesuffix("[]")
        schema: dict[str, Any] = {"$ref": f"#/components/schemas/{name}"}
        if endpoint.answer.endswith("[]"):
            schema = {"type": "array", "items": schema}
        success["content"] = {"application/json": {"schema": schema}}
    refused = {str(status): {"description": "Refused"} for status in (400, 401, 404)}
    done = "204" if endpoint.name == "delete_job" else "200"
    operation: dict[str, Any] = {
        "operationId": operation_id,
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": {done: success, **refused},
    }
    if endpoint.body == "json":
        reference = {"$ref": "#/components/schemas/Job"}
        operation["requestBody"] = {"content": {"application/json": {"schema": reference}}}
    elif endpoint.body == "file":
        form = {
            "type": "object",
            "properties": {
                "file": {"type": "string", "contentMediaType": "application/octet-stream"}
            },
        }
        operation["requestBody"] = {"content": {"multipart/form-data": {"schema": form}}}
        operation["responses"]["413"] = {"description": "Too large"}
    return operation
