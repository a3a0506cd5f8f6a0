"""The usual ways, from the scripts under benchmarks/: they come with the code, not with the package."""

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

from pipeline.bench.result import ROOT
from pipeline.errors import ConfigError, OusError


def usual_way(name: str) -> Any:
    """The script `benchmarks/NAME.py` as a module. Raises ConfigError where there is none."""
    path = ROOT / "benchmarks" / f"{name}.py"
    if not path.is_file():
        msg = f"'{path}' is missing: the bench compares with the scripts of a checkout; run it from one."
        raise ConfigError(msg)
    spec = importlib.util.spec_from_file_location(f"benchmarks.{name}", path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _environment() -> dict[str, str]:
    """Return this process's environment, in which ``-m`` finds the checkout as the current directory."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}


def run_script(name: str, arguments: list[str]) -> dict[str, Any]:
    """What `benchmarks/NAME.py` prints when it runs in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments],
        cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        msg = f"benchmarks/{name}.py failed: {last}"
        raise OusError(msg)
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document
