"""A prediction is the same to the byte after interruptions anywhere, and refuses a state of another one."""

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from pipeline.cancel import CancelToken
from pipeline.config import override
from pipeline.errors import ConfigError, OusError
from pipeline.strict_json import from_json, to_json
from tests.scripted_prediction import Scripted, planned_of
from tests.tiny_cache import CLASSES, tiny_cache
from tests.tiny_clip import PYTHONPATH
from trainer.prediction.found_people import people_of
from trainer.prediction.results import UNKNOWN
from trainer.prediction.source import PredictOptions
from trainer.prediction.stored import FACES_FILE, PROGRESS_FILE, TRACKS_FILE, WINDOWS_FILE
from trainer.presets import smoke
from trainer.runs import load_run
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")
GROWING = (WINDOWS_FILE, FACES_FILE)


@pytest.fixture(scope="module")
def run_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    train(
        tiny_cache(folder / "feats.zarr"),
        folder / "run",
        override(smoke(), ["schedule.max_epochs=1"]),
        device="cpu",
    )
    return folder / "run"


@pytest.fixture(scope="module")
def run(run_path):
    return load_run(run_path, device="cpu")


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    """An undisturbed prediction, and the bytes of its files."""
    out = tmp_path_factory.mktemp("whole")
    return Scripted(run).predict(out), content(out)


def content(out):
    return {name: (out / name).read_bytes() for name in GROWING}


class CancelAfter:
    """Cancels a prediction after so many calls of `on_progress`."""

    def __init__(self, count):
        self.token, self._left = CancelToken(), count

    def __call__(self, progress):
        self._left -= 1
        if self._left == 0:
            self.token.cancel()


def test_everyone_has_windows_faces_and_a_name(whole):
    prediction, _ = whole
    assert prediction.done_seconds is None
    assert {window.track for window in prediction.windows} == set(prediction.person_of)
    assert {face.track for face in prediction.faces} <= set(prediction.person_of)
    assert prediction.cut_seconds == (5.7,)
    answered = [window for window in prediction.windows if window.answer]
    assert answered
    for window in answered:
        assert window.answer == max(window.probability, key=window.probability.get)
        assert sum(window.probability.values()) == pytest.approx(1, abs=1e-5)
        assert tuple(window.probability) == CLASSES
    assert all(window.reason for window in prediction.windows if not window.answer)


def test_a_finished_prediction_is_read_and_not_made(run, whole, tmp_path):
    again = Scripted(run)
    first = again.predict(tmp_path)
    again.stream = None
    assert again.predict(tmp_path) == first == whole[0]


def test_ctrl_c_keeps_what_is_done_and_the_rest_follows(run, whole, tmp_path):
    prediction, expected = whole
    done = []
    for count in range(1, 40):
        cancel = CancelAfter(2)
        part = Scripted(run).predict(tmp_path, on_progress=cancel, cancel=cancel.token)
        stored = content(tmp_path)
        assert all(expected[name].startswith(stored[name]) for name in GROWING)
        assert part.windows == prediction.windows[: len(part.windows)]
        assert {window.track for window in part.windows} - {""} == set(part.person_of)
        if part.done_seconds is None:
            break
        done.append(len(part.windows))
        if count > 2 and done[-1] == done[-2]:
            cancel = CancelAfter(8)  # two groups of frames do not suffice for a batch of images
            Scripted(run).predict(tmp_path, on_progress=cancel, cancel=cancel.token)
    assert Scripted(run).predict(tmp_path) == prediction
    assert content(tmp_path) == expected
    assert done[0] < len(prediction.windows)


def test_a_cancelled_prediction_of_nothing_is_empty(run, tmp_path):
    token = CancelToken()
    token.cancel()
    part = Scripted(run).predict(tmp_path, cancel=token)
    assert (part.windows, part.faces, part.people, part.done_seconds) == ((), (), (), 0.0)


