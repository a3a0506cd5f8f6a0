"""Mutate modules and run their own tests on every mutant: ``python -m tests.mutation trainer/optim.py``.

The mutants are those of mutmut's operators and of four more. mutmut's own runner does not fit: it leaves out
every decorated class and function, thus all dataclasses and properties, and `measurement.score`. Other
runners start a process for each mutant, which imports torch each time. Here each mutant runs in a forked
child, which inherits the imported libraries; its source is in memory only, so that no file changes.

tests/mutation.toml names the modules, their tests, and the survivors that are explained.
"""

import argparse
import contextlib
import difflib
import gc
import importlib
import importlib.abc
import importlib.util
import itertools
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libcst as cst
import pytest
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators, operator_string

ROOT = Path(__file__).parents[1]
CONFIG = Path(__file__).with_suffix(".toml")
PRELOADED = (
    "h5py", "hypothesis.strategies", "matplotlib.figure", "open_clip", "PIL.Image", "safetensors.torch",
    "scipy.stats", "torch", "torch.utils.tensorboard", "torchmetrics.functional.classification", "zarr",
    "pipeline.clip_model", "pipeline.runner", "pipeline.store.reader", "pipeline.store.writer",
)  # fmt: skip
"""What the tests import beside `trainer`, which must be imported after the fork."""
UNCHANGED_CALLS = ("len", "isinstance")
WAIT_SECONDS = 600
"""For a mutant that waits for ever; for one that works for ever, see `run`."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One fault. change: the lines that differ, "before -> after". source: of the whole module."""

    line: int
    change: str
    source: str


def mutants_of(source: str) -> list[Mutant]:
    """Every mutant of a module's source, in the order of its lines; none is like another."""
    wrapper = MetadataWrapper(cst.parse_module(source))
    places: Any = wrapper.resolve(PositionProvider)
    found: dict[str, Mutant] = {}
    for statement in wrapper.module.body:
        before = wrapper.module.code_for_node(statement)
        for node, changed in _changes(statement):
            after = wrapper.module.code_for_node(statement.deep_replace(node, changed))
            mutated = source.replace(before, after, 1)
            with contextlib.suppress(SyntaxError):
                compile(mutated, "mutant", "exec")
                line = places[node].start.line if node in places else places[statement].start.line
                found.setdefault(
                    mutated, Mutant(line=line, change=_difference(before, after), source=mutated)
                )
    found.pop(source, None)
    return sorted(found.values(), key=lambda mutant: mutant.line)


def _changes(node: cst.CSTNode) -> Iterator[tuple[cst.CSTNode, cst.CSTNode]]:
    """Nodes within a node, each with another one that can take its place."""
    if isinstance(node, cst.Annotation | cst.Import | cst.ImportFrom):
        return
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value in UNCHANGED_CALLS:
        return
    for kind, operator in OPERATORS:
        if isinstance(node, kind):
            for changed in operator(node):
                yield node, changed
    for child in node.children:
        yield from _changes(child)


def _other_string(node: cst.SimpleString) -> Iterator[cst.CSTNode]:
    """A name of something; a text for people, known by a blank, stays as it is."""
    if " " not in node.value and len(node.raw_value) and not node.quote.startswith(('"""', "'''")):
        yield node.with_changes(value=f"{node.prefix}{node.quote}XX{node.raw_value}XX{node.quote}")


def _no_call(node: cst.SimpleStatementLine) -> Iterator[cst.CSTNode]:
    if (
        len(node.body) == 1
        and isinstance(node.body[0], cst.Expr)
        and isinstance(node.body[0].value, cst.Call)
    ):
        yield node.with_changes(body=[cst.Pass()])


def _no_value(node: cst.Return) -> Iterator[cst.CSTNode]:
    if node.value is not None and not (isinstance(node.value, cst.Name) and node.value.value == "None"):
        yield node.with_changes(value=cst.Name("None"))


def _negated(node: cst.If | cst.IfExp | cst.CompIf) -> Iterator[cst.CSTNode]:
    if not (isinstance(node.test, cst.UnaryOperation) and isinstance(node.test.operator, cst.Not)):
        test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        yield node.with_changes(test=cst.UnaryOperation(operator=cst.Not(), expression=test))


OPERATORS = (
    *(pair for pair in mutation_operators if pair[1] is not operator_string),
    (cst.SimpleString, _other_string),
    (cst.SimpleStatementLine, _no_call),
    (cst.Return, _no_value),
    (cst.If, _negated),
    (cst.IfExp, _negated),
    (cst.CompIf, _negated),
)


def _difference(before: str, after: str) -> str:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0))[2:]
    old, new = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return f"{old} -> {new}"


