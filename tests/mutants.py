"""Many damaged files, each read in a forked process with little memory, so that a crash names its file.

$OUS_TEST_ROUNDS: how many rounds of 200 or 300 files the slow tests take, [2].
"""

import os
import random
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

ROUNDS = int(os.environ.get("OUS_TEST_ROUNDS", "2"))
LIMIT_BYTES = 3 << 30
"""Of address space beyond what the child has once its libraries are loaded."""

_SECONDS_PER_FILE = 20
_SECONDS_UNTRIED = 3
"""The library hangs on some files, until it is ended; others take a tenth of a second."""
_DIED = "died:"
_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0x10000)


def mutate(content: bytes, seed: int) -> bytes:
    """The content with a few bytes, numbers or stretches of it changed; the same ones for a seed."""
    chance = random.Random(seed)
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 12))):
        # half of the changes near the ends, where containers keep what they say of themselves
        near = min(len(data), 2000)
        place = chance.choice(
            (chance.randrange(len(data)), chance.randrange(near), len(data) - 1 - chance.randrange(near))
        )
        kind = chance.randrange(6)
        if kind == 0:
            data[place] = chance.randrange(256)
        elif kind == 1:
            width, order = chance.choice((1, 2, 4, 8)), chance.choice(("big", "little"))
            number = chance.choice(_NUMBERS) & (256**width - 1)
            data[place : place + width] = number.to_bytes(width, order)
        elif kind == 2:
            data[place] ^= 1 << chance.randrange(8)
        elif kind == 3:
            del data[place : place + chance.choice((1, 4, 100))]
        elif kind == 4:
            start = chance.randrange(len(data))
            data[place:place] = data[start : start + chance.choice((4, 16, 300))]
        else:
            data[place:] = data[place : place + chance.choice((0, len(data)))]
        if len(data) < 8:
            return bytes(data) or b"\0"
    return bytes(data)


@dataclass
class Outcomes:
    """What became of the files: told by the reader, or those at which it died, with the reason."""

    told: dict[str, str] = field(default_factory=dict)
    deaths: dict[str, str] = field(default_factory=dict)


def read_in_children(reader: str, paths: Sequence[Path]) -> Outcomes:
    """Let `reader` (a key of those in `main`) have each file, in a process of its own that may die of it."""
    outcomes = Outcomes()
    if not paths:
        return outcomes
    child = subprocess.run(
        [sys.executable, "-m", "tests.mutants", reader, *map(str, paths)],
        capture_output=True,
        timeout=120 + _SECONDS_PER_FILE * len(paths),
        cwd=Path(__file__).parent.parent,
        check=False,
    )
    for line in child.stdout.decode().splitlines():
        path, _, what = line.partition("\t")
        if what.startswith(_DIED):
            outcomes.deaths[path] = f"{what}, of all: {child.stderr[-300:]!r}"
        else:
            outcomes.told[path] = what
    if len(outcomes.told) + len(outcomes.deaths) != len(paths):
        msg = f"exit {child.returncode}: {child.stderr[-300:]!r}"
        raise RuntimeError(msg)
    return outcomes


def _decoded(path: Path) -> str:
    from pipeline.frames import FrameConfig
    from pipeline.frames.requests import DecodeJob, decode_job
    from pipeline.types import ClipFailed

    job = DecodeJob(
        path=path, config=FrameConfig(num_frames=4), start_seconds=0.35 if "window" in path.name else None
    )
    answer = decode_job(job)
    return f"failed {answer.stage} {answer.reason!r}" if isinstance(answer, ClipFailed) else "done"


def _read_cache_without_trial(path: Path) -> str:
    """As `_read_cache`, faster: this process is the child that may die of it."""
    from pipeline.store import reader

    signal.alarm(_SECONDS_UNTRIED)
    reader.require_harmless = lambda *_: None
    return _read(path)


def _read_cache(path: Path) -> str:
    from pipeline.store import hdf5_probe

    hdf5_probe._SECONDS = _SECONDS_UNTRIED
    return _read(path)


def _read(path: Path) -> str:
    from pipeline.errors import CacheError
    from pipeline.store.reader import FeatureCache

    try:
        with FeatureCache.open(path) as cache:
            for spec in cache.meta.arrays():
                cache.read(spec.name)
    except CacheError as error:
        return f"failed {error!r}"
    return "done"


def _read_and_exit(read: Callable[[Path], str], path: str) -> NoReturn:
    """Print the path and the answer; end this process, with 1 after any exception."""
    signal.alarm(_SECONDS_PER_FILE)  # its default is to end the process, wherever it hangs
    code = 1
    try:
        print(f"{path}\t{read(Path(path))}", flush=True)  # noqa: T201 - to the parent
        code = 0
    except BaseException:  # noqa: BLE001 - whatever it is, a forked process must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    """Read the files named on the command line, each in a fork; a line for each on standard output."""
    reader, *paths = sys.argv[1:]
    read = {"videos": _decoded, "caches": _read_cache, "caches_untried": _read_cache_without_trial}[reader]
    if reader == "videos":  # loaded once for all forks, and before memory is measured
        import pipeline.frames.requests
    else:
        import pipeline.store.reader  # noqa: F401

    with Path("/proc/self/statm").open() as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT_BYTES, used + LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for path in paths:
        child = os.fork()
        if not child:
            _read_and_exit(read, path)
        if status := os.waitpid(child, 0)[1]:
            code = os.waitstatus_to_exitcode(status)
            print(f"{path}\t{_DIED} exit {code}", flush=True)  # noqa: T201 - to the parent


if __name__ == "__main__":
    main()
