"""What is asked of a decoder and what it answers, wherever it runs."""

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias

from pipeline.errors import ClipError, first_line
from pipeline.fingerprint import sha256_file
from pipeline.frames.decode import decode_clip
from pipeline.frames.sampling import FrameConfig
from pipeline.types import Bytes, ClipFailed, Frames


@dataclass(frozen=True, kw_only=True)
class DecodeJob:
    """A file, or its part from `start_seconds` to `end_seconds`, and which frames of it are wanted."""

    path: Path
    config: FrameConfig
    start_seconds: float | None = None
    end_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A clip's frames, its file's size and hash. seconds: how long a core worked for them."""

    frames: Frames
    source_bytes: int
    source_sha256: str
    seconds: float


DecodeAnswer: TypeAlias = Decoded | ClipFailed


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """A `Decoded` whose pixels travel beside it. shape: of the pixels, [U, H, W, 3]."""

    shape: tuple[int, ...]
    of_frames: dict[str, Any]
    of_decoded: dict[str, Any]

    @classmethod
    def of(cls, decoded: Decoded) -> Self:
        """All of `decoded` but the pixels."""
        of_frames, of_decoded = _fields(decoded.frames), _fields(decoded)
        del of_decoded["frames"]
        pixels = of_frames.pop("rgb_UHWC")
        return cls(shape=pixels.shape, of_frames=of_frames, of_decoded=of_decoded)

    def unpacked(self, pixels: Bytes) -> Decoded:
        """The clip again, with its pixels: uint8, of any shape that holds as many."""
        frames = Frames(rgb_UHWC=pixels.reshape(self.shape), **self.of_frames)
        return Decoded(frames=frames, **self.of_decoded)


class Decoder(Protocol):
    """Decodes clips, somewhere."""

    def stream(self, jobs: Sequence[DecodeJob]) -> Generator[tuple[int, DecodeAnswer], None, None]:
        """The place of each job and its answer, in the order in which they are ready.

        Whoever asks for the next answer has done with the pixels of the one before.
        """
        ...


class InlineDecoder:
    """Decodes in the caller's thread, one clip after the other: what a decoder does, put plainly."""

    def stream(self, jobs: Sequence[DecodeJob]) -> Generator[tuple[int, DecodeAnswer], None, None]:
        """Every job's answer, in order."""
        for place, job in enumerate(jobs):
            yield place, decode_job(job)


def decode_job(job: DecodeJob) -> DecodeAnswer:
    """The frames of a clip and the hash of its file, or the step that failed and why."""
    began = time.monotonic()
    try:
        frames = decode_clip(
            job.path, job.config, start_seconds=job.start_seconds, end_seconds=job.end_seconds
        )
        size, digest = job.path.stat().st_size, sha256_file(job.path)
    except ClipError as error:
        return ClipFailed(stage=error.stage, reason=error.reason)
    except MemoryError:
        return ClipFailed(stage="decode", reason="its frames do not fit into the decoder's memory")
    except Exception as error:  # noqa: BLE001 - the boundary of a clip: anything wrong ends this clip alone
        return ClipFailed(stage="decode", reason=f"unexpected {type(error).__name__}: {first_line(error)}")
    seconds = time.monotonic() - began
    return Decoded(frames=frames, source_bytes=size, source_sha256=digest, seconds=seconds)


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}
