"""The OpenAPI description, generated from the endpoints."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from celonis_frames._version import __version__
from celonis_frames.local._gateway.routes import PREFIX
from celonis_frames.local._processing.data_jobs import MODES
from celonis_frames.local._web.oauth import BROAD, DATA_PUSH, READ, SCOPES

if TYPE_CHECKING:
    from celonis_frames.local._web.endpoint import Endpoint


_TEXT = {"type": "string"}
_MAYBE_TEXT = {"type": ["string", "null"]}
_NAME = {"type": "string", "minLength": 1}
_NUMBER = {"type": "integer"}
_TYPES = ["STRING", "INTEGER", "FLOAT", "DATETIME", "DATE", "BOOLEAN", "TIME"]

_MAYBE_NUMBER = {"type": ["integer", "null"]}
_TRUTH = {"type": "boolean"}
_SCHEMA = "#/components/schemas/"
_LOAD = {
    "dataLoadId": _MAYBE_TEXT, "dataModelId": _TEXT, "startDate": _MAYBE_NUMBER,
    "endDate": _MAYBE_NUMBER, "message": _MAYBE_TEXT,
    "loadStatus": {"enum": ["RUNNING", "SUCCESS", "WARNING", "ERROR", "LOST_CONNECTION", None]},
    "loadType": {"enum": ["COMPLETE", "PARTIAL", None]},
}  # fmt: skip
_TABLE_LOADS = {"type": "array", "items": {"$ref": _SCHEMA + "TableLoad"}}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_NEW_JOB: dict[str, Any] = {
    "type": "object",
    "required": ["targetName", "type"],
    "properties": {
        "targetName": {"type": "string", "minLength": 1, "maxLength": 128},
        "type": {"enum": ["REPLACE", "DELTA"]},
        "fileType": {"enum": ["PARQUET", "CSV", None]},
        "connectionId": _MAYBE_TEXT,
        "keys": {"type": ["array", "null"], "items": _NAME},
        "fallbackVarcharLength": {"type": ["integer", "null"], "minimum": 1, "maximum": 65_000},
        "upsertStrategy": {
            "enum": ["UPSERT_WITH_UNCHANGED_METADATA", "UPSERT_WITH_NULLIFICATION", None]
        },
        "tableSchema": {
            "type": ["object", "null"],
            "properties": {
                "tableName": _MAYBE_TEXT,
                "columns": {
                    "type": ["array", "null"],
                    "items": {
                        "type": "object",
                        "required": ["columnName"],
                        "properties": {
                            "columnName": _NAME,
                            "columnType": {"enum": [*_TYPES, None]},
                            "fieldLength": {
                                "type": ["integer", "null"],
                                "minimum": 1,
                                "maximum": 65_000,
                            },
                        },
                    },
                },
            },
        },
        "csvParsingOptions": {
            "type": ["object", "null"],
            "properties": {
                name: {"type": ["string", "null"], "minLength": 1}
                for name in (
                    "separatorSequence", "quoteSequence", "escapeSequence", "decimalSeparator",
                    "thousandSeparator", "dateFormat", "charSet", "lineEnding",
                )
            },
        },
    },
}  # fmt: skip

_SCHEMAS: dict[str, dict[str, Any]] = {
    "NewJob": _NEW_JOB,
    "Job": {
        "id": _TEXT, "targetName": _TEXT, "type": {"enum": ["REPLACE", "DELTA"]},
        "fileType": {"enum": ["PARQUET", "CSV"]}, "dataPoolId": _TEXT, "connectionId": _MAYBE_TEXT,
        "keys": {"type": "array", "items": _TEXT},
        "status": {"enum": ["NEW", "QUEUED", "RUNNING", "DONE", "ERROR", "CANCELED"]},
        "logs": {"type": "array", "items": _TEXT}, "lastModified": _NUMBER,
    },
    "Chunk": {"id": _TEXT, "creationDate": _NUMBER, "type": {"enum": ["UPSERT", "DELETE"]},
              "pushJobId": _TEXT, "checksum": _TEXT},
    "Pool": {"id": _TEXT, "name": _TEXT},
    "DataConnection": {"id": _TEXT, "name": _TEXT, "poolId": _TEXT, "type": _TEXT},
    "Table": {"name": _TEXT, "dataSourceId": _MAYBE_TEXT, "dataSourceName": _MAYBE_TEXT,
              "type": _TEXT, "schemaName": _MAYBE_TEXT},
    "TableColumn": {"name": _TEXT, "type": {"enum": ["STRING", "DATE", "FLOAT", "INTEGER"]},
                    "length": {"type": ["integer", "null"]}},
    "DataModel": {"id": _TEXT, "name": _TEXT, "poolId": _TEXT,
                  "tables": {"type": "array", "items": {"$ref": _SCHEMA + "DataModelTable"}}},
    "DataModelTable": {
        "id": _TEXT, "dataModelId": _TEXT, "dataSourceId": _MAYBE_TEXT, "name": _TEXT,
        "alias": _MAYBE_TEXT, "aliasOrName": _TEXT,
        "columns": {"type": "array", "items": {"$ref": _SCHEMA + "TableColumn"}},
        "primaryKeys": {"type": "array", "items": _TEXT},
    },
    "TableIds": {"type": "array", "items": _TEXT},
    "TableLoad": {"tableId": _TEXT, "tableName": _TEXT, "tableRowCount": _MAYBE_NUMBER,
                  "done": _TRUTH, "message": _MAYBE_TEXT},
    "Load": _LOAD | {"tableLoads": _TABLE_LOADS},
    "LoadInfo": {
        "loadInfo": _object({
            "liveDataModel": _object({
                "dataModelId": _TEXT, "dataModelName": _TEXT, "done": _TRUTH, "error": _TRUTH,
                "errorMessage": _MAYBE_TEXT, "lastLoad": _MAYBE_NUMBER, "tableLoads": _TABLE_LOADS,
            }),
            "currentComputeLoad": {"anyOf": [_object(_LOAD), {"type": "null"}]},
        }),
        "loadHistory": _object({"dataLoadHistory": {"type": "array", "items": _object(_LOAD)}}),
    },
    "DataJob": {
        "id": _TEXT, "name": _TEXT, "dataPoolId": _TEXT, "dataSourceId": _MAYBE_TEXT,
        "status": {"enum": ["NEW", "QUEUED", "RUNNING", "SUCCESS", "FAIL"]},
        "currentExecutionId": _MAYBE_TEXT, "mode": {"enum": [*MODES, None]},
        "message": _MAYBE_TEXT, "startDate": _MAYBE_NUMBER, "endDate": _MAYBE_NUMBER,
    },
    "Execution": {
        "type": "object",
        "properties": {"poolId": _MAYBE_TEXT, "jobId": _MAYBE_TEXT, "mode": {"enum": [*MODES, None]}},
    },
    "Token": {"access_token": _TEXT, "token_type": {"enum": ["Bearer"]}, "expires_in": _NUMBER,
              "scope": _TEXT},
    "TokenError": {"error": _TEXT, "error_description": _TEXT},
    "Errors": {"errors": {"type": "array", "items": {"type": "object"}}},
}  # fmt: skip

_SECURITY = {
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "Bearer <user API key> or AppKey <application key>",
    },
    "oauth2": {
        "type": "oauth2",
        "flows": {
            "clientCredentials": {
                "tokenUrl": "/oauth2/token",
                "scopes": {
                    DATA_PUSH: "The Data Push API",
                    READ: "Pools, data connections and tables",
                    BROAD: "Both",
                    **{scope: "" for scope in SCOPES if scope not in (DATA_PUSH, READ, BROAD)},
                },
            }
        },
    },
    "client": {"type": "http", "scheme": "basic"},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "AWS Signature Version 4, with the keys of a data connection",
    },
}


def describe(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The OpenAPI 3.1 description of the endpoints."""
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
        "info": {
            "title": "Local Celonis: Data Push API and Data Ingestion API",
            "version": __version__,
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": _SECURITY,
            "schemas": {
                name: schema if schema.get("type") in ("object", "array") else _object(schema)
                for name, schema in _SCHEMAS.items()
            },
        },
    }


