"""The pages that reports stand in: what each sets, as its own stylesheet has it.

VS Code, JupyterLab and Colab set variables, attributes and classes on the elements above a report;
here a `div` has them, so that one page has all of them.
"""

from __future__ import annotations

from html import escape


def _vscode(kind: str, text: str, page: str) -> dict[str, str]:
    style = f"--vscode-editor-foreground:{text};--vscode-editor-background:{page}"
    return {"class": kind, "style": f"{style};background:{page};color:{text}"}


def _jupyter(light: str, text: str, page: str) -> dict[str, str]:
    style = f"--jp-content-font-color0:{text};--jp-layout-color0:{page}"
    return {"data-jp-theme-light": light, "style": f"{style};background:{page};color:{text}"}


HOSTS = {
    "no variables": {},
    "a white page": {"style": "background:white;color:black"},
    "JupyterLab light": _jupyter("true", "rgba(0,0,0,1)", "white"),
    "JupyterLab dark": _jupyter("false", "rgba(255,255,255,1)", "#111111"),
    "VS Code Light Modern": _vscode("vscode-light", "#3b3b3b", "#ffffff"),
    "VS Code Dark Modern": _vscode("vscode-dark", "#cccccc", "#1f1f1f"),
    "VS Code Dark+": _vscode("vscode-dark", "#d4d4d4", "#1e1e1e"),
    "VS Code Monokai": _vscode("vscode-dark", "#f8f8f2", "#272822"),
    "VS Code Quiet Light": _vscode("vscode-light", "#333333", "#f5f5f5"),
    "VS Code high contrast": _vscode("vscode-high-contrast", "#ffffff", "#000000"),
    "VS Code high contrast light": _vscode(
        "vscode-high-contrast vscode-high-contrast-light", "#292929", "#ffffff"
    ),
    "Nord": _vscode("vscode-dark", "#d8dee9", "#2e3440"),
    "GitHub dark dimmed": _vscode("vscode-dark", "#adbac7", "#22272e"),
    "Colab dark": {"theme": "dark", "style": "background:#383838;color:#d5d5d5"},
}


def page(reports: dict[str, str]) -> str:
    """A page with all reports in all hosts."""
    body = "".join(
        f"<div data-host='{escape(name)}' style='padding:1em'><div "
        + " ".join(f'{key}="{escape(value)}"' for key, value in host.items())
        + f"><h3>{escape(name)}</h3>{''.join(reports.values())}</div></div>"
        for name, host in HOSTS.items()
    )
    return (
        "<!doctype html><meta charset=utf-8><style>body{color-scheme:light dark;"
        f"font-family:sans-serif}}</style><body>{body}"
    )


UNDECIDED = {"no variables", "a white page"}
"""Pages that do not say whether they are dark."""


def is_dark(host: str) -> bool:
    """Whether a page says that it is dark."""
    given = HOSTS[host]
    if host in UNDECIDED or "light" in given.get("class", ""):
        return False
    return given.get("data-jp-theme-light") != "true"
