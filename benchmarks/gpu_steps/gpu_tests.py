"""Step `gpu-tests`: tests with the mark gpu on this card. Without a card they are only collected."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from benchmarks.gpu_steps.context import ROOT, Context

_LISTED = 20


def run(context: Context) -> None:
    """Run the tests; if they fail, run them again with warnings that do not count as errors."""
    measure = context.results.measure
    files = marked_files(ROOT / "tests")
    measure("tests marked gpu, found", lambda: _collected(files))
    is_passed = measure(
        "tests marked gpu", lambda: _passed(files, context.options.out, ()), unless=context.unless_cuda
    )
    if context.is_cuda and not is_passed:
        measure(
            "tests marked gpu, warnings allowed",
            lambda: _passed(files, context.options.out, ("-W", "default")),
        )


def marked_files(tests: Path) -> list[str]:
    """Return the test files that contain the mark gpu."""
    return [str(path) for path in sorted(tests.glob("test_*.py")) if "pytest.mark.gpu" in path.read_text()]


def _pytest(files: list[str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu"]
    return subprocess.run(
        [*command, *arguments, *files], cwd=ROOT, capture_output=True, text=True, check=False
    )


def _collected(files: list[str]) -> dict[str, Any]:
    done = _pytest(files, "--collect-only")
    sys.stdout.write(done.stdout + done.stderr)
    tests = [line for line in done.stdout.splitlines() if "::" in line]
    if done.returncode or not tests:
        msg = f"pytest ended with exit code {done.returncode} and found {len(tests)} tests; see the log"
        raise RuntimeError(msg)
    return {"tests": len(tests)}


def _passed(files: list[str], out: Path, more: tuple[str, ...]) -> dict[str, Any]:
    """Run the tests. Raises RuntimeError if one fails, or pytest ends without a report."""
    report = out / "pytest.xml"
    report.unlink(missing_ok=True)
    done = _pytest(files, "--require-gpu", f"--junitxml={report}", *more)
    sys.stdout.write(done.stdout + done.stderr)
    if not report.is_file():
        msg = f"pytest ended with exit code {done.returncode} and wrote no report; see the log"
        raise RuntimeError(msg)
    cases = list(ET.parse(report).getroot().iter("testcase"))
    failed = [case.get("name", "") for case in cases if case.find("failure") is not None]
    failed += [case.get("name", "") for case in cases if case.find("error") is not None]
    if done.returncode:
        msg = f"{len(failed)} of {len(cases)} tests failed: {', '.join(failed[:_LISTED])}"
        raise RuntimeError(msg)
    return {"tests": len(cases), "failed": 0, "seconds": sum(float(case.get("time", 0)) for case in cases)}
