"""The checks of CI, one session each. `nox -l` lists them; `nox -s lint types` runs two of them.

Each session builds an environment of its own in `.nox` and installs all that it needs; `nox -r`
reuses what is there. What follows `--` goes to pytest: `nox -s tests -- tests/unit -k retry`.

To share one environment, put its `bin` first on PATH and run `nox --no-venv --no-install -s …`:
`.ci/run` does so, because the README's test command has just installed nearly everything, which
takes a minute each time. Both are options of nox, so that no session needs a second way to run.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

nox.options.download_python = "never"  # a Python that is not installed: skipped, in CI an error
nox.options.default_venv_backend = "virtualenv"  # pip, even where uv is installed
nox.options.error_on_external_run = True
nox.options.sessions = [
    "lint", "types", "docs", "browser", "tests", "exhaustive", "roundtrip", "simulation",
    "bare", "wheel", "lower",
]  # fmt: skip

PROCESSES = ("-n", "3")  # suits two cores, since a third of the time tests wait; `-- -n 0` wins

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
EXTRAS = PYPROJECT["project"]["optional-dependencies"]

ROUNDTRIPS = ("test_roundtrip.py", "test_two_frames.py")

# Run where celonis_frames is installed without any extra.
BARE = """
import importlib.util
import celonis_frames, celonis_frames._cli.main, pyarrow as pa
if importlib.util.find_spec("pyspark_celonis") is None:
    raise SystemExit("Spark must find its data source")
print(celonis_frames.plan(pa.table({"A": ["x"]}), "P", "T"))
try:
    celonis_frames.local
except ImportError as error:
    print(error)
    if "celonis-frames[local]" not in str(error):
        raise SystemExit("the error must name the extra")
else:
    raise SystemExit("celonis_frames.local must need its extra")
"""


@nox.session
def lint(session: nox.Session) -> None:
    """Lint, format, spelling, and the imports between packages."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """The types, as mypy and pyright see them."""
    _install_project(session, "types")
    session.run("mypy")
    which = session.run("python", "-c", "import sys; print(sys.executable)", silent=True, log=False)
    # Without it pyright prefers a .venv in this folder to the environment that it runs in.
    session.run("basedpyright", "--pythonpath", str(which).strip())


@nox.session
def docs(session: nox.Session) -> None:
    """Notebooks without stored outputs; the docs, which execute them; their reports are legible."""
    if shutil.which("dot") is None:
        session.error("the docs need Graphviz's dot: install it with `apt-get install graphviz`")
    _install_project(session, "docs")
    session.run("nbstripout", "--verify", *map(str, Path("notebooks").glob("*.ipynb")))
    session.run("sphinx-build", "-q", "-W", "--keep-going", "docs", "docs/_build")
    if shutil.which("chromium") is not None:
        pages = sorted(map(str, Path("docs/_build/notebooks").glob("*.html")))
        session.run("python", "tests/browser/chromium.py", "--scope", ".celonis-frames", *pages)


@nox.session
def browser(session: nox.Session) -> None:
    """What notebooks show is legible in every theme, as Chromium renders it."""
    if shutil.which("chromium") is None:
        session.error("this needs Chromium: install it with `apt-get install chromium`")
    _install_project(session, "browser")
    session.run("pytest", "tests/browser", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests on the newest dependencies; `tests-3.12` runs them on that Python."""
    _install_project(session, "tests")
    session.run("pytest", *PROCESSES, *session.posargs)


for version in PYTHONS:
    nox.session(name=f"tests-{version}", python=version, default=False)(tests)


@nox.session
def exhaustive(session: nox.Session) -> None:
    """All cases of the tests of which the suite runs a sample, and long runs."""
    _install_project(session, "tests")
    session.run("pytest", "-q", *PROCESSES, "-m", "exhaustive", *session.posargs)


@nox.session
def roundtrip(session: nox.Session) -> None:
    """2,000 frames of 20 columns, of every type, there and back, and 667 pairs into one table."""
    _install_project(session, "tests")
    files = [str(Path("tests/integration") / name) for name in ROUNDTRIPS]
    examples = os.environ.get("CELONIS_FRAMES_EXAMPLES", "40020")
    session.run(
        "pytest", "-q", *PROCESSES, *files, "-m", "not slow", "-k", "every", *session.posargs,
        env={"CELONIS_FRAMES_EXAMPLES": examples},
    )  # fmt: skip


