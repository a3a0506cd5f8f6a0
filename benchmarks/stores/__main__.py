"""Command line: see the package."""

import argparse
import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from os import environ
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.scaling.requests import BUCKET, counting_server
from benchmarks.stores.access import BLOCK_CLIPS, check_rows, digest
from benchmarks.stores.peers import NAMES, ON_THE_CACHE
from benchmarks.stores.project import ProjectReader
from pipeline.bench.load import synthetic_cache
from pipeline.bench.result import about_this_run
from pipeline.store.location import Location

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "zarr==3.1.6", "zarrs==0.2.3", "tensorstore==0.1.86", "pylance==14.0.2", "pyarrow==26.0.1",
    "obstore==0.12.1", "numpy==2.4.6",
)  # fmt: skip
PROJECT = "this project"
STORES = (PROJECT, *NAMES)
_IN_A_BUCKET = tuple(name for name in STORES if name not in ("zarrs", "memmap"))
_CLIP_BYTES, _SPARE_BYTES = 16 * (2 * 768 + 4 * 3 * 1024) * 2, 2e9
_SHOWN = 600
"""Characters of a child's errors that a message shows."""


class Children:
    """Processes that write and read stores.

    Args:
        python: Interpreter of the peers' environment.
    """

    def __init__(self, python: Path) -> None:
        self._python = python

    def write(self, name: str, cache: Path, path: Path) -> None:
        """Copy a cache into another store. Raises RuntimeError with the last lines of its errors."""
        self._run([*self._command(name), "write", str(cache), str(path)], "")

    def measure(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of reading a store. Raises RuntimeError with the last lines of its errors."""
        text = self._run(self._reading(name), json.dumps({**options, "counted": False}) + "\n")
        result: dict[str, Any] = json.loads(text.splitlines()[-1])
        return result

    def count(
        self, name: str, options: Mapping[str, Any], since: Callable[[int], dict[str, int]]
    ) -> dict[str, Any]:
        """Return the counts of each phase of reading a store in a bucket.

        Args:
            name: The store.
            options: Options of the child.
            since: Function that returns the counts of the requests from a number on, of which the key ``all``
                is the number of all requests.
        """
        counts, start = {}, since(0)["all"]
        with subprocess.Popen(
            self._reading(name), cwd=ROOT, env=_environment(), text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as child:  # fmt: skip
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stderr is not None
            child.stdin.write(json.dumps({**options, "counted": True}) + "\n")
            child.stdin.flush()
            for line in child.stdout:
                found = since(start)
                counts[json.loads(line)], start = found, found["all"]
                child.stdin.write("\n")
                child.stdin.flush()
            errors = child.stderr.read()
        if child.returncode:
            msg = f"{name} in a bucket: {errors[-_SHOWN:]}"
            raise RuntimeError(msg)
        return counts

    def versions(self) -> dict[str, str]:
        """Return the versions of the peers' packages."""
        names = [package.partition("==")[0] for package in PACKAGES]
        code = (
            f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {names!r}}}))"
        )
        found: dict[str, str] = json.loads(self._run([str(self._python), "-c", code], ""))
        return found

    def _command(self, name: str) -> list[str]:
        return [str(self._python), "-m", "benchmarks.stores.peers", name]

    def _reading(self, name: str) -> list[str]:
        if name == PROJECT:
            return [sys.executable, "-m", "benchmarks.stores.project"]
        return [*self._command(name), "read"]

    def _run(self, command: list[str], text: str) -> str:
        done = subprocess.run(
            command, cwd=ROOT, env=_environment(), input=text, capture_output=True, text=True, check=False
        )  # fmt: skip
        if done.returncode:
            msg = f"{' '.join(command[1:5])}: {done.stderr[-_SHOWN:]}"
            raise RuntimeError(msg)
        return done.stdout


def _environment() -> dict[str, str]:
    return {**environ, "PYTHONPATH": str(ROOT), "AWS_ALLOW_HTTP": "true"}


def make_environment(folder: Path) -> Path:
    """Return the interpreter of the peers' environment, which is made if it is not there."""
    python = folder / "bin" / "python"
    if not python.is_file():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def options_of(cache: Path, args: argparse.Namespace, num_clips: int) -> dict[str, Any]:
    """Return the options of all children, with the hashes of some clips."""
    reader = ProjectReader(str(cache))
    expected = [digest(reader.batch(np.array([row]))) for row in check_rows(num_clips)]
    sizes = {"single": args.single, "batches": args.batches, "turns": args.turns}
    return {"clips": num_clips, **sizes, "expected": expected}


