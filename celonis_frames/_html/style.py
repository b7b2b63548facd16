"""The stylesheet of a report, for light and dark pages.

Text and background are those of the page, if it has variables for them (VS Code, JupyterLab, this
project's documentation); else they are ours, and never one without the other. All colours follow
``color-scheme``: that of the reader, unless the page says which it is. A browser that is too old
for ``light-dark()`` shows the text in the page's own colours.

A notebook that is not trusted has no stylesheet: elements have to make sense without.
"""

from __future__ import annotations

import re

CLASS = "celonis-frames"
"""The class of the element around a report."""

STAGES = ("check", "create", "upload", "execute", "wait", "reload")
"""Stages of a push that have a colour of their own."""

# Contrasts of at least 4.5 to the backgrounds of common themes; tests/browser measures them.
_COLOURS = {
    "good": ("#0b5d1e", "#7ee2a0"),
    "bad": ("#9f1239", "#ffb0ac"),
    "warn": ("#704200", "#f5cd6b"),
    "line": ("#8c8c8c", "#909090"),
    "check": ("#3b6fb6", "#8ab4f0"),
    "create": ("#6b7280", "#c3c9d4"),
    "upload": ("#0f766e", "#4fd1c1"),
    "execute": ("#7c3aed", "#c4a7ff"),
    "wait": ("#b45309", "#f3b05a"),
    "reload": ("#a21caf", "#f0a0f5"),
}

_STYLE = """
.C{color-scheme:light dark;
TEXT:var(--vscode-editor-foreground,var(--jp-content-font-color0,var(--pst-color-text-base,light-dark(#1b1b1f,#ececec))));
PAGE:var(--vscode-editor-background,var(--jp-layout-color0,var(--pst-color-background,light-dark(#ffffff,#1b1b1f))));
COLOURS
color:var(TEXT);background:var(PAGE);font-size:.9rem;line-height:1.45;
border:1px solid var(LINE);border-left-width:4px;border-radius:4px;
padding:.6em .9em;margin:.3em 0;max-width:62rem;overflow-wrap:anywhere}
[data-theme=dark] .C,[theme=dark] .C,[data-jp-theme-light=false] .C,.vscode-dark .C,.vscode-high-contrast .C{color-scheme:dark}
[data-theme=light] .C,[data-jp-theme-light=true] .C,.vscode-light .C,.vscode-high-contrast-light .C{color-scheme:light}
.C *{color:inherit;background:none;unicode-bidi:isolate}
.C.good{border-left-color:var(GOOD)}
.C.bad{border-left-color:var(BAD)}
.C.warn{border-left-color:var(WARN)}
.C .good{color:var(GOOD);font-weight:600}
.C .bad{color:var(BAD);font-weight:600}
.C .warn{color:var(WARN);font-weight:600}
.C header{display:flex;flex-wrap:wrap;gap:.1em .7em;align-items:baseline}
.C header b{font-size:1.1em}
.C dl{display:flex;flex-wrap:wrap;gap:.35em 1.6em;margin:.5em 0 0;padding:0}
.C dl>div{margin:0}
.C dt,.C dd{float:none;display:block;margin:0;padding:0;width:auto;text-align:left;font-weight:inherit}
.C dt{font-size:.85em}
.C dd{font-weight:600;font-variant-numeric:tabular-nums}
.C .ids{margin:.5em 0 0;font-size:.85em}
.C code,.C pre{font-family:var(--jp-code-font-family,var(--vscode-editor-font-family,ui-monospace,monospace));font-size:.92em;border:0;padding:0;margin:0}
.C pre{white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.4;margin:.3em 0;padding:.1em 0 .1em .8em;border-left:2px solid var(LINE);max-height:22em;overflow:auto}
.C .bar{display:flex;gap:1px;height:.55em;margin:.7em 0 .3em;border-radius:2px;overflow:hidden;max-width:40rem}
.C .bar span{min-width:2px}
.C .legend{display:flex;flex-wrap:wrap;gap:.1em 1.2em;list-style:none;margin:0;padding:0;font-size:.85em}
.C .legend li{margin:0;padding:0;font-variant-numeric:tabular-nums}
.C .legend span{display:inline-block;width:.65em;height:.65em;margin-right:.45em;border-radius:2px}
STAGES
.C details{margin:.5em 0 0}
.C summary{cursor:pointer;padding:0;display:list-item}
.C ul.notes{margin:.3em 0 0;padding-left:1.4em;list-style:disc outside}
.C ul.notes li{margin:.15em 0}
.C .scroll{overflow-x:auto;margin:.5em 0 0}
.C table{border-collapse:collapse;border:0;margin:0;width:auto;min-width:0;display:table;font-size:.95em;table-layout:auto}
.C th,.C td{text-align:left;vertical-align:top;padding:.2em 1.1em .2em 0;border:0;border-bottom:1px solid var(LINE);white-space:normal;overflow-wrap:normal;max-width:44em;font-weight:400}
.C tr{border:0}
.C .scroll tr:hover,.C .scroll tr:nth-child(n){background:none}
.C th{font-weight:600;white-space:nowrap}
.C td.number,.C th.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.C p{margin:.5em 0 0}
.C style+*{margin-top:0}
.C .rest{background:color-mix(in srgb,var(LINE) 35%,transparent)}
"""  # noqa: E501  # a stylesheet


def _stylesheet() -> str:
    """The stylesheet, without line ends."""
    names = {name.upper(): f"--celonis-{name}" for name in (*_COLOURS, "text", "page")}
    colours = "".join(
        f"{name.upper()}:light-dark({light},{dark});" for name, (light, dark) in _COLOURS.items()
    )
    stages = (
        "".join(f".C .{stage}{{background:var({stage.upper()})}}" for stage in STAGES)
        + ".C .other{background:var(LINE)}"
    )
    filled = _STYLE.replace("COLOURS", colours).replace("STAGES", stages)
    # Twice: more specific than what JupyterLab says of lists, tables and code.
    filled = filled.replace(".C ", f".{CLASS}.{CLASS} ").replace(".C", f".{CLASS}")
    filled = filled.replace("\n", "")
    return re.sub(r"\b[A-Z]{3,}\b", lambda match: names[match[0]], filled)


STYLE = _stylesheet()
