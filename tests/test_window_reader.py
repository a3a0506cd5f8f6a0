"""Windows read from a stream of frames: batches, progress, cancellation, and where a reader continues."""

from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.process.windows import WindowOptions, WindowReader, reader
from tests.scripted_prediction import scan_of
from tests.scripted_video import ScriptedVideo

OPTIONS = WindowOptions(min_face_px=0)


def one_still(number):
    return {1: (30.0, 20.0)}


class Stream:
    """Frames of a script in the place of a decoder; notes the wanted ones and whether it was closed."""

    def __init__(self, video):
        self.video, self.wanted, self.num_given, self.is_closed = video, [], 0, False

    def __call__(self, path, scan, wanted, decoder):
        self.wanted = list(wanted)
        try:
            for number in wanted:
                self.num_given += 1
                yield from self.video.frames([number])
        finally:
            self.is_closed = True


def reader_of(video, **state):
    return WindowReader(Path("a"), scan_of(video), video.plan, video.models, OPTIONS, None, **state)


@pytest.fixture
def read(monkeypatch):
    """A function that returns a stream and a reader of a script, in groups of a few frames."""

    def make(script=one_still, num_frames=160, batches=1, most=5, **state):
        video = ScriptedVideo(script=script, num_frames=num_frames)
        stream = Stream(video)
        monkeypatch.setattr(reader, "stream_frames", stream)
        monkeypatch.setattr(reader, "_CHUNK_FRAMES", 3)
        monkeypatch.setattr(reader, "_BATCHES", batches)
        monkeypatch.setattr(reader, "_MOST_FRAMES", most)
        return stream, reader_of(video, **state)

    return make


def test_batches_have_all_windows_in_order_and_frames_are_read_once(read):
    stream, made = read()
    seen = []
    batches = list(made.batches(seen.append))
    plan = stream.video.plan
    firsts = [sample.window.first for batch in batches for sample in batch.samples]
    assert firsts == [window.first for window in plan.windows]
    assert stream.wanted == plan.wanted.tolist()
    assert stream.video.detector.searched == plan.wanted.tolist()
    assert seen == [*plan.wanted[2::3].tolist(), *([plan.wanted[-1]] if len(plan.wanted) % 3 else [])]
    assert len(batches) > 2
    assert [batch.num_windows for batch in batches] == np.cumsum([len(b.samples) for b in batches]).tolist()
    assert batches[-1].frame == 160
    frames = [face.frame for batch in batches for face in batch.faces]
    assert frames == plan.wanted.tolist()
    assert stream.is_closed


def test_windows_are_given_without_a_full_batch_of_images_if_few_people_are_in_view(read):
    stream, made = read(batches=1000, most=4)
    first = next(made.batches())
    assert first.samples
    assert stream.num_given <= 7
    assert made.engine.num_waiting == 0


@pytest.mark.parametrize("num_batches", [1, 2])
def test_a_reader_continues_with_the_first_frame_that_is_needed(read, num_batches):
    _, whole = read()
    expected = [sample.window.first for batch in whole.batches() for sample in batch.samples]
    _, made = read()
    batches, parts, found = made.batches(), [], []
    for _ in range(num_batches):
        batch = next(batches)
        found += [sample.window.first for sample in batch.samples]
        parts += made.take_parts()
    state = made.state()
    batches.close()
    stream, again = read(state=state, parts=parts)
    rest = list(again.batches())
    assert stream.wanted[0] == batch.frame > 0
    assert [*found, *(sample.window.first for one in rest for sample in one.samples)] == expected
    assert [tracks for _, tracks, _ in again.engine.tracks.people()] == [("s00p1",)]
    done, finished = read(state=again.state(), parts=[*parts, *again.take_parts()])
    assert list(finished.batches()) == []
    assert done.wanted == []


@pytest.mark.parametrize("at", ["frames", "images"])
def test_a_cancelled_reader_ends_and_closes_its_stream(read, at):
    stream, made = read()
    cancel = CancelToken()
    if at == "frames":
        batches = made.batches(lambda _: cancel.cancel(), cancel)
    else:
        encode = made.engine.flush

        def flush(on_batch, *, encode_all):
            cancel.cancel()
            return encode(on_batch, encode_all=encode_all)

        patched = mock.patch.object(made.engine, "flush", flush)
        patched.start()
        batches = made.batches(cancel=cancel)
    with pytest.raises(TaskCancelledError):
        list(batches)
    mock.patch.stopall()
    assert stream.num_given <= 12
    assert stream.is_closed


def test_chunks_are_limited_by_their_bytes(read, monkeypatch):
    stream, made = read()
    monkeypatch.setattr(reader, "_CHUNK_BYTES", 1)
    seen = []
    list(made.batches(seen.append))
    assert seen == stream.video.plan.wanted.tolist()