class _InMemory(importlib.abc.SourceLoader, importlib.abc.MetaPathFinder):
    """Import one module from a source in memory."""

    def __init__(self, path: str, source: str) -> None:
        self._path, self._source = path, source

    def find_spec(self, name: str, *_: object) -> Any:
        own = name == self._path.removesuffix(".py").replace("/", ".")
        return importlib.util.spec_from_file_location(name, self._path, loader=self) if own else None

    def get_filename(self, _: str) -> str:
        return str(ROOT / self._path)

    def get_data(self, path: str) -> bytes:
        if path != str(ROOT / self._path):
            raise OSError(path)
        return self._source.encode()


def passes(path: str, source: str, tests: Sequence[str], limit: int, *, shown: bool = False) -> bool:
    """Whether the tests pass on this source of a module, within `limit` seconds of processor time."""
    with tempfile.TemporaryDirectory(prefix="ous-mutation-") as folder:
        child = os.fork()
        if child == 0:
            _test(path, source, tests, folder, limit, shown)
        until = time.monotonic() + WAIT_SECONDS
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status == 0
            if time.monotonic() > until:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return False
            time.sleep(0.02)


def _test(path: str, source: str, tests: Sequence[str], folder: str, limit: int, shown: bool) -> None:
    """Run the tests in this process, and end it."""
    code = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        if not shown:
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        sys.meta_path.insert(0, _InMemory(path, source))
        plugins = [
            f"-pno:{name}" for name in ("cacheprovider", "logging", "threadexception", "unraisableexception")
        ]
        options = ["-x", "-q", "--assert=plain", f"--basetemp={folder}/tests", "-m", "not slow and not gpu"]
        code = int(pytest.main([*plugins, *options, *(str(ROOT / name) for name in tests)]))
    except BaseException:  # noqa: BLE001  # the child ends here, whatever happens
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


@dataclass(kw_only=True)
class Tally:
    """Of one module. explained: survivors that tests/mutation.toml names."""

    tests: Sequence[str]
    mutants: int = 0
    killed: int = 0
    explained: int = 0
    survived: int = 0


def run(chosen: Iterable[tuple[str, Mutant]], tallies: dict[str, Tally], explained: Container[str]) -> None:
    """Run the tests of each mutant's module on it, and print the survivors.

    A mutant may take ten seconds of processor time, and five times what the original takes.
    """
    limits: dict[str, int] = {}
    for path, mutant in chosen:
        tally = tallies[path]
        if path not in limits:
            before = _cpu_seconds()
            if not passes(path, (ROOT / path).read_text(encoding="utf-8"), tally.tests, 600, shown=True):
                sys.exit(f"The tests of {path} fail without a mutant: {' '.join(tally.tests)}.")
            limits[path] = int(10 + 5 * (_cpu_seconds() - before))
        tally.mutants += 1
        if not passes(path, mutant.source, tally.tests, limits[path]):
            tally.killed += 1
        elif f"{path}: {mutant.change}" in explained or f"any: {mutant.change}" in explained:
            tally.explained += 1
        else:
            tally.survived += 1
            print(f"survived: {path}:{mutant.line}: {mutant.change}", flush=True)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "modules", nargs="*", help="trainer/optim.py, ... (default: all of tests/mutation.toml)"
    )
    parser.add_argument(
        "--sample", type=int, help="take so many mutants, drawn from all modules (default: all)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    parser.add_argument("--minutes", type=float, default=60, help="end after so many minutes (default: 60)")
    parser.add_argument(
        "--again", type=Path, help="take the survivors of an earlier call, whose output this is"
    )
    return parser.parse_args()


def main() -> int:
    """Exit code 1 if a mutant survived that is not explained."""
    config = tomllib.loads(CONFIG.read_text(encoding="utf-8"))
    given = _arguments()
    modules = given.modules or list(config["tests"])
    mutants = [
        (path, mutant) for path in modules for mutant in mutants_of((ROOT / path).read_text(encoding="utf-8"))
    ]
    if given.again:
        before = re.sub(r":\d+:", ":", given.again.read_text(encoding="utf-8")).splitlines()
        mutants = [
            (path, mutant) for path, mutant in mutants if f"survived: {path}: {mutant.change}" in before
        ]
    random.Random(given.seed).shuffle(mutants)
    del mutants[given.sample or len(mutants) :]
    mutants.sort(key=lambda item: modules.index(item[0]))
    until = time.monotonic() + 60 * given.minutes
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # collections in the children then leave out what is imported
    tallies = {path: Tally(tests=config["tests"][path]) for path in modules}
    explained = [mutant for group in config["explained"] for mutant in group["mutants"]]
    run(itertools.takewhile(lambda _: time.monotonic() < until, mutants), tallies, explained)
    for path, tally in tallies.items():
        print(f"{path:20} {tally.mutants:4} mutants, {tally.killed:4} killed, {tally.explained:3} explained, "
              f"{tally.survived:3} survived")  # fmt: skip
    print(f"{sum(tally.mutants for tally in tallies.values())} of {len(mutants)} mutants in the time given")
    return int(any(tally.survived for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
