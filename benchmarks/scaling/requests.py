"""Requests of `extract` and `cache verify` to an object store, counted at a local S3 server.

The run is real from the lock to the report, and its chunks have their real sizes. Only the models are
missing: the worker returns random features of ViT-L/14 for 16 frames per clip. Two sizes of a cache separate
the requests of a run from those of each block.
"""

import math
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from pipeline.config import from_dict
from pipeline.datasets import read_dataset
from pipeline.executor import LocalExecutor, TaskContext
from pipeline.process import BlockOutcome, ExtractConfig, StageSeconds
from pipeline.runner import RunOptions, extract
from pipeline.runner.block_task import BlockReport, BlockTask
from pipeline.runner.model_metadata import ModelInfo
from pipeline.runner.worker import BlockWorker, BlockWorkerSetup
from pipeline.store.lock import hold
from pipeline.store.reader import FeatureCache
from pipeline.types import ClipDone, ClipOutcome, DatasetIndex, FaceTrack, Features, FrameMeta, SourceFile
from pipeline.verify import verify_stored

BLOCK_CLIPS, NUM_FRAMES = 64, 16
BUCKET, _NEVER = "bucket", 1e6
_READS = ("GET", "HEAD")
_BEATS, _BEAT_SECONDS = 3, 1.0
_DELAY_SECONDS = 0.25
"""Delay of an answer while a block is processed. Requests that are sent together overlap then."""


@dataclass(frozen=True)
class Request:
    """A request.

    Attributes:
        method: Its method.
        num_bytes: Bytes that were sent with it.
        answer_bytes: Bytes of the answer.
        began: Time when it came.
        ended: Time when its answer began.
    """

    method: str
    num_bytes: int
    answer_bytes: int
    began: float
    ended: float


@dataclass
class Log:
    """Requests so far. delay_seconds: time that the server waits before each answer."""

    requests: list[Request] = field(default_factory=list)
    delay_seconds: float = 0.0

    def since(self, start: int) -> dict[str, int]:
        """Return the counts of the requests from number `start` on.

        ``rounds`` is the length of the longest chain of requests, each of which came after the answer to the
        one before. It is an upper limit without a delay.
        """
        found = self.requests[start:]
        reads = sum(one.method in _READS for one in found)
        return {
            "reads": reads,
            "writes": len(found) - reads,
            "rounds": rounds(found),
            "bytes": sum(one.num_bytes for one in found),
            "answer_bytes": sum(one.answer_bytes for one in found),
        }


def rounds(requests: Sequence[Request]) -> int:
    """Return the length of the longest chain of requests that did not overlap."""
    number, last = 0, -math.inf
    for request in sorted(requests, key=lambda one: one.ended):
        if request.began >= last:
            number, last = number + 1, request.ended
    return number