def _operation(endpoint: Endpoint, path: str, operation_id: str) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _NAME}
        for name in re.findall(r"{(\w+)}", path)
    ]
    parameters += [{"name": name, "in": "query", "schema": _TEXT} for name in endpoint.query]
    success: dict[str, Any] = {"description": "Success"}
    if endpoint.response:
        schema = _reference(endpoint.response.removesuffix("[]"))
        if endpoint.response.endswith("[]"):
            schema = {"type": "array", "items": schema}
        success["content"] = {"application/json": {"schema": schema}}
    elif endpoint.name == "identity":
        success["content"] = {"application/json": {}}
    status = "204" if endpoint.name == "delete_job" else "200"
    operation: dict[str, Any] = {
        "operationId": operation_id,
        "summary": endpoint.summary,
        "parameters": parameters,
        "security": _security(endpoint),
        "responses": {status: success, **_errors(endpoint)},
    }
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": _body(endpoint)}
    return operation


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"{_SCHEMA}{name}"}


def _security(endpoint: Endpoint) -> list[dict[str, list[str]]]:
    if _is_s3(endpoint):
        return [{"signature": []}]
    if endpoint.scopes is None:
        return [{"client": []}, {}]  # the form can have the client's id and secret too
    if not endpoint.scopes:
        return [{"key": []}, {"oauth2": []}]
    return [{"key": []}, *({"oauth2": [scope]} for scope in sorted(endpoint.scopes))]


