"""The report of a doctor: for people, for programs, and for the project."""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celonis_frames._doctor.finding import Finding, exit_code
from celonis_frames._doctor.observation import Observation
from celonis_frames._formatting import counted
from celonis_frames._html import report as html
from celonis_frames._urls import CLOUD

_WIDTH = 80
_SHOWN_AS: dict[str, html.Level] = {"ok": "good", "warning": "warn", "error": "bad"}
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_MARKS = {"ok": "✓", "info": "·", "warning": "!", "error": "✗", "skipped": "-"}


@dataclass(frozen=True)
class DoctorReport:
    """What a doctor has found. `Celonis.doctor` returns it.

    Attributes:
        findings: The findings, in the order of the checks.
        table: Name of the scratch table of the trial; None without one.
        observations: What the trial has seen; empty without one.
        not_tried: What a trial does not try, and why.
        hosts: The host of the team, which the report for the project does not show.
    """

    findings: tuple[Finding, ...]
    table: str | None = None
    observations: tuple[Observation, ...] = ()
    not_tried: tuple[tuple[str, str], ...] = ()
    hosts: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong: no finding is an error."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """The exit status of the command: 0, or that of the first error."""
        return exit_code(list(self.findings))

    @property
    def codecs(self) -> dict[str, bool]:
        """Each codec that was tried, and whether the pool reads it."""
        return {
            one.name.removeprefix("codec "): one.value == "accepted"
            for one in self.observations
            if one.name.startswith("codec ") and one.value != "unknown"
        }

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it. It has no secret and no row."""
        return {
            "version": 1,
            "ok": self.ok,
            "exit_code": self.exit_code,
            "findings": [one.to_dict() for one in self.findings],
            "table": self.table,
            "observations": [one.to_dict() for one in self.observations],
            "not_tried": [{"name": name, "why": why} for name, why in self.not_tried],
        }

    def text(self) -> str:
        """The report for people, in 80 columns."""
        lines: list[str] = []
        for one in self.findings:
            lines += _wrapped(f"{_MARKS[one.level]} {one.check:<15}", one.text)
            if one.advice:
                who = f"{one.who}: " if one.who else ""
                lines += _wrapped(" " * 17, f"{who}{one.advice}")
        if self.observations:
            lines += ["", f"What the pool does, tried on the table {self.table}:"]
            for seen in self.observations:
                begin = f"{'≠' if seen.differs else ' '} {seen.name:<34}"
                short = len(begin) + len(seen.shown) <= _WIDTH
                lines += _wrapped(begin, seen.shown if short or seen.differs else seen.value)
            if any(seen.differs for seen in self.observations):
                lines += ["", *_wrapped("", _LEGEND)]
        return "\n".join([*lines, "", self._summary()])

    def _summary(self) -> str:
        counts = {
            word: sum(one.level == word for one in self.findings) for word in ("error", "warning")
        }
        found = [f"{counted(number, word)}." for word, number in counts.items() if number]
        return " ".join(found) or "Nothing is wrong."

    def write(self, folder: str | Path) -> tuple[Path, Path]:
        """Write the report as JSON and text, without the name of the team, for the project.

        Returns:
            The paths of both files, ``celonis-doctor.json`` and ``celonis-doctor.txt``.

        Raises:
            OSError: They cannot be written.
        """
        paths = (Path(folder) / "celonis-doctor.json", Path(folder) / "celonis-doctor.txt")
        document = json.dumps(self.to_dict(), indent=1, ensure_ascii=False)
        for path, text in zip(paths, (document, self.text()), strict=True):
            path.write_text(self._anonymous(text) + "\n", "utf-8")
        return paths

    def _anonymous(self, text: str) -> str:
        """The text without the host of the team, the user's home folder, and e-mail addresses."""
        for host in self.hosts:
            shown = "TEAM"
            if host.endswith(CLOUD):
                shown = f"TEAM.{host.removesuffix(CLOUD).rpartition('.')[2]}{CLOUD}"
            text = re.sub(re.escape(host), shown, text, flags=re.IGNORECASE)
        return _EMAIL.sub("EMAIL", text.replace(str(Path.home()), "~"))

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        level: html.Level = "good" if self.ok else "bad"
        findings = (
            (_mark(one.level), one.check, one.text, one.advice or "", one.who or "")
            for one in self.findings
        )
        seen = (
            (html.marked("warn", "≠") if one.differs else "", one.name, one.shown)
            for one in self.observations
        )
        return html.report(
            level,
            html.headline(level, self._summary(), "Doctor"),
            html.table(("", "check", "finding", "what to do", "who"), list(findings)),
            html.folded(
                f"What the pool does, tried on the table {self.table}",
                html.table(("", "what", "seen"), list(seen)),
                unfolded=any(one.differs for one in self.observations),
            ) if self.observations else "",
        )  # fmt: skip


def _mark(level: str) -> str:
    return html.marked(_SHOWN_AS.get(level, "open"), _MARKS[level])


_LEGEND = (
    "≠ marks what differs from what celonis_frames assumes. Please send the report to the project: "
    "it has no secret and no row."
)


def _wrapped(begin: str, text: str) -> list[str]:
    """Lines of 80 columns that stand under each other behind the beginning of the first."""
    return textwrap.wrap(
        text, _WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin),
        break_long_words=False, break_on_hyphens=False,
    ) or [begin.rstrip()]  # fmt: skip