def test_a_killed_process_leaves_what_another_one_continues(run, run_path, whole, tmp_path):
    command = [sys.executable, "-m", "tests.scripted_prediction", str(run_path), str(tmp_path / "out")]
    env = {**os.environ, "PYTHONPATH": PYTHONPATH}
    progress = tmp_path / "out" / PROGRESS_FILE
    root = Path(__file__).parents[1]
    process = subprocess.Popen([*command, "0.05"], env=env, cwd=root)
    until = time.monotonic() + 120
    first = None
    while time.monotonic() < until and process.poll() is None:
        stored = progress.stat().st_mtime_ns if progress.exists() else None
        first = first or stored
        if first and stored != first:  # a batch is stored
            break
        time.sleep(0.01)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert content(tmp_path / "out") != whole[1]
    Scripted(run).predict(tmp_path / "out")
    assert content(tmp_path / "out") == whole[1]


def test_another_prediction_is_not_continued(run, tmp_path):
    Scripted(run).predict(tmp_path)
    with pytest.raises(ConfigError, match=r"min_share.*another --out"):
        Scripted(run, PredictOptions(min_face_px=0, min_share=0.25)).predict(tmp_path)
    other = Scripted(run)
    other.planned = planned_of(other.video, other.options, sha256="b" * 64)
    with pytest.raises(ConfigError, match="source_sha256"):
        other.predict(tmp_path)
    assert other.predict(tmp_path, restart=True).done_seconds is None


def changed_state(path, **changes):
    with np.load(path) as arrays:
        state = {name: arrays[name] for name in arrays.files}
    state |= changes
    file = io.BytesIO()
    np.savez(file, **{name: value for name, value in state.items() if value is not None})
    path.write_bytes(file.getvalue())


@pytest.mark.parametrize(
    "name", ["counts", "seen", "seen_held", "linker_number", "linker_sum", "linker_states"]
)
@pytest.mark.parametrize("value", [None, np.zeros(0, np.int64), np.zeros((3, 5, 2)), np.array("text")])
def test_a_state_that_lacks_or_changes_an_array_is_no_traceback(run, half_done, tmp_path, name, value):
    for file, old in half_done.items():
        (tmp_path / file).write_bytes(old)
    changed_state(tmp_path / PROGRESS_FILE, **{name: value})
    with suppress(OusError):  # an array that no later window needs may be any
        Scripted(run).predict(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"tracklet": 7},
        {"shot": 3},
        {"frame": [], "face": [], "box_xyxy_px": [], "score": [], "margin": []},
        {"look": "A" * 2388 + "AAAA"},
    ],
)
def test_tracks_that_do_not_fit_the_state_are_refused_in_one_line(run, half_done, tmp_path, changed):
    for file, old in half_done.items():
        (tmp_path / file).write_bytes(old)
    lines = (tmp_path / TRACKS_FILE).read_text().splitlines()
    changed_line = to_json({**from_json(lines[0]), **changed}, indent=None)
    text = "".join(f"{line}\n" for line in [changed_line, *lines[1:]])
    (tmp_path / TRACKS_FILE).write_text(text.ljust(sum(map(len, lines)) + len(lines)))
    with pytest.raises(OusError, match="damaged; predict again with --restart"):
        Scripted(run).predict(tmp_path)


@pytest.fixture(scope="module")
def half_done(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("half")
    cancel = CancelAfter(8)
    assert Scripted(run).predict(out, on_progress=cancel, cancel=cancel.token).windows
    return {name: (out / name).read_bytes() for name in (*GROWING, TRACKS_FILE, PROGRESS_FILE)}


def test_doubtful_people_are_one_unknown():
    class Someone:
        margin = 2.0

    found = [
        (Someone, ("a", "b"), False),
        (Someone, ("d",), True),
        (Someone, ("c",), True),
        (Someone, ("e",), False),
    ]
    people = people_of(found)
    assert [(one.name, one.tracks) for one in people] == [
        ("P1", ("a", "b")),
        ("P2", ("e",)),
        (UNKNOWN, ("c", "d")),
    ]