def _is_s3(endpoint: Endpoint) -> bool:
    return endpoint.paths[0].startswith(f"{PREFIX}/")


def _s3_errors(endpoint: Endpoint) -> dict[str, Any]:
    """S3's errors: a code in an XML body, which the response to a HEAD does not have."""
    content: dict[str, Any] = (
        {} if endpoint.name == "head" else {"content": {"application/xml": {}}}
    )
    errors = {
        "400": "Malformed, too large, or not what its digest says",
        "403": "Not signed by the keys of this connection, or another call of S3",
        "404": "No such bucket or object",
        "411": "No Content-Length",
        "501": "A header that is not implemented",
    }
    return {status: {"description": text, **content} for status, text in errors.items()}


def _errors(endpoint: Endpoint) -> dict[str, Any]:
    if _is_s3(endpoint):
        return _s3_errors(endpoint)
    shape = _reference("TokenError" if endpoint.scopes is None else "Errors")
    content = {"content": {"application/json": {"schema": shape}}}
    errors: dict[str, Any] = {
        "400": {"description": "Bad request", **content},
        "401": {"description": "Unknown key, access token or client"},
    }
    if endpoint.scopes is None:
        errors["401"] |= content
    else:
        errors["403"] = {"description": "The access token has none of the required scopes"}
        errors["404"] = {"description": "No such pool, data connection, table, job or data model"}
    if endpoint.body is not None:
        errors["413"] = {"description": "The body is too large"}
    if endpoint.conflict:
        errors["409"] = {"description": endpoint.conflict}
    if endpoint.name == "execute":
        errors["429"] = {"description": "Too many submissions; Retry-After has the seconds to wait"}
    return errors


def _body(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.body == "json":
        return {"application/json": {"schema": _reference(endpoint.schema)}}
    if endpoint.body == "form":
        names = ("grant_type", "scope", "client_id", "client_secret")
        form = {
            "type": "object",
            "required": ["grant_type"],
            "properties": dict.fromkeys(names, _TEXT)
            | {"grant_type": {"enum": ["client_credentials"]}},
        }
        return {"application/x-www-form-urlencoded": {"schema": form}}
    if endpoint.body == "object":
        return {"application/octet-stream": {}}
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    form = {"type": "object", "required": ["file"], "properties": {"file": file}}
    return {"multipart/form-data": {"schema": form}}
