"""The parts of the page on data models and data jobs."""

from __future__ import annotations

from html import escape

from celonis_frames._formatting import counted
from celonis_frames.local._database.database import Row
from celonis_frames.local._processing.processing import Processing
from celonis_frames.local._web.page_text import shown_text, shown_time


def render_models(processing: Processing, pool_id: str) -> str:
    """The data models of a pool with their tables and last loads; empty if it has none."""
    models = processing.models.models(pool_id)
    if not models:
        return ""
    return "<h3>Data models</h3>" + "".join(_model(processing, model) for model in models)


def render_data_jobs(processing: Processing, pool_id: str) -> str:
    """The data jobs of a pool with their SQL and last runs; empty if it has none."""
    jobs = processing.data_jobs.jobs(pool_id)
    if not jobs:
        return ""
    return "<h3>Data jobs</h3>" + "".join(map(_data_job, jobs))


def _model(processing: Processing, model: Row) -> str:
    loads = processing.loads.loads(model["id"])
    loaded = {table["table_id"]: table for table in processing.models.loaded(model["id"])}
    messages = {t["tableId"]: t["message"] for t in loads[0]["tables"]} if loads else {}
    rows = [
        (t.shown, loaded.pop(t.id, None), messages.get(t.id))
        for t in processing.models.tables(model)
    ]
    rows += [(table["name"], table, "Not in the pool any more") for table in loaded.values()]
    body = "".join(
        f"<tr><td>{shown_text(name)}</td><td class='number'>{_rows(table)}</td>"
        f"<td class='words'>{escape(message or '')}</td></tr>"
        for name, table, message in rows
    )
    listing = (
        "<div class='scroll'><table><thead><tr><th>table</th><th>rows loaded</th><th>message</th></tr>"
        f"</thead><tbody>{body}</tbody></table></div>"
    )
    return (
        f"<details><summary>{_state(loads[0] if loads else None)} {escape(model['name'])} "
        f"<small>{_last(loads[0]) if loads else 'never loaded'} · "
        f"{counted(len(rows), 'table')} · {escape(model['id'])}</small></summary>"
        f"{_message(loads[0]) if loads else ''}{listing}</details>"
    )


def _rows(table: Row | None) -> str:
    return f"{table['rows']:,}" if table else "not loaded"


def _last(load: Row) -> str:
    return f"{load['type']} load, {shown_time(load['ended'] or load['started'])}"


def _data_job(job: Row) -> str:
    when = job["ended"] or job["started"]
    ran = f"{job['mode']}, {shown_time(when)}" if when else "not run yet"
    return (
        f"<details><summary>{_state(job)} {escape(job['name'])} "
        f"<small>{ran} · {escape(job['id'])}</small></summary>{_message(job)}"
        f"<pre>{escape(chr(10).join(job['statements']))}</pre></details>"
    )


def _state(item: Row | None) -> str:
    return f"<span class='{item['status']}'>{item['status']}</span>" if item else ""


def _message(item: Row) -> str:
    return f"<p>{escape(item['message'])}</p>" if item["message"] else ""