@nox.session
def simulation(session: nox.Session) -> None:
    """100,000 schedules of pushes that are struck, killed and resumed, in virtual time."""
    _install_project(session, "tests")
    session.run("python", "tests/reliability/simulation", *session.posargs)
    session.run("python", "tests/reliability/simulation", "--lossy")


@nox.session
def storages(session: nox.Session) -> None:
    """Staging and frames on real servers of FTP, S3 and others, in their own environment."""
    _install_project(session, "storages")
    session.run("pytest", "-n", "2", "tests/storages", *session.posargs)


@nox.session
@nox.parametrize("client", ["boto3", "s3fs", "awscli"])
def gateway(session: nox.Session, client: str) -> None:
    """A client of S3 stores an object in the local Celonis, with the settings that the docs show.

    Each in its own environment: they require different versions of botocore.
    """
    tools = ("hypothesis", "psutil", "pytest")
    lines = [line for line in EXTRAS["dev"] if Requirement(line).name in tools]
    session.install("-e", ".[local]", client, *lines)
    session.run("pytest", "tests/gateway", *session.posargs, env={"CELONIS_FRAMES_CLIENT": client})


RECIPES = ("airflow", "dagster", "prefect", "dlt", "github_actions", "docker")


@nox.session
@nox.parametrize("recipe", RECIPES, ids=RECIPES)
def recipes(session: nox.Session, recipe: str) -> None:
    """A recipe of the docs, run by the real program: `nox -s "recipes(airflow)"`.

    Each in its own environment: the orchestrators require different versions of much.
    """
    _install_project(session, "recipes", f"recipe-{recipe.replace('_', '-')}")
    # Warnings are no errors there: the programs warn of themselves and of each other.
    test = f"tests/recipes/test_{recipe}.py"
    session.run("pytest", "-W", "default", test, *session.posargs)


@nox.session
def dask(session: nox.Session) -> None:
    """Dask's frames on a cluster of two worker processes, and what happens when they die."""
    _install_project(session, "dask")
    _test_dask(session)


@nox.session(python=PYTHONS[0])
def dask_lower(session: nox.Session) -> None:
    """The same on the lowest Dask and pandas that pyproject.toml allows."""
    tools = nox.project.dependency_groups(PYPROJECT, "dask")
    session.install("-e", ".", *tools, *_lowest("dask", "pandas"))
    _test_dask(session)


@nox.session
def ray(session: nox.Session) -> None:
    """Ray's Datasets, with worker processes that are killed; the data sink is experimental."""
    session.install("-e", ".[local,ray]", "hypothesis", "psutil", "pytest")
    session.run("pytest", "tests/distributed/test_ray.py", *session.posargs)


@nox.session
@nox.parametrize("library", ["daft", "ibis-framework[duckdb]", "modin[dask]"])
def engines(session: nox.Session, library: str) -> None:
    """The recipe for an engine in docs/distributed.md, beside the engine."""
    session.install("-e", ".[local,pandas]", library, "hypothesis", "psutil", "pytest")
    name = library.partition("[")[0].partition("-")[0]
    session.run(
        "pytest", "tests/distributed/test_recipes.py", *session.posargs,
        env={"CELONIS_FRAMES_ENGINE": name},
    )  # fmt: skip


def _test_dask(session: nox.Session) -> None:
    core = "--ignore=tests/distributed/test_core.py"  # in the suite
    session.run("pytest", "tests/distributed", core, *session.posargs)


@nox.session
def spark(session: nox.Session) -> None:
    """Spark's frames, its data source and streams, on a cluster of processes; the notebook too."""
    _need_java(session)
    _install_project(session, "spark")
    # Each process has a cluster of its own, and waits for it most of the time.
    session.run("pytest", "-n", "2", "--dist", "loadfile", "tests/spark", *session.posargs)


