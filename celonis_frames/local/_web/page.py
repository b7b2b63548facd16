"""The page at `/`: pools, tables with their first rows, jobs with their logs, and what follows."""

from __future__ import annotations

from html import escape
from typing import Any

import duckdb

from celonis_frames._formatting import counted, format_bytes
from celonis_frames.local._database.catalog import Catalog
from celonis_frames.local._database.database import Row
from celonis_frames.local._database.sql import quote
from celonis_frames.local._gateway.objects import ObjectStore
from celonis_frames.local._processing.processing import Processing
from celonis_frames.local._web.page_objects import render_objects
from celonis_frames.local._web.page_processing import render_data_jobs, render_models
from celonis_frames.local._web.page_style import STYLE
from celonis_frames.local._web.page_text import shown_text, shown_time

ROWS = 10
"""Rows shown of each table."""
OPEN_TABLES = 8
"""Tables of a pool up to which their rows are shown without a click."""
JOBS = 50
"""Jobs shown of each pool."""
REFRESH_SECONDS = 5
"""How often the page loads itself if it is asked to."""

_NUMBERS = ("INTEGER", "FLOAT")


def render(
    catalog: Catalog,
    objects: ObjectStore,
    processing: Processing,
    form_token: str,
    *,
    url: str,
    refresh: bool = False,
) -> str:
    """The page as HTML; every value from outside is escaped.

    Args:
        catalog: What it shows.
        objects: What it shows of the Data Ingestion API.
        processing: What it shows of data models and data jobs.
        form_token: Is sent back by the page's buttons.
        url: The server's own URL, for what to do on an empty server.
        refresh: Whether the page loads itself again after some seconds.
    """
    again = f"<meta http-equiv='refresh' content='{REFRESH_SECONDS}'>" if refresh else ""
    pools = catalog.pools()
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Local Celonis</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"{again}<style>{STYLE}</style></head><body><h1>Local Celonis</h1>",
        f"<p class='quiet'>{escape(catalog.path or 'in memory')} · "
        f"<a href='/openapi.json'>OpenAPI</a> · {_refresh_links(is_on=refresh)}</p>",
    ]
    if not pools:
        parts.append(_first_steps(url))
    if len(pools) > 1:
        links = (f"<a href='#{escape(p['id'])}'>{escape(p['name'])}</a>" for p in pools)
        parts.append(f"<nav>{' '.join(links)}</nav>")
    parts += [_pool(catalog, objects, processing, form_token, pool) for pool in pools]
    return "".join([*parts, "</body></html>"])


def _refresh_links(*, is_on: bool) -> str:
    if is_on:
        return f"Refreshed every {REFRESH_SECONDS} seconds · <a href='/'>Stop</a>"
    return f"<a href='/'>Refresh</a> · <a href='/?refresh'>every {REFRESH_SECONDS} seconds</a>"


def _first_steps(url: str) -> str:
    """What to do on a server that has nothing yet."""
    shell = (
        f"export CELONIS_URL={url}\n"
        "export CELONIS_API_TOKEN=…    # printed by celonis-frames serve; celonis.token in Python\n"
        "celonis-frames push events.csv --pool Purchasing --table EVENTS"
    )
    python = (
        "import pandas as pd, celonis_frames\n\n"
        f'celonis_frames.connect("{url}", auth=celonis_frames.ApiKey("…"))\n'
        'df = pd.DataFrame({"CASE_ID": ["4711"], "ACTIVITY": ["Create order"]})\n'
        'df.celonis.push("Purchasing", "EVENTS")'
    )
    return (
        "<p>There are no Data Pools yet. The first push creates one, with its table.</p>"
        f"<h3>In a terminal</h3><pre>{escape(shell)}</pre>"
        f"<h3>In Python</h3><pre>{escape(python)}</pre>"
        "<p class='quiet'>Then load this page again. Data models, data jobs and data connections "
        "are added in Python: <code>local.start(…).add_data_model(…)</code> and its other methods.</p>"
    )


def _pool(
    catalog: Catalog, objects: ObjectStore, processing: Processing, form_token: str, pool: Row
) -> str:
    connections = catalog.connections(pool["id"])
    places = [("", pool["space"]), *((f"{c['name']} · ", c["space"]) for c in connections)]
    tables = [(label, space, one) for label, space in places for one in catalog.tables(space)]
    is_open = len(tables) <= OPEN_TABLES
    return "".join([
        f"<h2 id='{escape(pool['id'])}'>{escape(pool['name'])} <small>{escape(pool['id'])}</small></h2>",
        "<h3>Tables</h3>",
        *(_table(catalog, label, space, one, is_open=is_open) for label, space, one in tables),
        "" if tables else "<p class='quiet'>No tables yet.</p>",
        _jobs(catalog, catalog.jobs(pool["id"])[:JOBS]),
        *(render_objects(objects, one, form_token) for one in connections),
        render_models(processing, pool["id"]),
        render_data_jobs(processing, pool["id"]),
    ])  # fmt: skip


def _table(catalog: Catalog, label: str, space: str, table: Row, *, is_open: bool) -> str:
    name = f"{quote(space)}.{quote(table['name'])}"
    try:
        with catalog.reading() as cursor:
            count = cursor.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            rows = cursor.execute(f"SELECT * FROM {name} LIMIT {ROWS}").fetchall()
    except duckdb.Error:  # a job has just replaced it
        return f"<p class='quiet'>{escape(label + table['name'])} is being replaced.</p>"
    columns = table["columns"]
    heads = "".join(
        f"<th>{shown_text(c['name'])}<br><small>{c['type']}"
        f"{'(' + str(c['length']) + ')' if c['length'] else ''}</small></th>"
        for c in columns
    )
    kinds = [c["type"] for c in columns]
    body = "".join("<tr>" + "".join(map(_cell, row[: len(kinds)], kinds)) + "</tr>" for row in rows)
    first = f", the first {ROWS} are shown" if count > ROWS else ""
    return (
        f"<details{' open' if is_open else ''}><summary>{escape(label + table['name'])} "
        f"<small>{counted(count, 'row')}, {counted(len(columns), 'column')}{first}</small></summary>"
        f"<div class='scroll'><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
        "</details>"
    )


def _cell(value: Any, kind: str) -> str:
    if value is None:
        return "<td class='null'>null</td>"
    return f"<td{' class=number' if kind in _NUMBERS else ''}>{shown_text(value)}</td>"


def _jobs(catalog: Catalog, jobs: list[Row]) -> str:
    parts = []
    for job in jobs:
        chunks = catalog.chunks(job["id"])
        size = sum(chunk["bytes"] for chunk in chunks)
        reason = f"<br><small>{shown_text(job['logs'][-1])}</small>" if _failed(job) else ""
        parts.append(
            f"<details><summary><span class='{job['status']}'>{job['status']}</span> "
            f"{escape(job['type'])} {escape(job['targetName'])} "
            f"<small>{shown_time(job['lastModified'])} · {counted(len(chunks), 'chunk')} · "
            f"{format_bytes(size)} · {escape(job['id'])}</small>{reason}</summary>"
            f"<pre>{escape(chr(10).join(job['logs']))}</pre></details>"
        )
    return "<h3>Jobs</h3>" + ("".join(parts) or "<p class='quiet'>No jobs yet.</p>")


def _failed(job: Row) -> bool:
    return job["status"] == "ERROR" and bool(job["logs"])
