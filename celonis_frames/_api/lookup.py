"""Find what is given by id or name: pools, data connections, data models, data jobs.

Ids need no look-up: a key that may only push often may not list anything.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import TypeVar

from celonis_frames._api.client import DataPushApi
from celonis_frames._api.data_models import DataJob, DataModel, ModelTable
from celonis_frames._api.integration import IntegrationApi
from celonis_frames._api.models import DataConnection, Pool
from celonis_frames._formatting import counted, did_you_mean, shown
from celonis_frames._formatting import listed as listed_names
from celonis_frames._http.status_errors import restated
from celonis_frames._urls import pool_in_url
from celonis_frames.exceptions import (
    ApiError,
    BadRequest,
    ConfigError,
    NotFound,
    PermissionDenied,
)

_UUID = re.compile(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CREATED_BY_JOB = "POOL_IS_CREATED_BY_ITS_FIRST_JOB"
"""The local Celonis says so of a pool that it does not have."""
CREATED_BY_LOAD = "DATA_MODEL_IS_CREATED_BY_ITS_FIRST_LOAD"
"""It says so of a data model that it does not have."""
_LISTED = 10
"""Ids named in an error about a name that fits several."""
_Named = TypeVar("_Named", Pool, DataConnection, DataModel, DataJob)


def pool(api: DataPushApi, text: str) -> Pool:
    """A Data Pool, by id, name or pasted URL.

    Raises:
        NotFound: If there is none.
        PermissionDenied: If the key may not see it.
        ConfigError: If the name fits several, or the URL is another team's.
        ApiError: If a call fails.
    """
    known = _given_id(api, text)
    return _named_pool(api, text) if known is None else api.pool(known)


def pool_id(api: DataPushApi, text: str, *, for_push: bool = True) -> str:
    """The id of a Data Pool, by id, name or pasted URL.

    `for_push`: whether a job is to be created there. The local Celonis then creates the pool too,
    and takes its name for the id.

    Raises:
        NotFound: If there is none.
        PermissionDenied: If the key may not list pools.
        ConfigError: If the name fits several, or the URL is another team's.
        ApiError: If a call fails.
    """
    known = _given_id(api, text)
    if known is not None:
        return known
    try:
        return _named_pool(api, text).id
    except NotFound as error:
        if for_push and CREATED_BY_JOB in error.error_codes:
            return text.strip()
        raise


def is_created_by_job(api: DataPushApi, pool_id: str) -> bool:
    """Whether a pool is not there, and its first job creates it, as in the local Celonis.

    Raises:
        ApiError: If the call fails.
    """
    try:
        api.pool(pool_id)
    except NotFound as error:
        return CREATED_BY_JOB in error.error_codes
    return False


def connection_id(api: DataPushApi, pool_id: str, connection: str | None) -> str | None:
    """The id of a data connection, by id or name; None stays None.

    Raises:
        NotFound: If the pool has none by that id or name.
        PermissionDenied: If the key may not list them.
        ConfigError: If the name fits several.
        ApiError: If a call fails.
    """
    if connection is None:
        return None
    name = checked_name(connection, "connection")
    if _UUID.fullmatch(name):
        return name
    try:
        listed = api.connections(pool_id)
    except PermissionDenied as error:
        raise _forbidden(error, "data connection", name) from None
    found = _match(listed, name, "data connection")
    if found is None:
        raise _not_found(listed, name, "data connection", api.url, place=_place(api, pool_id))
    return found.id


def data_model(api: IntegrationApi, pool_id: str, model: str) -> DataModel:
    """A data model, by id or name.

    Raises:
        NotFound, PermissionDenied, ConfigError, ApiError: As `data_models`.
    """
    return data_models(api, pool_id, [model])[0]


def data_models(
    api: IntegrationApi, pool_id: str, models: Sequence[str], *, for_push: bool = False
) -> list[DataModel]:
    """Data models, by id or name; they are listed once.

    `for_push`: whether a push is to load them. The local Celonis then creates them too, and takes
    their names for the ids.

    Raises:
        NotFound: If the pool has none by that id or name.
        PermissionDenied: If the key may not list them, and one is not given by id.
        ConfigError: If a name fits several.
        ApiError: If a call fails.
    """
    names = [checked_name(model, "model") for model in models]
    try:
        listed = api.models(pool_id)
    except PermissionDenied as error:
        for name in names:
            if not _UUID.fullmatch(name):
                raise _forbidden(error, "data model", name) from None
        return [DataModel(name, name) for name in names]
    return [_data_model(api, pool_id, listed, name, for_push=for_push) for name in names]


def _data_model(
    api: IntegrationApi, pool_id: str, listed: Sequence[DataModel], name: str, *, for_push: bool
) -> DataModel:
    if (found := _match(listed, name, "data model")) is not None:
        return found
    try:
        return api.model(pool_id, name)  # it may not be in the list
    except (NotFound, BadRequest, PermissionDenied) as error:
        codes = error.error_codes
    if for_push and CREATED_BY_LOAD in codes:
        return DataModel(name, name)
    raise _not_found(listed, name, "data model", api.url, codes, place=_place(api, pool_id))


def model_table_ids(
    model: DataModel, tables: Sequence[ModelTable], names: Sequence[str], url: str
) -> list[str]:
    """The ids of tables of a data model, by name or alias in any case, or by id.

    Raises:
        NotFound: If the data model has no such table.
        ConfigError: If a name fits several.
    """
    found = list[str]()
    for given in names:
        name = checked_name(given, "table")
        spelled = {one.id: (one.alias or one.name, one.name) for one in tables}
        same = (
            [one for one in tables if one.id == name]
            or [one for one in tables if name in spelled[one.id]]
            or [one for one in tables if name.lower() in map(str.lower, spelled[one.id])]
        )
        if not same:
            known = [one.alias or one.name for one in tables]
            hint = did_you_mean(name, {word for words in spelled.values() for word in words})
            hint = hint or f" It has {counted(len(tables), 'table')}: {listed_names(known)}."
            raise NotFound(
                f"Data model {model.name!r} has no table {name!r}.{hint}", status_code=404, url=url
            )
        if len(same) > 1:
            aliases = ", ".join(f"{one.alias or one.name} ({one.id})" for one in same[:_LISTED])
            raise ConfigError(
                f"{len(same)} tables of data model {model.name!r} are named {name!r}. Give the "
                f"alias or id of one: {aliases}."
            )
        found.append(same[0].id)
    return list(dict.fromkeys(found))


def data_job(api: IntegrationApi, pool_id: str, job: str) -> DataJob:
    """A data job, by id or name.

    Raises:
        NotFound: If the pool has none by that id or name.
        PermissionDenied: If the key may not list them.
        ConfigError: If the name fits several.
        ApiError: If a call fails.
    """
    name = checked_name(job, "job")
    if _UUID.fullmatch(name):
        return api.data_job(pool_id, name)
    try:
        listed = api.data_jobs(pool_id)
    except PermissionDenied as error:
        raise _forbidden(error, "data job", name) from None
    if (found := _match(listed, name, "data job")) is not None:
        return found
    raise _not_found(listed, name, "data job", api.url, place=_place(api, pool_id))


def _given_id(api: DataPushApi, text: str) -> str | None:
    text = checked_name(text, "pool")
    if _UUID.fullmatch(text):
        return text
    pasted = pool_in_url(text)
    if pasted is None:
        return None
    if pasted[0] != api.url:
        msg = (
            f"The pool's URL is of {pasted[0]}, but this connection is to {api.url}. Connect to "
            "that team, or paste the URL of a pool of this one."
        )
        raise ConfigError(msg)
    return pasted[1]


def _named_pool(api: DataPushApi, text: str) -> Pool:
    name = text.strip()  # `_given_id` has checked it
    try:
        listed = api.pools()
    except PermissionDenied as error:
        raise _forbidden(error, "pool", name) from None
    if (found := _match(listed, name, "pool")) is not None:
        return found
    try:
        return api.pool(name)  # an id need not be a UUID
    except (NotFound, BadRequest, PermissionDenied) as error:
        codes = error.error_codes
    raise _not_found(listed, name, "pool", api.url, codes)


def checked_name(value: object, what: str) -> str:
    """An id or name, without blanks at its ends.

    Raises:
        ConfigError: It is no string, or empty.
    """
    if isinstance(value, str) and value.strip():
        return value.strip()
    msg = f"{what}={shown(value)} must be an id or a name: a string that is not empty."
    raise ConfigError(msg)


def _match(listed: Sequence[_Named], name: str, what: str) -> _Named | None:
    """The one with this id or name; an exact match precedes one in another case."""
    by_id, by_name, in_another_case = list[_Named](), list[_Named](), list[_Named]()
    for item in listed:
        if item.id == name:
            by_id.append(item)
        elif item.name == name:
            by_name.append(item)
        elif item.name.lower() == name.lower():
            in_another_case.append(item)
    same = by_id or by_name or in_another_case
    if len(same) > 1:
        ids = ", ".join(f"{item.id} ({item.name})" for item in same[:_LISTED])
        msg = f"{len(same)} {what}s are named {name!r}. Give the id of one: {ids}."
        raise ConfigError(msg)
    return same[0] if same else None


def _forbidden(error: PermissionDenied, what: str, name: str) -> PermissionDenied:
    return restated(
        error,
        f"The key may not list {what}s, so {name!r} cannot be looked up. Use the {what}'s id, "
        f"which needs no look-up; it stands in the URL of its page. {error.message}",
    )


def _place(api: DataPushApi | IntegrationApi, pool_id: str) -> str:
    """The pool for a message: by its name, if the key may read it."""
    name = pool_id
    with contextlib.suppress(ApiError):
        name = DataPushApi.sharing(api).pool(pool_id).name
    return f" in the pool {name!r}"


def _not_found(
    listed: Sequence[_Named],
    name: str,
    what: str,
    url: str,
    codes: tuple[str, ...] = (),
    place: str = "",
) -> NotFound:
    hint = did_you_mean(name, [item.name for item in listed if item.name])
    if not hint:
        hint = f" The key sees {counted(len(listed), what)} here. Check the name, or give the id."
    if CREATED_BY_JOB in codes:
        hint += " A push creates it."
    if CREATED_BY_LOAD in codes:
        hint += " A push with reload= creates it."
    return NotFound(
        f"There is no {what} {name!r}{place} at {url}.{hint}",
        status_code=404,
        url=url,
        error_codes=codes,
    )
