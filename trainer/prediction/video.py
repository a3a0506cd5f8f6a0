"""A prediction and its video -> annotated.mp4: the frames of the source with people, answers and warnings.

Frames are decoded by `stream_frames`, in order, and have the times of the source, also if these are not
evenly spaced. Sound is copied if mp4 can hold it, and otherwise encoded as AAC.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter

from pipeline.own_dir import OwnDir
from pipeline.process import FOLDER_RATE, InlineDecoder, PartDecoder, SoundReader, scan_source, stream_frames
from pipeline.types import Bytes, SourceScan
from trainer.prediction.overlay import Overlay
from trainer.prediction.results import Prediction

_TICK = Fraction(1, 90_000)
"""Unit of time in the written file: finer than any frame rate needs."""
_ENCODER = {"crf": "23", "preset": "veryfast"}
_BT709 = 1
"""Colours of HD video, which players assume, in ITU-T H.273."""
_KEY_SECONDS = 2.0
"""Time between key frames, which a seek in a player waits for."""
_LEAST_RATE, _MOST_RATE = Fraction(1), Fraction(240)
_WAITING_BYTES = 96 << 20
"""Most bytes of frames that wait: the encoder is slower than the decoders, so that they would always wait."""
_COPIED_SOUND = frozenset(["aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"])
"""Codecs of sound that an mp4 file can hold."""
_AAC_RATES = frozenset([8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 96000])
_AAC_RATE = 48_000


def write_video(
    prediction: Prediction,
    path: Path,
    target: Path,
    *,
    scan: SourceScan | None = None,
    decoder: PartDecoder | None = None,
    start_seconds: float = 0.0,
    on_progress: Callable[[float], None] | None = None,
) -> None:
    """Write the annotated video of a prediction, H.264 in mp4, atomically.

    It has the frames of the source at their times. A frame that does not decode is the last one that did,
    with a note. Sizes are even: an odd one gets a further row or column. The file begins with its index, so
    that a player can start before it is read whole.

    Args:
        prediction: The prediction.
        path: Its video, or its directory of images; without a rate, these have 25 frames/s.
        target: File to write.
        scan: The scan that frames of the prediction are numbers of; None to scan the whole source.
        decoder: Decoding processes; None to decode in this thread.
        start_seconds: Time of the source with which the video begins, if only a part was predicted.
        on_progress: Function that is called with the seconds that are written.

    Raises:
        ClipError: The source does not decode.
        FileError: The file cannot be written.
    """
    decoder = InlineDecoder() if decoder is None else decoder
    scan = scan_source(path, cuts=None, decoder=decoder) if scan is None else scan
    overlay = Overlay(prediction, scan.height_px, scan.width_px)
    OwnDir.of(target.parent).make()
    with OwnDir.of(target.parent).replacing(target.name) as file:
        name = f"/proc/self/fd/{file.fileno()}"  # the muxer opens it again to move the index to the front
        with (
            av.open(name, "w", format="mp4", options={"movflags": "faststart"}) as container,
            _sound_of(path, scan) as sound,
        ):
            picture = _PictureWriter(container, scan, start_seconds)
            track = None if sound is None else _SoundWriter(container, sound, start_seconds)
            for number, rgb in _drawn(overlay, path, scan, decoder):
                seconds = picture.write(number, rgb)
                if track is not None:
                    track.write_until(seconds)
                if on_progress is not None:
                    on_progress(seconds)
            picture.end()
            if track is not None:
                track.write_until(picture.end_seconds)
                track.end()


def _drawn(
    overlay: Overlay, path: Path, scan: SourceScan, decoder: PartDecoder
) -> Iterator[tuple[int, Bytes]]:
    """Yield number and pixels of every frame, with the prediction drawn on it."""
    last: Bytes | None = None
    with closing(
        stream_frames(path, scan, range(scan.num_frames), decoder, waiting_bytes=_WAITING_BYTES)
    ) as frames:
        for frame in frames:
            plain = frame.rgb_HWC if frame.rgb_HWC is not None else last
            if plain is None:
                plain = np.zeros((scan.height_px, scan.width_px, 3), dtype=np.uint8)
            last, drawn = plain, plain.copy()
            overlay.draw(drawn, frame.number, frame.seconds if scan.has_times else None, frame.reason)
            yield frame.number, drawn


class _PictureWriter:
    """Encoder of the frames.

    Args:
        container: The file, open for writing.
        scan: Scan of the source.
        start_seconds: Time of the source with which the file begins.

    Attributes:
        end_seconds: End of the last frame, from the start of the file.
    """

    def __init__(self, container: Any, scan: SourceScan, start_seconds: float) -> None:
        self._container, self._scan = container, scan
        rate = Fraction(scan.frame_rate or FOLDER_RATE).limit_denominator(10_000)
        rate = min(max(rate, _LEAST_RATE), _MOST_RATE)
        options = {**_ENCODER, "g": str(max(1, round(_KEY_SECONDS * rate)))}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width = (side + side % 2 for side in (scan.height_px, scan.width_px))
        stream.pix_fmt, stream.time_base = "yuv420p", _TICK
        encoder = stream.codec_context
        encoder.time_base = _TICK
        encoder.colorspace = encoder.color_primaries = encoder.color_trc = _BT709
        self._stream, self._reformatter = stream, VideoReformatter()
        self._pts_N, self.end_seconds = _stamps(scan, start_seconds)
        self._held: Any = None
        self._delay = 0  # from decoding to presentation of the first frame

    def write(self, number: int, rgb: Bytes) -> float:
        """Encode a frame, and return its time from the start of the file."""
        odd = ((0, self._stream.height - rgb.shape[0]), (0, self._stream.width - rgb.shape[1]), (0, 0))
        even = np.pad(rgb, odd, mode="edge") if rgb.shape[0] % 2 or rgb.shape[1] % 2 else rgb
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        coded = self._reformatter.reformat(frame, format="yuv420p", dst_colorspace=Colorspace.ITU709)
        coded.pts, coded.time_base = int(self._pts_N[number]), _TICK
        self._mux(self._stream.encode(coded))
        return float(self._pts_N[number] * _TICK)

    def end(self) -> None:
        """Encode the frames that the encoder still keeps."""
        self._mux(self._stream.encode(None))
        if self._held is not None:
            last = self._held
            if last.pts < self._pts_N[-2]:  # shown earlier: the length of its track follows from decoding
                last.duration = max(1, int(self._pts_N[-1]) - self._delay - last.dts)
            self._container.mux(last)

    def _mux(self, packets: list[Any]) -> None:
        """Write all packets but the last one, whose duration determines the length of the file."""
        for packet in packets:
            number = int(np.searchsorted(self._pts_N, packet.pts))
            packet.duration = int(self._pts_N[number + 1] - self._pts_N[number])
            if self._held is None:
                self._delay = packet.pts - packet.dts
            else:
                self._container.mux(self._held)
            self._held = packet


def _stamps(scan: SourceScan, start_seconds: float) -> tuple[Any, float]:
    """Return the time stamps of all frames and of the end, int64 [N + 1], rising; and the end in seconds."""
    if scan.has_times:
        seconds = [*(scan.seconds_N - start_seconds).tolist(), scan.end_seconds - start_seconds]
    else:
        seconds = [number / FOLDER_RATE for number in range(scan.num_frames + 1)]
    stamps = np.rint(np.array(seconds) * float(1 / _TICK)).astype(np.int64)
    rising = np.maximum.accumulate(stamps - np.arange(len(stamps))) + np.arange(len(stamps))
    return rising, float(rising[-1] * _TICK)


@contextmanager
def _sound_of(path: Path, scan: SourceScan) -> Iterator[SoundReader | None]:
    """Yield the sound of a video; None if it has none."""
    if not scan.has_sound:
        yield None
        return
    with SoundReader(path) as sound:
        yield None if sound.stream is None else sound


class _SoundWriter:
    """Writer of the sound, copied or encoded.

    Args:
        container: The file, open for writing.
        sound: Sound of the source.
        start_seconds: Time of the source with which the file begins.
    """

    def __init__(self, container: Any, sound: SoundReader, start_seconds: float) -> None:
        self._container, self._packets = container, sound.packets()
        self._start = start_seconds
        self._next: tuple[float, Any] | None = None
        source = sound.stream
        self._is_copied = source.codec_context.name in _COPIED_SOUND
        if self._is_copied:
            self._stream = container.add_stream_from_template(source)
        else:
            rate = source.codec_context.sample_rate
            self._stream = container.add_stream("aac", rate=rate if rate in _AAC_RATES else _AAC_RATE)
            self._stream.layout = "mono" if source.codec_context.layout.nb_channels == 1 else "stereo"

    def write_until(self, seconds: float) -> None:
        """Write the sound up to a time from the start of the file."""
        while True:
            self._next = self._next or next(self._packets, None)
            if self._next is None or self._next[0] - self._start >= seconds:
                return
            time, packet = self._next
            self._next = None
            if time >= self._start:
                self._write(packet)

    def end(self) -> None:
        """Write the sound that the encoder still keeps."""
        if not self._is_copied:
            self._container.mux(self._stream.encode(None))

    def _write(self, packet: Any) -> None:
        shift = round(Fraction(self._start) / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        if self._is_copied:
            packet.stream = self._stream
            self._container.mux(packet)
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            return  # damage of the sound is silence
        for frame in frames:
            self._container.mux(self._stream.encode(frame))
