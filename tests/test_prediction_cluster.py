"""Predictions by `--scheduler`, by workers that die or differ, and setups that are sent to them."""

import json
import os
import pickle
import signal
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import pytest
from distributed import LocalCluster

from pipeline.executor import LocalExecutor
from tests.command_line import call
from tests.drawn_run import FACE_ONLY, extract_drawn, train_drawn, write_drawn
from tests.tiny_clip import modest_model
from trainer.prediction.inputs import find_inputs
from trainer.prediction.labels import read_labels
from trainer.prediction.outputs import OutputOptions
from trainer.prediction.people_file import read_people_file
from trainer.prediction.session import predict_all
from trainer.prediction.source import PredictOptions
from trainer.prediction.stored import StoredPrediction
from trainer.prediction.worker import PredictSetup, PredictWorker
from trainer.runs import load_run

COMPARED = ("windows.jsonl", "faces.jsonl", "windows.csv", "frames.csv", "people.csv", "prediction.json")

_ADD = StoredPrediction.add


@dataclass(frozen=True, kw_only=True)
class MortalSetup(PredictSetup):
    """Workers in other processes that know the models of tests; the first batch kills one, once.

    noted: File to which each stored batch appends a line, with its video and the position after it.
    """

    noted: Path | None = None

    def start(self, cores: tuple[int, ...] | None = None) -> PredictWorker:
        modest_model()
        noted = self.noted

        def add_and_die(stored: StoredPrediction, *arguments: object) -> None:
            _ADD(stored, *arguments)  # type: ignore[arg-type]
            if noted is not None:
                is_first = not noted.exists()
                with noted.open("a") as file:
                    file.write(f"{stored._files._out.name} {stored.frame}\n")
                if is_first:
                    os.kill(os.getpid(), signal.SIGKILL)

        StoredPrediction.add = add_and_die  # type: ignore[method-assign]
        return super().start(cores)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_drawn(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def runs(clips, tmp_path_factory):
    """A run, and a face-only run on the same cache."""
    folder = tmp_path_factory.mktemp("trained")
    cache = extract_drawn("synthetic", clips, folder / "feats.zarr")
    return train_drawn(cache, folder / "run"), train_drawn(cache, folder / "face", *FACE_ONLY)


@pytest.fixture(scope="module")
def videos(clips, tmp_path_factory):
    """A directory with a video of several batches and a short one."""
    folder = tmp_path_factory.mktemp("videos")
    first, other = sorted(clips.rglob("*.mp4"))[:2]
    (folder / "short.mp4").write_bytes(other.read_bytes())
    with av.open(str(first)) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    with av.open(str(folder / "long.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=8)
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        for picture in pictures * 10:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))
    return folder


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """The scheduler file of a cluster of two worker processes, which are started again after a death."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", host="127.0.0.1"
    ) as cluster:
        file = tmp_path_factory.mktemp("cluster") / "scheduler.json"
        file.write_text(json.dumps({"address": cluster.scheduler_address}))
        yield file


def asked(videos, run, out, *more):
    options = ("--min-face", 0, "--shots", "none", "--formats", "jsonl,csv", "--decoders", 1)
    return ("predict", videos, "--run", run, "--out", out, *options, *more)


@pytest.mark.slow
def test_a_worker_that_dies_in_a_video_changes_no_byte_and_costs_no_batch(
    runs, videos, scheduler, tmp_path, monkeypatch, capsys
):
    plain, spread, noted = tmp_path / "plain", tmp_path / "spread", tmp_path / "noted"
    assert call(monkeypatch, capsys, *asked(videos, runs[0], plain))[0] == 0

    def spread_out(*more):
        with monkeypatch.context() as patched:
            mortal = partial(MortalSetup, noted=noted)
            patched.setattr("trainer.prediction.worker.PredictSetup", mortal)
            command = asked(videos, runs[0], spread, "--scheduler", scheduler, "--device", "cpu", *more)
            code, _, shown = call(patched, capsys, *command)
        assert code == 0, shown
        for name in ("long", "short"):
            for file in COMPARED:
                assert (spread / name / file).read_bytes() == (plain / name / file).read_bytes(), file
        batches = Counter(noted.read_text().splitlines())
        noted.unlink()
        return batches

    batches = spread_out()
    assert len(batches) >= 3
    assert set(batches.values()) == {1}
    assert spread_out("--restart") == batches


def test_a_setup_is_pickled_with_labels_names_and_a_face_run(runs, videos, tmp_path):
    run, face_run = runs
    (tmp_path / "names.txt").write_text("P1 = Anna\n")
    inputs, _ = find_inputs([videos / "short.mp4"])
    loaded = load_run(run, device="cpu")
    (videos / "labels.csv").write_text("path,label\nshort.mp4,happy\n")
    labels = read_labels(videos / "labels.csv", inputs, loaded.class_names)
    names = tmp_path / "names.txt"
    setup = PredictSetup(
        run=run,
        face_run=face_run,
        options=PredictOptions(min_face_px=0),
        outputs=OutputOptions.parse("jsonl,csv", embed=False, thumbnails=True),
        labels=labels,
        names=(read_people_file(names), str(names)),
        device="cpu",
        decoders=1,
    )
    sent = pickle.loads(pickle.dumps(setup))
    assert sent == setup
    other = PredictSetup(run=run, options=sent.options, outputs=sent.outputs)
    assert sent.command == setup.command != other.command
    with closing(LocalExecutor(sent)) as executor:
        report = predict_all(
            inputs, loaded, executor, tmp_path / "out", is_collection=False, labels=sent.labels
        )
    assert [person.name for person in report.videos[0].people] == ["Anna"]
    assert report.labels is not None
    assert report.labels.metrics is not None
    assert report.labels.metrics.num_clips == 1
    (line,) = (tmp_path / "out" / "windows.jsonl").read_text().splitlines()
    assert set(json.loads(line)["face_run"]) == set(loaded.class_names)
