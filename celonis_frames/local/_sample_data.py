"""A purchase-to-pay event log, made up but true to life, and the same on every machine.

For the demo, the notebook and the tests: cases and activities with rework, users, times in office
hours, amounts, German free text longer than 80 characters, nulls.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pyarrow as pa

Row = dict[str, Any]

SCHEMA = pa.schema({
    "CASE_ID": pa.string(), "EVENT_ID": pa.int64(), "ACTIVITY": pa.string(),
    "EVENT_TIME": pa.timestamp("us"), "USER_NAME": pa.string(), "DEPARTMENT": pa.string(),
    "VENDOR": pa.string(), "AMOUNT": pa.float64(), "CURRENCY": pa.string(),
    "QUANTITY": pa.int64(), "AUTOMATED": pa.bool_(), "DUE_DATE": pa.date32(),
    "COMMENT": pa.string(),
})  # fmt: skip

_USERS = (
    ("Jürgen Müller", "Einkauf"), ("Zoë Lefèvre", "Einkauf"), ("Günther Weiß", "Wareneingang"),
    ("Anna Śliwińska", "Wareneingang"), ("Björn Håkansson", "Buchhaltung"),
    ("Maria Größl", "Buchhaltung"), (None, "System"),
)  # fmt: skip
_VENDORS = (
    "Österreichische Stahl AG", "Müller & Söhne GmbH, Köln", 'Bürobedarf "Flink" KG',
    "Łódź Logistics Sp. z o.o.", "Acme Inc.", "Société Générale de Papier", "東京部品株式会社",
)  # fmt: skip
_COMMENTS = (
    "Bitte prüfen: Preis weicht um 12,5 % vom Rahmenvertrag ab; der Lieferant begründet das mit "
    "gestiegenen Rohstoffkosten (siehe Schreiben vom Vortag).",
    "Rückfrage an den Fachbereich: Ist die Menge so gewollt? Laut Lagerliste sind noch für mehrere "
    "Monate Vorräte vorhanden.\nAntwort steht aus, Bestellung trotzdem freigegeben, weil die "
    "Lieferzeit größer als üblich ist und der Liefertermin sonst nicht gehalten werden kann.",
    "Skonto 2 % bei Zahlung innerhalb von 10 Tagen — €-Betrag bereits gekürzt.",
    'Vermerk: "Teillieferung", Rest folgt; Gebühr für Expressversand trägt der Lieferant. 👍',
    "ok",
    "",
)
_PATH = (
    "Create Purchase Requisition", "Approve Purchase Requisition", "Create Purchase Order",
    "Send Purchase Order", "Record Goods Receipt", "Record Invoice Receipt", "Clear Invoice",
)  # fmt: skip
_BLOCKED = ("Block Invoice", "Remove Payment Block", "Clear Invoice")
_START = dt.datetime(2024, 1, 2, 8)


def purchase_to_pay(cases: int = 2_000, *, seed: int = 7) -> pa.Table:
    """An event log to try things with: purchase orders from the requisition to the payment.

    Made up but true to life: changed prices and quantities, blocked invoices, open cases, times in
    office hours, text in many languages, nulls. Its columns are ``CASE_ID``, ``EVENT_ID`` (from 1
    in each case), ``ACTIVITY``, ``EVENT_TIME``, ``USER_NAME``, ``DEPARTMENT``, ``VENDOR``,
    ``AMOUNT``, ``CURRENCY``, ``QUANTITY``, ``AUTOMATED``, ``DUE_DATE`` and ``COMMENT``.

    Args:
        cases: Number of cases, of about seven events each.
        seed: Another one gives another log; the same gives the same on every machine.
    """
    chance = random.Random(seed)
    rows = [row for case in range(cases) for row in _case(chance, case)]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def changed_and_new(log: pa.Table, *, seed: int = 8) -> pa.Table:
    """The second day of a log: events that changed, the next events of open cases, new cases."""
    chance = random.Random(seed)
    places = sorted(chance.sample(range(log.num_rows), max(1, log.num_rows // 20)))
    rows = log.take(places).to_pylist()
    for row in rows:
        row["AMOUNT"] = None if chance.random() < 0.1 else round(chance.uniform(10, 90_000), 2)
        row["COMMENT"] = f"Geändert: {chance.choice(_COMMENTS)}"
    cases: dict[str, list[Row]] = {}
    for row in log.to_pylist():
        cases.setdefault(row["CASE_ID"], []).append(row)
    for events in cases.values():
        to_come = _to_come([row["ACTIVITY"] for row in events])
        if to_come and chance.random() < 0.5:
            rows += _continued(chance, events, to_come[: chance.randrange(len(to_come)) + 1])
    for case in range(len(cases), len(cases) + max(1, len(cases) // 20)):
        rows += _case(chance, case)
    return pa.Table.from_pylist(rows, schema=log.schema)


def _case(chance: random.Random, number: int) -> list[Row]:
    path = list(_PATH)
    if chance.random() < 0.3:
        path.insert(4, "Change Price")
    if chance.random() < 0.15:
        path.insert(5, "Change Quantity")
    if chance.random() < 0.1:
        path[-1:] = _BLOCKED
    if chance.random() < 0.1:
        path = path[: chance.randrange(2, len(path))]
    case = {
        "CASE_ID": f"{45_000_000 + number:010d}",
        "VENDOR": chance.choice(_VENDORS),
        "AMOUNT": round(chance.uniform(10, 90_000), 2),
        "QUANTITY": chance.randrange(1, 500),
        "CURRENCY": chance.choice(("EUR", "EUR", "EUR", "USD", "PLN")),
    }
    return _events(chance, case, path, 1, _START + dt.timedelta(hours=number // 3))


def _to_come(activities: list[str]) -> list[str]:
    """What an open case has still to go through; nothing for a case that has ended."""
    done = activities[-1]
    if done in _BLOCKED:
        return list(_BLOCKED[_BLOCKED.index(done) + 1 :])
    step = max(_PATH.index(activity) for activity in activities if activity in _PATH)
    return list(_PATH[step + 1 :])


def _continued(chance: random.Random, events: list[Row], activities: list[str]) -> list[Row]:
    last = events[-1]
    case = {name: last[name] for name in ("CASE_ID", "VENDOR", "CURRENCY")}
    for name in ("AMOUNT", "QUANTITY"):
        case[name] = next((row[name] for row in events if row[name] is not None), None)
    return _events(chance, case, activities, last["EVENT_ID"] + 1, last["EVENT_TIME"])


def _events(
    chance: random.Random, case: Row, activities: list[str], number: int, time: dt.datetime
) -> list[Row]:
    """The events of a case from this number and after this time on."""
    rows = []
    for event, activity in enumerate(activities, start=number):
        time = _office(time + dt.timedelta(microseconds=chance.randrange(60_000_000, 10**11)))
        user, department = chance.choice(_USERS)
        rows.append(case | {
            "EVENT_ID": event, "ACTIVITY": activity, "EVENT_TIME": time,
            "USER_NAME": user, "DEPARTMENT": department,
            "AMOUNT": None if chance.random() < 0.05 else case["AMOUNT"],
            "QUANTITY": None if chance.random() < 0.1 else case["QUANTITY"],
            "AUTOMATED": None if chance.random() < 0.05 else user is None,
            "DUE_DATE": (time + dt.timedelta(days=30)).date() if event > 5 else None,
            "COMMENT": chance.choice(_COMMENTS) if chance.random() < 0.4 else None,
        })  # fmt: skip
    return rows


def _office(time: dt.datetime) -> dt.datetime:
    """The time itself in office hours, else the next morning of a working day."""
    if time.hour >= 18:
        time = (time + dt.timedelta(days=1)).replace(hour=8)
    elif time.hour < 8:
        time = time.replace(hour=8)
    while time.weekday() > 4:
        time = (time + dt.timedelta(days=1)).replace(hour=8)
    return time
