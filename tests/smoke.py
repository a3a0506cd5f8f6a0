"""Run the product end to end on drawn clips, in minutes: ``python -m tests.smoke``, or ``make smoke``.

Draw clips, extract them with two workers, verify the cache, train, evaluate, then run the quick tests
of frames, store and runner. It serves to try one Python, or one set of package versions. The first step that
fails ends it with the exit code of that step.
"""

import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.datasets.synthetic import SyntheticConfig, write_synthetic

ROOT = Path(__file__).parents[1]
CLIPS = SyntheticConfig(num_clips=28, num_frames=8)
MODELS = (
    "--detector", "haar", "--encoder", "ViT-S-32", "--encoder-weights", "random", "--precision", "fp32",
    "--frames", "4",
)  # fmt: skip
TESTS = (
    "test_frame_folders", "test_frame_sampling", "test_container", "test_frames", "test_pool",
    "test_create", "test_export", "test_reader", "test_schema", "test_writer",
    "test_cluster", "test_cluster_executor", "test_dispatch", "test_executor_options", "test_growth",
    "test_local_executor", "test_runner",
)  # fmt: skip


def main() -> int:
    """Run every step; the exit code of the first one that fails, else 0."""
    print(f"Python {platform.python_version()}; {_other_versions() or 'versions of requirements.lock'}")
    with tempfile.TemporaryDirectory(prefix="ous-smoke-") as folder:
        work = Path(folder)
        write_synthetic(work / "clips", CLIPS)
        cache, run = str(work / "feats.zarr"), str(work / "run")
        data = ("--dataset", "synthetic", "--root", str(work / "clips"), "--cache", cache)
        steps = (
            ("cli.py", "extract", *data, *MODELS, "--workers", "2", "--strict"),
            ("cli.py", "cache", "verify", cache, "--sample", "2"),
            ("cli.py", "train", "--cache", cache, "--run", run, "--preset", "smoke",
             "--set", "schedule.max_epochs=2", "--device", "cpu"),
            ("cli.py", "evaluate", run, "--device", "cpu", "--json"),
        )  # fmt: skip
        for step in steps:
            code, printed = _ran(step)
            if code:
                return code
        measured = json.loads(printed)
        print(f"WAR {measured['war']:.1%} of {measured['num_clips']} test clips")
    quick = ("-q", "-n", "logical", "--dist", "loadfile", "-m", "not slow")
    code, _ = _ran(("-m", "pytest", *quick, *(f"tests/{name}.py" for name in TESTS)))
    return code


def _ran(arguments: tuple[str, ...]) -> tuple[int, str]:
    """Run Python with these arguments in the checkout; exit code and standard output."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode or arguments[0] == "-m":
        print(done.stdout)
    print(f"{done.returncode:3d}  {time.monotonic() - began:5.1f} s  {' '.join(arguments[:4])}", flush=True)
    return done.returncode, done.stdout


def _other_versions() -> str:
    """The installed packages whose version is not that of requirements.lock."""
    locked = re.findall(r"^([\w.-]+)==([^ ;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    wanted: dict[str, set[str]] = {}
    for name, at in locked:
        wanted.setdefault(name, set()).add(at)
    found = []
    for name, versions in wanted.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue
        if installed not in versions:
            found.append(f"{name} {installed} (locked {', '.join(sorted(versions))})")
    return "; ".join(found)


if __name__ == "__main__":
    sys.exit(main())
