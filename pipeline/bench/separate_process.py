"""Measurements in a process of their own, without the memory and threads of the bench."""

import json
import subprocess
from typing import Any

from pipeline import children
from pipeline.errors import OusError


def run_module(module: str, *arguments: object) -> dict[str, Any]:
    """Run a module of this program in a new process, and return the JSON document that it prints last.

    Args:
        module: Dotted name, such as ``pipeline.bench.baselines``.
        arguments: Arguments of its command line, each converted to text.

    Raises:
        OusError: The process failed; the message contains the last line of its standard error.
    """
    done = subprocess.run(
        children.command(module, *arguments),
        env=children.environment(num_threads=None), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        msg = f"{module} failed: {last}"
        raise OusError(msg)
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document
