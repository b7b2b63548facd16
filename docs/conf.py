"""How the documentation is built: offline, with the notebooks executed."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

from celonis_frames import __version__

HERE = Path(__file__).parent

project = "celonis_frames"
author = "The celonis_frames authors"
copyright = "The celonis_frames authors"  # noqa: A001  # Sphinx's name
version = release = __version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.graphviz",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "_templates", "jupyter_execute"]
templates_path = ["_templates"]
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_title = "celonis_frames"
html_theme_options = {
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_center": [],  # all pages are in the sidebar
}
html_sidebars = {"**": ["sidebar.html"]}
html_show_sourcelink = False
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
smartquotes = False  # a quote that is copied must be the one that Python reads
copybutton_exclude = ".linenos, .gp, .go"  # prompts and outputs stay
copybutton_selector = "div.highlight-python pre, div.highlight-bash pre, div.cell_input pre"
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600  # each takes less than a minute on an idle machine
default_role = "py:obj"  # `names` in docstrings are links
autodoc_mock_imports = ["pyspark"]  # half a gigabyte, for the base of one class
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
napoleon_use_ivar = True  # attributes as a list
# The three groups of push's options, as its docstring has them.
napoleon_custom_sections = [
    ("The table", "params_style"),
    ("The values", "params_style"),
    ("The way", "params_style"),
]
graphviz_output_format = "svg"
suppress_warnings = ["myst.xref_missing"]

# Notebooks live at the top level, where users look for them; the build takes copies.
shutil.rmtree(HERE / "notebooks", ignore_errors=True)
(HERE / "notebooks").mkdir()
for notebook in (HERE.parent / "notebooks").glob("*.ipynb"):
    text = notebook.read_text("utf-8").replace("](../docs/", "](../")
    (HERE / "notebooks" / notebook.name).write_text(text, "utf-8")
# Spark needs Java, and half a gigabyte: elsewhere its notebook is shown without outputs.
spark = importlib.util.find_spec("pyspark") is not None and shutil.which("java") is not None
nb_execution_excludepatterns = [] if spark else ["notebooks/05_spark.ipynb"]


# Classes that users get and do not make: their constructors are nobody's business.
RETURNED = {
    "Changes", "DataJobStatus", "DoctorReport", "EventLogFinding", "EventLogReport", "Fault",
    "LocalCelonis", "PushPlan", "PushStatus", "ReloadStatus",
}  # fmt: skip


def setup(app: Any) -> None:
    """Hide the constructors of `RETURNED`; before napoleon reads the docstrings."""
    app.connect("autodoc-process-signature", _without_parameters)
    app.connect("autodoc-process-docstring", _without_arguments, priority=400)


def _without_parameters(*event: Any) -> tuple[str, str] | None:
    _, what, _, documented, *_ = event
    return ("", "") if what == "class" and documented.__name__ in RETURNED else None


def _without_arguments(*event: Any) -> None:
    _, what, _, documented, _, lines = event
    if what == "class" and documented.__name__ in RETURNED and "Args:" in lines:
        begin = lines.index("Args:")
        behind = (i for i in range(begin + 1, len(lines)) if lines[i][:1].strip())
        del lines[begin : next(behind, len(lines))]