@nox.session
@nox.parametrize("version", ["3.5.*", "4.0.*", "4.1.*", "4.*"])
def spark_versions(session: nox.Session, version: str) -> None:
    """The same on the oldest and on other versions of Spark, with the slow tests."""
    _need_java(session)
    _install_project(session, "spark")
    # Spark 3 needs NumPy 1, which newer versions of pyarrow do not take.
    arrow = ["pyarrow<25"] if version[0] == "3" else []
    session.install(f"pyspark[connect,sql]=={version}", *arrow)
    # What other versions warn of, such as their own open sockets, is no error.
    session.run(
        "pytest", "-W", "default", "tests/spark", "-m", "slow or not slow", *session.posargs
    )


@nox.session
def bare(session: nox.Session) -> None:
    """Without any extra a plan works, and `celonis_frames.local` says which extra it needs."""
    session.install(".")
    session.run("python", "-I", "-c", BARE, log=False)  # -I: the installed package, not ./


@nox.session
@nox.parametrize("versions", ["lowest", "newest"])
@nox.parametrize("libraries", ["", "pandas", "polars", "pandas,polars"])
def wheel(session: nox.Session, libraries: str, versions: str) -> None:
    """The wheel pushes frames without the source tree, with each combination of libraries."""
    names = [name for name in libraries.split(",") if name]
    extras = ("local", *names)
    pins = _lowest(*extras) if versions == "lowest" else []
    session.install(f"{_built(session)}[{','.join(extras)}]", *pins)
    shutil.copy("tests/packaging/installed.py", _scratch().name)
    session.chdir(_scratch().name)
    session.run("python", "-I", "installed.py", *names)


_scratch = functools.cache(tempfile.TemporaryDirectory)
"""A folder for this run of nox."""


def _built(session: nox.Session) -> Path:
    """The wheel, built by way of the sdist from a copy of the tree, which is then deleted."""
    folder = Path(_scratch().name)
    if not list(folder.glob("*.whl")):
        ignored = shutil.ignore_patterns(".*", "_build", "dist", "__pycache__")
        source = shutil.copytree(".", folder / "source", ignore=ignored)
        session.install(*nox.project.dependency_groups(PYPROJECT, "build"))
        session.run("python", "-m", "build", "--outdir", str(folder), str(source))
        shutil.rmtree(source)
    (wheel,) = folder.glob("*.whl")
    return wheel


@nox.session(python=PYTHONS[0])
def lower(session: nox.Session) -> None:
    """The tests on the lowest Python and the lowest dependencies that pyproject.toml allows."""
    if session.venv_backend == "none":
        session.error("the lowest dependencies need an environment of their own")
    extras = ("excel", "ingestion", "keyring", "pandas", "polars", "local")
    tools = (
        "pytest", "pytest-xdist", "hypothesis", "ipython", "keyrings.alt", "opentelemetry-sdk",
        "psutil", "trustme", "xlsxwriter",
    )  # fmt: skip
    session.install(
        "-e", f".[{','.join(extras)}]",
        *(line for line in EXTRAS["dev"] if Requirement(line).name in tools),
        *_lowest(*extras),
    )  # fmt: skip
    # These need more tools, and say nothing of the dependencies.
    without = ("tests/browser", "tests/docs", "tests/typing", "tests/*/test_fuzz.py")
    ignored = (f"--ignore-glob={path}" for path in without)
    session.run("pytest", "-q", *PROCESSES, *ignored, *session.posargs)


def _need_java(session: nox.Session) -> None:
    if shutil.which("java") is None:
        session.error("Spark needs Java 17: install it with `apt-get install default-jre-headless`")


def _install_project(session: nox.Session, *groups: str) -> None:
    """Install the project, editable, with groups of its tools."""
    session.install("-e", ".", *nox.project.dependency_groups(PYPROJECT, *groups))


def _lowest(*extras: str) -> list[str]:
    """The lowest versions that the project and these extras allow, as exact pins."""
    lines = [
        *PYPROJECT["project"]["dependencies"],
        *(one for name in extras for one in EXTRAS[name]),
    ]
    return [_pin(line) for line in lines]


def _pin(line: str) -> str:
    """The lowest version that a requirement allows, as an exact pin.

    Two numbers name the first release of a minor version: 2.2 is 2.2.0 to pip.
    """
    requirement = Requirement(line)
    bounds = [bound.version for bound in requirement.specifier if bound.operator == ">="]
    if len(bounds) != 1:
        raise SystemExit(f"{line!r} names no lower bound")
    requirement.specifier = SpecifierSet(f"=={bounds[0]}")
    return str(requirement)
