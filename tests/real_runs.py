"""Extractions as a user starts them: processes of their own, to be killed, interrupted and compared."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # conftest imports this file: models are imported where they are used
    from pipeline.types import DatasetIndex

ROOT = Path(__file__).parents[1]
FAULTY = Path(__file__).parent / "faulty_decoder"
MODELS = (
    "--detector", "boxes", "--encoder", "modest", "--encoder-weights", "random", "--precision", "fp32",
    "--frames", "4", "--set", "features.batch_pictures=8",
)  # fmt: skip
BLOCK_CLIPS = 8
CLIP_SECONDS = 0.6
"""What a noted clip takes its decoder: six blocks then take seconds, however fast the machine is."""
PATIENCE_SECONDS = 240
"""A busy machine is slow; nothing here takes a tenth of it on a quiet one."""


def command(root: Path, cache: Path, *more: str) -> list[str]:
    """The command line of an extraction with small models."""
    data = ("--dataset", "manifest", "--root", str(root), "--cache", str(cache))
    return [sys.executable, str(ROOT / "cli.py"), "extract", *data, *MODELS, *more]


def start(root: Path, cache: Path, *more: str, noted: Path | None = None) -> subprocess.Popen[str]:
    """An extraction in a process group of its own. noted: as in `slowed`.

    A shell lets what it starts in the background ignore Ctrl-C, and so would all that this process starts.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(FAULTY), str(ROOT)))}
    if noted is not None:
        env |= slowed(noted)
    return subprocess.Popen(
        command(root, cache, *more),
        env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def slowed(noted: Path) -> dict[str, str]:
    """The environment in which decoders note a clip's name in a file and then take `CLIP_SECONDS`."""
    return {"OUS_TEST_DECODED": str(noted), "OUS_TEST_CLIP_SECONDS": str(CLIP_SECONDS)}


def finish(run: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code of a run that is left alone, and all it said."""
    said, _ = run.communicate(timeout=PATIENCE_SECONDS)
    return run.returncode, said


def extract(root: Path, cache: Path, *more: str) -> tuple[int, str]:
    """An extraction from beginning to end."""
    return finish(start(root, cache, *more))


def wait_for(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something is the case; fail when it never is."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


def family(pid: int) -> dict[int, str]:
    """The processes that a process has started, and they in turn, with their command lines."""
    parents, words = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if state not in "ZX":
            parents[int(entry.name)], words[int(entry.name)] = int(parent), line
    found: dict[int, str] = {}
    grown = True
    while grown:
        more = {child for child, parent in parents.items() if parent == pid or parent in found} - set(found)
        found |= {child: words[child] for child in more}
        grown = bool(more)
    return found


def decoders(pid: int) -> list[int]:
    """The decoding children among them."""
    return [child for child, line in family(pid).items() if "pipeline.frames.decode_worker" in line]


def workers(pid: int) -> list[int]:
    """The Dask workers among them."""
    return [child for child, line in family(pid).items() if "multiprocessing.spawn" in line]


def alive(pids: Sequence[int]) -> list[int]:
    """Those that still run."""
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        found += [pid] if state not in "ZX" else []
    return found


def kill_group(run: subprocess.Popen[str]) -> None:
    """End whatever a test has left of a run."""
    for child in family(run.pid):
        if alive([child]):
            os.kill(child, signal.SIGKILL)
    run.kill()
    run.communicate()


def chunks(cache: Path) -> dict[str, bytes]:
    """Every array's files: not the root's attributes, which tell the command line, nor litter."""
    files = (p for p in cache.rglob("*") if p.is_file() and p != cache / "zarr.json")
    return {str(p.relative_to(cache)): p.read_bytes() for p in files if p.suffix != ".partial"}


def finished_blocks(cache: Path) -> set[int]:
    """The numbers of the blocks without a pending clip; none where there is no cache."""
    from pipeline.store.reader import FeatureCache
    from pipeline.types import Status

    if not cache.exists():
        return set()
    with FeatureCache.open(cache) as opened:
        status = opened.read("status")
    rows = range(0, len(status), BLOCK_CLIPS)
    return {row // BLOCK_CLIPS for row in rows if (status[row : row + BLOCK_CLIPS] != Status.PENDING).all()}


def noted_blocks(noted: Path, index: "DatasetIndex") -> set[int]:
    """The blocks of which a run has taken up a clip."""
    rows = {Path(clip.path).name: row for row, clip in enumerate(index.clips)}
    return {rows[name] // BLOCK_CLIPS for name in noted.read_text().split()} if noted.exists() else set()


def with_troubles(root: Path, num_good: int, troubles: Sequence[str]) -> "DatasetIndex":
    """The small clips, and copies of one of them by names that the faulty decoder knows."""
    from pipeline.datasets import read_dataset
    from tests.small_clips import write_clips

    write_clips(root, num_good)
    for name in troubles:
        shutil.copy(root / "clips/good0.mp4", root / f"clips/{name}.mp4")
    rows = [f"clips/{name}.mp4,joy,train,20,10,60,70" for name in troubles]
    with (root / "manifest.csv").open("a") as file:
        file.write("".join(f"{row}\r\n" for row in rows))
    return read_dataset("manifest", root)


@pytest.fixture(scope="session")
def run_clips(tmp_path_factory: pytest.TempPathFactory) -> "DatasetIndex":
    """Clips for six blocks, two bad ones among them."""
    from tests.small_clips import write_clips

    return write_clips(tmp_path_factory.mktemp("clips"), num_good=46)


@pytest.fixture(scope="session")
def undisturbed_chunks(
    run_clips: "DatasetIndex", tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """The cache of those clips that a run gives to which nothing happens."""
    path = tmp_path_factory.mktemp("cache") / "feats.zarr"
    code, said = extract(run_clips.root, path)
    assert code == 0, said
    return chunks(path)
