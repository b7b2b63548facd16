"""Guards taken out of the machine, one at a time: the simulation must find each."""

from __future__ import annotations
import __future__

import ast
import contextlib
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

from celonis_frames._jobs import actions, delivery_state, finding, guards, machine
from celonis_frames._jobs import commands as c
from celonis_frames._jobs import reconcile as pure
from celonis_frames._jobs.commands import State
from simulation import calls
from simulation import process as processes
from simulation.process import Process
from simulation.stage import holds_lease

_MODULES = (delivery_state, guards, actions, finding)
"""Those that use the pure functions and the times."""
_WORDING = frozenset({"_mismatch"})
"""Functions that only make messages."""


class Mutant(NamedTuple):
    """A change of the code under test; `what` names the guard that is gone."""

    where: str
    what: str
    protects: str
    changes: tuple[tuple[Any, str, Any], ...]

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The change, within the block."""
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in self.changes]
        for owner, name, value in self.changes:
            setattr(owner, name, value)
        try:
            yield
        finally:
            for owner, name, value in before:
                setattr(owner, name, value)


def mutants() -> list[Mutant]:
    """All of them."""
    return [*_by_hand(), *_of_the_table(), *_of_conditions(pure)]


def _of_the_table() -> Iterator[Mutant]:
    """Each guarded row without its guard: never taken, or always."""
    for position, row in enumerate(machine.TABLE):
        if row.guard is None:
            continue
        event = row.event.__name__ if row.event else "no event"
        where = f"{row.state}, {event}"
        protects = (row.guard.__doc__ or "").split("\n")[0]
        never, always = list(machine.TABLE), list(machine.TABLE)
        del never[position]
        always[position] = row._replace(guard=None)
        for word, rows in (("never", never), ("always", always)):
            yield Mutant(where, f"{word} `{row.guard.__name__}`", protects, (_table(rows),))


def _table(rows: list[Any]) -> tuple[Any, str, Any]:
    table: dict[Any, list[Any]] = {}
    for row in rows:
        table.setdefault((row.state, row.event), []).append(row)
    return machine, "_ROWS", table


def _of_conditions(module: ModuleType) -> Iterator[Mutant]:
    """Each condition of a module's functions: never, always, and without each of its parts."""
    source = inspect.getsource(module)
    for function in ast.parse(source).body:
        if not isinstance(function, ast.FunctionDef) or function.name in _WORDING:
            continue
        for position, node in enumerate(ast.walk(function)):
            for what, change in _changes(node):
                tree = ast.parse(source)
                same = next(
                    f for f in tree.body
                    if isinstance(f, ast.FunctionDef) and f.name == function.name
                )  # fmt: skip
                change(list(ast.walk(same))[position])
                yield Mutant(
                    f"`{function.name}`", what, (ast.get_docstring(function) or "").split("\n")[0],
                    tuple(_replaced(module, tree)),
                )  # fmt: skip


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable[[Any], None]]]:
    if isinstance(node, ast.If | ast.IfExp):
        for word, value in (("never", False), ("always", True)):

            def set_test(other: Any, value: bool = value) -> None:
                other.test = ast.copy_location(ast.Constant(value=value), other.test)

            yield f"{word} `{ast.unparse(node.test)}`", set_test
    if isinstance(node, ast.BoolOp):
        for index, part in enumerate(node.values):

            def drop(other: Any, index: int = index) -> None:
                del other.values[index]
                if len(other.values) == 1:
                    other.values *= 2

            yield f"without `{ast.unparse(part)}`", drop


def _replaced(module: ModuleType, tree: ast.Module) -> Iterator[tuple[Any, str, Any]]:
    """The functions of the changed module, in every module that uses them."""
    namespace: dict[str, Any] = {**vars(module)}
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    flag = __future__.annotations.compiler_flag
    code = compile(ast.Module(functions, []), f"<mutant of {module.__name__}>", "exec", flags=flag)  # type: ignore[call-overload]
    exec(code, namespace)  # noqa: S102
    for function in functions:
        old, new = getattr(module, function.name), namespace[function.name]
        for user in _MODULES:
            if getattr(user, function.name, None) is old:
                yield user, function.name, new


