"""Commands of the product in processes of their own."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu_steps.context import ROOT


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """Seconds of a command, with the load of models, and the JSON document that it printed."""

    seconds: float
    document: dict[str, Any]


def run_command(*arguments: object) -> CommandResult:
    """Run `cli.py` with these arguments and ``--json``.

    Raises RuntimeError with the last line of its errors if it fails.
    """
    command = [sys.executable, "cli.py", *map(str, arguments), "--json"]
    sys.stdout.write(f"$ {' '.join(command)}\n")
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    sys.stdout.write(done.stderr + done.stdout)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        msg = f"cli.py {arguments[0]} ended with exit code {done.returncode}: {last}"
        raise RuntimeError(msg)
    return CommandResult(seconds=seconds, document=json.loads(done.stdout))
