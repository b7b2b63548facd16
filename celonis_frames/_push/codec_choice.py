"""Which codec the chunks of a push get if none is given: what its pool is known to take."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from celonis_frames._api import lookup
from celonis_frames._api.client import DataPushApi
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._jobs.timeouts import timeout_error
from celonis_frames._options.push_options import PushOptions
from celonis_frames._options.upload import Compression
from celonis_frames._push.known_pools import KnownPool, known_pools
from celonis_frames._urls import pool_in_url

logger = logging.getLogger("celonis_frames")


def choose_codec(given: Compression | None, known: KnownPool | None) -> Compression:
    """The codec of a push: the one given, else ZSTD if its pool is known to read it, else SNAPPY.

    SNAPPY is certain: the official client always writes it.
    """
    if given is not None:
        return given
    return "zstd" if known is not None and known.codecs.get("zstd") else "snappy"


def with_codec(
    api: DataPushApi, pool: str, options: PushOptions, token: CancelToken
) -> tuple[str, PushOptions]:
    """The pool, by its id if it was looked up, and the options with the codec of this push.

    It is looked up only if something is known of a pool of this team.

    Raises:
        ApiError, ConfigError, JobTimeout: The pool cannot be looked up.
    """
    if not (known := _known_pools(api.url, options)):
        return pool, options
    with timeout_error(token, "while the pool was looked up"):
        pool_id = lookup.pool_id(api.within(token), pool)
    return pool_id, _with(options, known.get(pool_id))


def with_planned_codec(team_url: str, pool: str, options: PushOptions) -> PushOptions:
    """The options without looking the pool up: known by its id, its URL, or the name that it had.

    Raises:
        ConfigError: It is a URL, but not that of a pool.
    """
    if not (known := _known_pools(team_url, options)):
        return options
    pasted = pool_in_url(pool)
    wanted = pool.strip() if pasted is None else pasted[1]
    by_name = (one for one in known.values() if one.name == wanted)
    return _with(options, known.get(wanted) or next(by_name, None))


def _known_pools(team_url: str, options: PushOptions) -> Mapping[str, KnownPool]:
    """The pools whose codec matters to these options."""
    if options.upload.compression is not None or options.upload.file_type == "CSV":
        return {}
    return known_pools(team_url)


def _with(options: PushOptions, known: KnownPool | None) -> PushOptions:
    codec = choose_codec(options.upload.compression, known)
    if known is not None:
        logger.info("chunks are compressed with %s, by what was seen on %s", codec, known.date)
    return replace(options, upload=options.upload.changed({"compression": codec}))
