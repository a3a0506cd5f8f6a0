"""Comparison of results in a directory with this machine, code and options; all are published together.

`python -m benchmarks.gpu_steps.same_run OPTIONS` prints the differences in one line, if there are any.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.gpu_steps.child import RESULTS
from benchmarks.gpu_steps.plan import STEPS
from benchmarks.gpu_steps.records import read_rows
from benchmarks.gpu_steps.summary import ABOUT, flatten_numbers

_SETUP = STEPS[0].name
_MAY_DIFFER = ("date", "machine.load_average", "machine.gpus_of_the_machine")


def has_earlier_results(out: Path) -> bool:
    """Return whether the directory has results of a run; about.json without results is removed."""
    if any("numbers" in row and row["step"] != _SETUP for row in read_rows(out / RESULTS)):
        return (out / ABOUT).is_file()
    (out / ABOUT).unlink(missing_ok=True)
    return False


def list_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a text per value of about.json that differs between two runs, except date and load."""
    old, new = dict(flatten_numbers(dict(before))), dict(flatten_numbers(dict(now)))
    return [
        f"{name} is '{new.get(name, '')}', was '{old.get(name, '')}'"
        for name in {**old, **new}
        if name not in _MAY_DIFFER and old.get(name) != new.get(name)
    ]


def main() -> None:
    """Compare about.json of the output directory with this process."""
    from benchmarks.gpu_steps.context import Context
    from benchmarks.gpu_steps.options import GpuOptions
    from benchmarks.gpu_steps.records import Recorder
    from benchmarks.gpu_steps.setup import about_of

    options = GpuOptions.read(Path(sys.argv[1]))
    before = json.loads((options.out / ABOUT).read_text(encoding="utf-8"))
    now = about_of(Context(options, Recorder(options.out / RESULTS, "setup", 0.0)))
    sys.stdout.write("; ".join(list_differences(before, json.loads(json.dumps(now)))))


if __name__ == "__main__":
    main()
