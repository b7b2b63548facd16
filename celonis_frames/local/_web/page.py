"""The page at `/`: pools, tables with their first rows, jobs with their logs, and what follows."""

from __future__ import annotations

import time
from html import escape
from typing import Any

import duckdb

from celonis_frames._formatting import counted
from celonis_frames.local._database.catalog import Catalog
from celonis_frames.local._database.database import Row
from celonis_frames.local._database.sql import quote
from celonis_frames.local._gateway.objects import ObjectStore
from celonis_frames.local._processing.processing import Processing
from celonis_frames.local._web.page_processing import render_data_jobs, render_models

ROWS = 10
"""Rows shown of each table."""
JOBS = 50
"""Jobs shown of each pool."""
OBJECTS = 50
"""Failed objects shown of each data connection."""

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid var(--line) }
details { margin: .4rem 0 } summary { cursor: pointer; font-weight: 600 }
.scroll { overflow-x: auto } small, .quiet { opacity: .65 }
table { border-collapse: collapse; margin: .6rem 0; font-size: .87rem }
th, td { text-align: left; padding: .25rem .7rem; border-bottom: 1px solid var(--line);
  max-width: 22rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
pre { font-size: .8rem; overflow-x: auto } .null { opacity: .4 }
.DONE, .SUCCESS { color: #188038 } .WARNING { color: #b06000 }
.ERROR, .CANCELED, .FAILED, .FAIL, .LOST_CONNECTION { color: #d93025 } form { display: inline }
"""


def render(catalog: Catalog, objects: ObjectStore, processing: Processing, form_token: str) -> str:
    """The page as HTML; every value from outside is escaped.

    Args:
        catalog: What it shows.
        objects: What it shows of the Data Ingestion API.
        processing: What it shows of data models and data jobs.
        form_token: Is sent back by the page's buttons.
    """
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Local Celonis</title>",
        f"<style>{_STYLE}</style></head><body><h1>Local Celonis</h1>",
        f"<p class='quiet'>{escape(catalog.path or 'in memory')} · "
        "<a href='/openapi.json'>OpenAPI</a></p>",
    ]
    pools = catalog.pools()
    if not pools:
        parts.append("<p>No Data Pools yet. The first push creates one.</p>")
    for pool in pools:
        parts.append(f"<h2>{escape(pool['name'])} <small>{escape(pool['id'])}</small></h2>")
        places = [("", pool["space"])]
        connections = catalog.connections(pool["id"])
        places += [(f"{c['name']} · ", c["space"]) for c in connections]
        for label, space in places:
            parts += [_table(catalog, label, space, table) for table in catalog.tables(space)]
        parts.append(_jobs(catalog, catalog.jobs(pool["id"])[:JOBS]))
        parts += [_ingestion(objects, c, form_token) for c in connections]
        parts += [render_models(processing, pool["id"]), render_data_jobs(processing, pool["id"])]
    return "".join([*parts, "</body></html>"])


def _table(catalog: Catalog, label: str, space: str, table: Row) -> str:
    name = f"{quote(space)}.{quote(table['name'])}"
    try:
        with catalog.reading() as cursor:
            count = cursor.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            rows = cursor.execute(f"SELECT * FROM {name} LIMIT {ROWS}").fetchall()
    except duckdb.Error:  # a job has just replaced it
        return f"<p class='quiet'>{escape(label + table['name'])} is being replaced.</p>"
    heads = "".join(
        f"<th>{escape(c['name'])}<br><small>{c['type']}"
        f"{'(' + str(c['length']) + ')' if c['length'] else ''}</small></th>"
        for c in table["columns"]
    )
    body = "".join(
        "<tr>" + "".join(map(_cell, row[: len(table["columns"])])) + "</tr>" for row in rows
    )
    return (
        f"<details open><summary>{escape(label + table['name'])} <small>{counted(count, 'row')}, "
        f"{counted(len(table['columns']), 'column')}</small></summary><div class='scroll'>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div></details>"
    )


def _cell(value: Any) -> str:
    if value is None:
        return "<td class='null'>null</td>"
    text = str(value)
    return f"<td>{escape(text if len(text) <= 200 else text[:199] + '…')}</td>"


def _jobs(catalog: Catalog, jobs: list[Row]) -> str:
    parts = []
    for job in jobs:
        chunks = catalog.chunks(job["id"])
        size = sum(chunk["bytes"] for chunk in chunks)
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(job["lastModified"] / 1000))
        parts.append(
            f"<details><summary><span class='{job['status']}'>{job['status']}</span> "
            f"{escape(job['type'])} {escape(job['targetName'])} <small>{when} UTC · "
            f"{counted(len(chunks), 'chunk')} · {counted(size, 'byte')} · "
            f"{escape(job['id'])}</small></summary><pre>{escape(chr(10).join(job['logs']))}</pre>"
            "</details>"
        )
    return "<h3>Jobs</h3>" + ("".join(parts) or "<p class='quiet'>No jobs yet.</p>")


def _ingestion(objects: ObjectStore, connection: Row, form_token: str) -> str:
    """A *Push data into Celonis* connection; empty for other data connections."""
    if objects.connection(connection["id"]) is None:
        return ""
    tables = "".join(
        f"<tr><td>{escape(t.name)}</td><td>{escape(t.target)}</td>"
        f"<td>{escape(', '.join(t.keys))}</td><td>{escape(t.age or '')}</td></tr>"
        for t in objects.tables(connection["id"])
    )
    counts = objects.counts(connection["id"])
    listed = ", ".join(f"{counts.get(s, 0):,} {s}" for s in ("INGESTED", "PENDING", "FAILED"))
    failed = objects.objects(connection["id"], state="FAILED")[-OBJECTS:]
    return (
        f"<h3>Push data into Celonis: {escape(connection['name'])} "
        f"<small>{escape(connection['id'])}</small></h3>"
        "<table><thead><tr><th>source table</th><th>table</th><th>keys</th><th>age</th></tr></thead>"
        f"<tbody>{tables}</tbody></table><p class='quiet'>Objects: {listed}</p>"
        + "".join(_failed(item, form_token) for item in reversed(failed))
    )


def _failed(item: Row, form_token: str) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(item["created"] / 1000))
    return (
        "<form method='post' action='/replay'>"
        f"<input type='hidden' name='token' value='{escape(form_token)}'>"
        f"<input type='hidden' name='object' value='{escape(item['id'])}'>"
        f"<p><span class='FAILED'>FAILED</span> {escape(item['key'])} <small>{when} UTC · "
        f"{counted(item['bytes'], 'byte')}</small> <button>Replay</button><br>"
        f"{escape(item['reason'] or '')}</p></form>"
    )