def _by_hand() -> Iterator[Mutant]:
    """Steps that are no guards: records, the cancel before a new job, the lease, the sweep.

    And the order to end a batch of commands.
    """
    handle = (machine.DeliveryMachine, "handle")
    table = dict(processes._CARRY_OUT)

    def without(command: type, state: State | None = None) -> tuple[tuple[Any, str, Any], ...]:
        return ((*handle, _without(command, state)),)

    def instead(command: type, function: Any) -> tuple[tuple[Any, str, Any], ...]:
        return ((processes, "_CARRY_OUT", {**table, command: function}),)

    yield Mutant(
        "record", "no `submitting` before the submission", "", without(c.Record, State.SUBMITTING)
    )
    yield Mutant("record", "no record of the job", "", without(c.Record, State.UPLOADING))
    yield Mutant("record", "no record of a new creation", "", without(c.Record, State.CREATING))
    yield Mutant("uploads", "not stopped before the job is cancelled", "", without(c.StopUploads))
    yield Mutant("chunks", "not begun again for a new job", "", without(c.Restart))
    yield Mutant("cancel", "none before a new job", "", instead(c.Cancel, _no_cancel))
    yield Mutant("sweep", "none", "", instead(c.Sweep, _no_sweep))
    take = (processes, "take_lease", _take)
    yield Mutant("lease", "none", "", (take, *_lease(lambda *_: True)))
    for what, holds in (
        ("not checked before the submission", _holds_before_others),
        ("checked before the submission only", _holds_before_submission),
    ):
        yield Mutant("lease", what, "", _lease(holds))
    for what, kinds in (
        ("go on after one showed that another process has taken over", (c.Failed,)),
        ("go on after one failed", (c.TakenOver,)),
    ):
        yield Mutant("commands", what, "", ((c, "STOPPING", kinds),))
    yield Mutant("times", "no wait after a chunk in doubt was sent again", "", _soon_settled())
    for name, value, what in _TIMES:
        changes = tuple((user, name, value) for user in _MODULES if hasattr(user, name))
        yield Mutant("times", what, f"`{name}`", changes)


_TIMES = (
    ("LATE_SECONDS", 0.0, "no wait for late effects"),
    ("LAG_SECONDS", 0.0, "no wait for lists that lag"),
    ("SHORT_DELAYS", (), "a list that shows too little is read once"),
    ("LOST_DELAYS", (), "an upload without a response is lost at once"),
    ("STATE_DELAYS", (), "a submission without a response is lost at once"),
    ("RECOUNT_SECONDS", 1e9, "an old count is believed"),
    ("MAX_JOBS", 1, "one job only"),
    ("MAX_JOBS", 99, "jobs without end"),
)


def _without(command: type, state: State | None = None) -> Callable[[Any, Any, Any], Any]:
    handle = machine.DeliveryMachine.handle

    def changed(self: Any, event: Any, now: float) -> list[Any]:
        return [
            given for given in handle(self, event, now)
            if not (isinstance(given, command) and (state is None or given.state is state))
        ]  # fmt: skip

    return changed


def _soon_settled() -> tuple[tuple[Any, str, Any], ...]:
    def acknowledge(m: Any, e: c.Uploaded) -> Any:
        before = m.settled_at
        commands = actions.acknowledge(m, e)
        m.settled_at = before
        return commands

    return (
        _table(
            [
                row._replace(action=acknowledge) if row.action is actions.acknowledge else row
                for row in machine.TABLE
            ]
        ),
    )


def _no_cancel(self: Process, _: c.Cancel) -> None:
    self.read(0.0, lambda: c.JobCancelled("CANCELED"), c.Failed("unreachable"))


def _no_sweep(self: Process, _: c.Sweep) -> None:
    self.read(0.0, c.Swept, c.Failed("unreachable"))


def _take(process: Process) -> bool:
    assert process.stage is not None
    process.stage.holder = process
    process.stage.takers.append(process)
    return True


def _lease(holds: Callable[..., bool]) -> tuple[tuple[Any, str, Any], ...]:
    return (processes, "holds_lease", holds), (calls, "holds_lease", holds)


def _holds_before_others(process: Process, command: Any) -> bool:
    return _is_submitting(command) or holds_lease(process, command)


def _holds_before_submission(process: Process, command: Any) -> bool:
    return not _is_submitting(command) or holds_lease(process, command)


def _is_submitting(command: Any) -> bool:
    return isinstance(command, c.Record) and command.state is State.SUBMITTING