def local(children: Children, args: argparse.Namespace) -> dict[str, Any]:
    """Measure every store on the local disk, one after the other. Copies are removed."""
    cache, found = args.work / "feats.zarr", {}
    synthetic_cache(cache, args.clips)
    options = options_of(cache, args, args.clips)
    for name in args.only:
        copy, where = args.work / "copy", cache
        if name not in (PROJECT, *ON_THE_CACHE):
            children.write(name, cache, copy)
            where = copy
        try:
            found[name] = children.measure(name, {**options, "where": str(where)})
        finally:
            shutil.rmtree(copy, ignore_errors=True)
        sys.stderr.write(f"{name}: {_line(found[name])}\n")
    shutil.rmtree(cache)
    return found


def _line(result: dict[str, Any]) -> str:
    seconds = result["seconds_per_clip"]
    parts = [
        f"{name} {state} {1e3 * median(s):.2f} ms" for name, of in seconds.items() for state, s in of.items()
    ]
    return ", ".join(parts)


def in_a_bucket(children: Children, args: argparse.Namespace) -> dict[str, Any]:
    """Count requests and bytes of every store in a bucket of a local test server."""
    cache, copy, found = args.work / "feats.zarr", args.work / "copy", {}
    synthetic_cache(cache, args.s3_clips)
    options = options_of(cache, args, args.s3_clips)
    options["single"] = min(args.single, args.s3_clips // BLOCK_CLIPS)
    with counting_server() as log:

        def since(start: int) -> dict[str, int]:
            return {**log.since(start), "all": len(log.requests)}

        for name in args.only:
            if name not in _IN_A_BUCKET:
                continue
            if name not in (PROJECT, *ON_THE_CACHE):
                children.write(name, cache, copy)
            where = f"s3://{BUCKET}/{name.replace(' ', '-')}/feats"
            _upload(copy if copy.exists() else cache, where)
            shutil.rmtree(copy, ignore_errors=True)
            found[name] = children.count(name, {**options, "where": where}, since)
            sys.stderr.write(f"{name} in a bucket: {found[name]}\n")
    shutil.rmtree(cache)
    return {"clips": args.s3_clips, "single": options["single"], "stores": found}


def _upload(folder: Path, where: str) -> None:
    store = Location(where).object_store()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put(path.relative_to(folder).as_posix(), path)


def main() -> None:
    """Measure all stores and write the result."""
    parser = argparse.ArgumentParser(description="Reading of features from this cache and from other stores.")
    parser.add_argument(
        "--work", type=Path, required=True, help="directory to make; stores in it are removed"
    )
    parser.add_argument("--clips", type=int, default=9_356, help="clips of the local stores [9356]")
    parser.add_argument("--single", type=int, default=100, help="single clips of a turn [100]")
    parser.add_argument("--batches", type=int, default=10, help="batches of 16 clips of a turn [10]")
    parser.add_argument("--turns", type=int, default=3, help="turns [3]")
    parser.add_argument(
        "--s3-clips", type=int, default=256, help="clips in the bucket, 0 for no bucket [256]"
    )
    parser.add_argument("--only", nargs="+", choices=STORES, default=list(STORES), help="stores [all]")
    parser.add_argument("--env", type=Path, help="the peers' environment, made if it is not there [WORK/env]")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    needed, free = 2 * args.clips * _CLIP_BYTES + _SPARE_BYTES, shutil.disk_usage(args.work).free
    if free < needed:
        parser.error(f"--clips {args.clips} needs {needed / 1e9:.1f} GB in --work; {free / 1e9:.1f} are free")
    about = about_this_run({}, {name: value for name, value in vars(args).items() if name != "out"})
    children = Children(make_environment(args.env or args.work / "env"))
    result = dict(about)
    result["versions"] |= {f"peers: {name}": version for name, version in children.versions().items()}
    result["clip_bytes"], result["local"] = _CLIP_BYTES, local(children, args)
    if args.s3_clips:
        result["bucket"] = in_a_bucket(children, args)
    text = json.dumps(result, indent=1) + "\n"
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