@contextmanager
def counting_server() -> Iterator[Log]:
    """Start a local S3 server with an empty BUCKET, set the environment for it, and count its requests.

    Yields:
        The requests. A request is there when its answer begins.
    """
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    log, application = Log(), DomainDispatcherApplication(create_backend_app)

    def counted(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        began = time.monotonic()
        time.sleep(log.delay_seconds)
        size = int(environ.get("CONTENT_LENGTH") or 0)

        def answered(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            method = environ["REQUEST_METHOD"]
            lengths = (int(value) for name, value in headers if name.lower() == "content-length")
            answer = 0 if method == "HEAD" else sum(lengths)
            log.requests.append(Request(method, size, answer, began, time.monotonic()))
            return start_response(status, headers, *more)

        return application(environ, answered)

    class QuietHandler(MotoRequestHandler):
        def log_request(self, *_: object) -> None:
            """Write nothing."""

    server = make_server("127.0.0.1", 0, counted, threaded=True, request_handler=QuietHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.port}"
    values = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1"}
    values |= {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        put = urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")
        urllib.request.urlopen(put).close()
        yield log
    finally:
        server.shutdown()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def settings() -> tuple[ExtractConfig, ModelInfo]:
    """Return the default settings with random weights of ViT-L/14, and a description of such models."""
    encoder = {"name": "ViT-L-14-quickgelu", "weights": "random"}
    config = from_dict(ExtractConfig, {"encoder": encoder, "detector": {"name": "haar"}})
    info = BlockWorkerSetup(config=config, device="cpu").model_info()
    identity = {**info.identity, "detector": {**info.identity["detector"], "sha256": ""}}
    return config, replace(info, identity=identity, has_weights=True, block_clips=BLOCK_CLIPS)


def clip_of(info: ModelInfo) -> ClipDone:
    """Return a clip with random features, all of whose values differ from the fill values where they can."""
    generator = np.random.default_rng(0)

    def normal(*shape: int) -> Any:
        return generator.normal(size=(1, NUM_FRAMES, *shape)).astype(np.float16)

    places = np.arange(NUM_FRAMES)
    frames = FrameMeta(
        index_U=4 * places, seconds_U=(places / 8).astype(np.float32), position_VT=places[None],
        valid_VT=np.ones((1, NUM_FRAMES), np.bool_), flip_V=(False,), num_decoded=64, height_px=360,
        width_px=640, cuts=(),
    )  # fmt: skip
    found = np.ones(NUM_FRAMES, np.bool_)
    box = np.tile(np.array([10, 10, 90, 90], np.float32), (NUM_FRAMES, 1))
    track = replace(
        FaceTrack.of_one_person(box, found.astype(np.float32), found), margin=3.0, num_people=1
    )  # fmt: skip
    features = Features(
        face_embedding=normal(info.embed_width),
        scene_embedding=normal(info.embed_width),
        scene_early=normal(4, 3, info.encoder_width),
    )
    return ClipDone(
        source=SourceFile(num_bytes=1, sha256="0" * 64), frames=frames, track=track, features=features
    )


class CountedWorker(BlockWorker):
    """Worker without models, which handles the cache as usual and records where its requests begin."""

    def __init__(self, info: ModelInfo, log: Log) -> None:
        super().__init__(SimpleNamespace(warnings=()))  # type: ignore[arg-type]
        self.__dict__["_model_info"] = info
        self._clip, self._log = clip_of(info), log
        self.blocks: list[tuple[int, int]] = []
        self.processed: list[int] = []

    def run(self, task: BlockTask, context: TaskContext | None = None) -> BlockReport:
        """See `BlockWorker.run`."""
        before = len(self._log.requests)
        self._log.delay_seconds = _DELAY_SECONDS
        try:
            report = super().run(task, context)
        finally:
            self._log.delay_seconds = 0.0
        self.blocks.append((before, len(self._log.requests)))
        return report

    def _processed(
        self, task: BlockTask, context: TaskContext, store: Callable[[Mapping[int, ClipOutcome]], None]
    ) -> BlockOutcome:
        self.processed.append(len(self._log.requests))
        return BlockOutcome(
            outcomes=(self._clip,) * len(task.clips), num_pictures=0, seconds=StageSeconds()
        )  # fmt: skip


@dataclass(frozen=True)
class _Setup:
    worker: CountedWorker
    slots: ClassVar[int] = 1
    queued: ClassVar[int] = 0

    def model_info(self) -> ModelInfo:
        """See `BlockWorkerSetup`."""
        return self.worker.model_info()

    def start(self, cores: tuple[int, ...] | None = None) -> CountedWorker:
        """See `BlockWorkerSetup`."""
        return self.worker


def _dataset(folder: Path, num_blocks: int) -> DatasetIndex:
    folder.mkdir()
    names = [f"clip{number:04d}.mp4" for number in range(num_blocks * BLOCK_CLIPS)]
    for name in names:
        (folder / name).write_bytes(b"-")
    rows = "".join(f"{name},anger,{'train' if n % 5 else 'test'},1\n" for n, name in enumerate(names))
    (folder / "manifest.csv").write_text("path,label,split,fold\n" + rows, encoding="utf-8")
    return read_dataset("manifest", folder / "manifest.csv")


def _of_a_run(index: DatasetIndex, url: str, log: Log, limit: int | None) -> dict[str, dict[str, int]]:
    """Extract into a cache, and return the counts of each phase."""
    config, info = settings()
    worker = CountedWorker(info, log)
    counts, start = {}, len(log.requests)
    with hold(url, beat_seconds=_NEVER) as lock:
        counts["lock"] = log.since(start)
        start = len(log.requests)
        extract(index, config, LocalExecutor(_Setup(worker)), url, RunOptions(limit=limit), lock=lock)
        end = len(log.requests)
    released = len(log.requests)
    phases = {
        "start": (start, worker.blocks[0][0]),
        "first block of a worker": worker.blocks[0],
        "block": worker.blocks[1],
        "block, client": (worker.blocks[0][1], worker.blocks[1][0]),
        "end": (worker.blocks[-1][1], end),
        "release": (end, released),
    }
    counts |= {name: Log(log.requests[first:last]).since(0) for name, (first, last) in phases.items()}
    (first, end), middle = worker.blocks[1], worker.processed[1]
    counts["block"]["rounds_before"] = rounds(log.requests[first:middle])
    counts["block"]["rounds_after"] = rounds(log.requests[middle:end])
    return counts


def _of_heartbeats(url: str, log: Log) -> dict[str, float]:
    """Return the requests of one heartbeat, the mean of some."""
    with hold(url, beat_seconds=_BEAT_SECONDS):
        start, ended = len(log.requests), threading.Event()
        while log.since(start)["writes"] < _BEATS:
            ended.wait(_BEAT_SECONDS / 10)
        counts = log.since(start)
    return {name: counts[name] / counts["writes"] for name in ("reads", "writes")}


def counted_requests(num_blocks: int = 4) -> dict[str, Any]:
    """Return the requests of each phase of a run.

    Args:
        num_blocks: Blocks of the smaller cache, at least 4. The larger one has twice as many.

    Returns:
        For each phase, counts of reads, writes, rounds and bytes: ``fixed``, and ``per block`` of the cache
        where a phase depends on its size. Only a block has exact rounds.
    """
    found: dict[int, dict[str, dict[str, int]]] = {}
    with counting_server() as log, TemporaryDirectory(prefix="ous-requests-") as folder:
        for number in (num_blocks, 2 * num_blocks):
            index = _dataset(Path(folder) / str(number), number)
            url = f"s3://{BUCKET}/{number}/feats.zarr"
            half = number // 2 * BLOCK_CLIPS
            phases = _of_a_run(index, url, log, half)
            resumed = _of_a_run(index, url, log, None)
            phases |= {"resumed start": resumed["start"], "end": resumed["end"]}
            start = len(log.requests)
            with FeatureCache.open(url) as cache:
                verify_stored(cache)
            phases["verify"] = log.since(start)
            found[number] = phases
        beats = _of_heartbeats(f"s3://{BUCKET}/beats/feats.zarr", log)
    small, large = found[num_blocks], found[2 * num_blocks]
    result: dict[str, Any] = {"heartbeat": {"fixed": beats}}
    for phase, counts in small.items():
        slope = {kind: (large[phase][kind] - count) / num_blocks for kind, count in counts.items()}
        fixed = {kind: count - num_blocks * slope[kind] for kind, count in counts.items()}
        per_block = {"per block": slope} if any(slope[kind] for kind in ("reads", "writes")) else {}
        result[phase] = {"fixed": fixed, **per_block}
    return result
