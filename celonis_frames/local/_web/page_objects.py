"""The part of the page on the Data Ingestion API: source tables, objects, and failures."""

from __future__ import annotations

from collections import Counter
from html import escape

from celonis_frames._formatting import counted, format_bytes
from celonis_frames.local._database.database import Row
from celonis_frames.local._gateway.objects import ObjectStore
from celonis_frames.local._web.page_text import shown_text, shown_time

FAILED = 50
"""Failed objects shown of each data connection."""
LATEST = 20
"""Other objects shown of each data connection."""


def render_objects(objects: ObjectStore, connection: Row, form_token: str) -> str:
    """A *Push data into Celonis* connection; empty for other data connections."""
    if objects.connection(connection["id"]) is None:
        return ""
    tables = "".join(
        f"<tr><td>{shown_text(t.name)}</td><td>{shown_text(t.target)}</td>"
        f"<td>{shown_text(', '.join(t.keys))}</td><td>{shown_text(t.age or '')}</td></tr>"
        for t in objects.tables(connection["id"])
    )
    found = objects.objects(connection["id"])
    counts = Counter(item["state"] for item in found)
    listed = ", ".join(f"{counts[state]:,} {state}" for state in ("INGESTED", "PENDING", "FAILED"))
    failed = [item for item in found if item["state"] == "FAILED"]
    stored = [item for item in found if item["state"] != "FAILED"]
    latest = stored[-LATEST:]
    return (
        f"<h3>Push data into Celonis: {escape(connection['name'])} "
        f"<small>{escape(connection['id'])}</small></h3><div class='scroll'>"
        "<table><thead><tr><th>source table</th><th>table</th><th>keys</th><th>age</th></tr></thead>"
        f"<tbody>{tables}</tbody></table></div><p class='quiet'>Objects: {listed}</p>"
        + "".join(_failed(item, form_token) for item in reversed(failed[-FAILED:]))
        + (_latest(latest, len(stored)) if latest else "")
    )


def _latest(items: list[Row], count: int) -> str:
    rows = "".join(
        f"<tr><td><span class='{item['state']}'>{item['state']}</span></td>"
        f"<td>{shown_text(item['table_name'])}</td>"
        f"<td class='number'>{'' if item['rows'] is None else format(item['rows'], ',')}</td>"
        f"<td class='number'>{format_bytes(item['bytes'])}</td><td>{shown_time(item['created'])}</td>"
        f"<td>{shown_text(item['key'].rpartition('/')[2])}</td></tr>"
        for item in reversed(items)
    )
    shown = f"the latest of {count:,}" if count > len(items) else counted(count, "object")
    return (
        f"<details><summary>Objects <small>{shown}</small></summary><div class='scroll'><table><thead>"
        "<tr><th>state</th><th>source table</th><th>rows</th><th>size</th><th>stored</th>"
        f"<th>object</th></tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _failed(item: Row, form_token: str) -> str:
    return (
        "<form method='post' action='/replay'>"
        f"<input type='hidden' name='token' value='{escape(form_token)}'>"
        f"<input type='hidden' name='object' value='{escape(item['id'])}'>"
        f"<p><span class='FAILED'>FAILED</span> {escape(item['key'])} "
        f"<small>{shown_time(item['created'])} · {format_bytes(item['bytes'])}</small> "
        f"<button>Replay</button><br>{escape(item['reason'] or '')}</p></form>"
    )
