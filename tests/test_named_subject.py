"""A manifest names the subject of its clips, from the list to the cache, with a detector of two faces."""

import dataclasses
from functools import partial

import av
import numpy as np
import pytest

from pipeline import runner
from pipeline.datasets import read_dataset
from pipeline.errors import CacheError, DatasetError
from pipeline.faces import DETECTORS, DetectorEntry
from pipeline.faces.detector import no_landmarks
from pipeline.process import process_block
from pipeline.relabel import relabel
from pipeline.runner import RunOptions, executor_of
from pipeline.store.reader import FeatureCache
from pipeline.types import ClipFailed, ClipRef, Faces, NamedSubject, ProvidedBoxes, Split
from tests.command_line import call
from tests.small_clips import small_models_with
from tests.tiny_clip import modest_model

RED, BLUE = (15.0, 20.0, 55.0, 60.0), (80.0, 30.0, 112.0, 62.0)
"""Faces on the first frame; both move down by a pixel per frame."""
NAMES = "subject_person,subject_x0,subject_y0,subject_x1,subject_y1,subject_seconds"


class TwoColours:
    """A detector that finds the red and the blue square."""

    name, precision, warnings, weights_sha256 = "haar", "fp32", (), ""

    def detect(self, rgb_UHWC):
        return [self._find(frame) for frame in np.asarray(rgb_UHWC).astype(int)]

    def _find(self, frame):
        boxes = []
        for channel in (0, 2):
            others = np.delete(frame, channel, axis=2).max(axis=2)
            rows, columns = np.nonzero(frame[..., channel] - others > 100)
            boxes += [(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)] if len(rows) else []
        k = len(boxes)
        return Faces(
            box_xyxy_px=np.array(boxes, np.float32).reshape(k, 4),
            score=np.full(k, 0.9, np.float32),
            landmark_xy_px=no_landmarks(k),
        )


def load_two_colours(_config, _device, _device_lock=None):
    return TwoColours()


@pytest.fixture(autouse=True)
def two_colours(monkeypatch):
    entry = DetectorEntry(load="tests.test_named_subject:load_two_colours", precision="fp32")
    monkeypatch.setitem(DETECTORS, "haar", entry)


def write_two(path, num_frames=12):
    """Two squares at 10 frames/s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": "4"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv444p"
        for number in range(num_frames):
            frame = np.full((96, 128, 3), 90, np.uint8)
            for (x0, y0, x1, y1), colour in ((RED, (230, 20, 20)), (BLUE, (20, 20, 230))):
                frame[int(y0) + number : int(y1) + number, int(x0) : int(x1)] = colour
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("two")
    for name in "abc":
        write_two(root / f"{name}.mp4")
    return root


@pytest.fixture
def listed(folder, tmp_path):
    """Returns the index of clips a, b and c, with these cells of the columns NAMES."""

    def of(*cells):
        rows = [f"{name}.mp4,joy,train,{cell or ',,,,,'}" for name, cell in zip("abc", cells, strict=True)]
        path = folder / "manifest.csv"
        path.write_text("\n".join([f"path,label,split,{NAMES}", *rows]))
        return read_dataset("manifest", folder)

    return of


@pytest.fixture
def models():
    return small_models_with(detector={"name": "haar"})


def extract(index, models, path):
    return runner.extract(index, models.config, executor_of(models), path, RunOptions())


def centres(path):
    """The centre of the subject's box on the first frame of every clip, rounded."""
    with FeatureCache.open(path) as cache:
        box_N4 = cache.read("face_box")[:, 0, 0]
        return dict(
            zip(cache.read("clip_id").tolist(), (box_N4[:, 0] + box_N4[:, 2]).round() / 2, strict=True)
        )


NONE, BLUE_NUMBER, BLUE_BOX = "", "P2,,,,,", ",78,40,112,70,0.9"


def test_extract_follows_the_named_subject_from_a_manifest(listed, folder, tmp_path, monkeypatch, capsys):
    run = partial(call, monkeypatch, capsys)
    listed(NONE, BLUE_NUMBER, BLUE_BOX)
    options = [
        "--encoder",
        modest_model(),
        "--encoder-weights",
        "random",
        "--detector",
        "haar",
        "--frames",
        4,
    ]
    options += ["--precision", "fp32", "--gpus", 0, "--cache", tmp_path / "feats.zarr"]
    code, _, err = run("extract", "--dataset", "manifest", "--root", folder, *options)
    assert code == 0, err
    assert centres(tmp_path / "feats.zarr") == {"a.mp4": 35, "b.mp4": 96, "c.mp4": 96}
    code, out, _ = run("cache", "verify", tmp_path / "feats.zarr", "--sample", 3)
    assert code == 0, out
    listed(NONE, "P3,,,,,", ",0,0,10,10,0.9")
    options[-1] = tmp_path / "failed.zarr"
    code, out, err = run("extract", "--dataset", "manifest", "--root", folder, *options)
    assert "1 done" in out, out
    with FeatureCache.open(tmp_path / "failed.zarr") as cache:
        assert cache.read("stage").tolist() == ["", "track", "track"]
        _, number, box = cache.read("reason").tolist()
    assert number.startswith("the named subject is person 3, and the clip has 2 people; allowed: 1 to 2.")
    assert box.startswith("no face at the named subject's box 0, 0, 10, 10 (in pixels) at 0.9 s: of 2 people")


def test_a_clip_of_one_file_with_two_named_subjects_has_two_tracks(folder, models):
    clips = [
        ClipRef(clip_id=str(n), path="a.mp4", label=0, splits=(Split.TRAIN,), subject=NamedSubject(person=n))
        for n in (1, 2, 3)
    ]
    red, blue, failed = process_block(folder, clips, models).outcomes
    assert (red.track.box_xyxy_px[:, 0] < 20).all()
    assert (blue.track.box_xyxy_px[:, 0] > 75).all()
    assert isinstance(failed, ClipFailed)
    assert failed.stage == "track"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (NONE, BLUE_NUMBER),
        (NONE, "P1,,,,,"),
        (BLUE_NUMBER, NONE),
        (BLUE_NUMBER, "P1,,,,,"),
        (BLUE_NUMBER, BLUE_BOX),
        (BLUE_BOX, BLUE_BOX.replace("0.9", "0.8")),
        (BLUE_BOX, BLUE_BOX.replace("112", "113")),
    ],
)
def test_another_subject_is_refused_where_a_cache_is_resumed(listed, models, tmp_path, before, after):
    path = tmp_path / "feats.zarr"
    extract(listed(NONE, before, NONE), models, path)
    message = (
        r"made differently: given_boxes_sha256 of 1 clip, first 'b\.mp4': .* here, .* there \(hash of the "
        r"face boxes and the named subject of the clip\)\. Give another --cache"
    )
    with pytest.raises(CacheError, match=message):
        extract(listed(NONE, after, NONE), models, path)


def test_the_same_subjects_are_accepted_and_only_new_clips_are_extracted(listed, models, tmp_path):
    path, index = tmp_path / "feats.zarr", listed(NONE, BLUE_NUMBER, BLUE_BOX)
    extract(dataclasses.replace(index, clips=index.clips[:2]), models, path)
    grown = extract(listed("", "2,,,,,", BLUE_BOX), models, path)
    assert grown.processed == 1
    assert centres(path) == {"a.mp4": 35, "b.mp4": 96, "c.mp4": 96}
    assert extract(index, models, path).processed == 0


def test_relabelling_keeps_the_subject_of_the_features(listed, models, tmp_path):
    path = tmp_path / "feats.zarr"
    index = listed(NONE, BLUE_NUMBER, NONE)
    extract(index, models, path)
    assert not relabel(path, listed(NONE, NONE, NONE)).any
    assert extract(index, models, path).processed == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"track": {"method": "nearest"}, "detector": {"name": "haar"}},
            r"names the subject of 2 clips \(columns subject_\.\.\.\), first 'b\.mp4', and track\.method="
            r"nearest does not find everyone; use --set track\.method=motion, or remove these columns\.$",
        ),
        (
            {"faces": {"source": "boxes"}},
            "first 'b.mp4', and --faces boxes follows the dataset's boxes; use --faces detector, or remove t",
        ),
        (
            {"faces": {"source": "crops"}, "streams": {"scene": "full"}},
            "first 'b.mp4', and --faces crops follows the dataset's crops; use --faces detector, or remove t",
        ),
    ],
)
def test_settings_that_follow_no_named_subject_are_refused_at_once(listed, tmp_path, settings, message):
    path, models = tmp_path / "feats.zarr", small_models_with(**settings)
    index = listed(NONE, BLUE_NUMBER, BLUE_BOX)
    box = ProvidedBoxes(box_xyxy=np.array([BLUE], np.float32))
    clips = [dataclasses.replace(clip, provided_boxes=box, face_path=clip.path) for clip in index.clips]
    with pytest.raises(DatasetError, match=message):
        extract(dataclasses.replace(index, clips=tuple(clips)), models, path)
    assert not path.exists()
    (outcome,) = process_block(index.root, clips[1:2], models).outcomes
    assert isinstance(outcome, ClipFailed)
    assert (outcome.stage, outcome.reason[:33]) == ("track", "the dataset names its subject, an")


BOX = ProvidedBoxes(box_xyxy=np.array([[1, 2, 3, 4]], np.float32))


def test_the_hash_of_a_clip_without_a_subject_is_that_of_its_boxes():
    clip = ClipRef(clip_id="a", path="a", label=0, splits=())
    assert clip.given_sha256 == ""
    assert dataclasses.replace(clip, provided_boxes=BOX).given_sha256 == BOX.sha256()


def test_every_part_of_a_subject_changes_the_hash():
    corners = (0.25, 0.5, 0.75, 1.0)
    subjects = [
        NamedSubject(person=1),
        NamedSubject(person=2),
        NamedSubject(box_xyxy=corners, seconds=1.0),
        NamedSubject(box_xyxy=corners, seconds=1.5),
        NamedSubject(box_xyxy=corners, seconds=1.0, is_relative=True),
        NamedSubject(box_xyxy=(0.2, *corners[1:]), seconds=1.0),
    ]
    clips = [
        ClipRef(clip_id="a", path="a", label=0, splits=(), subject=subject, provided_boxes=boxes)
        for subject in (None, *subjects)
        for boxes in (None, BOX)
    ]
    assert len({clip.given_sha256 for clip in clips}) == len(clips)
    assert NamedSubject(box_xyxy=corners, seconds=1).sha256() == subjects[2].sha256(), "1 s is 1.0 s"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "a subject has a number or a box, not None and None"),
        ({"person": 1, "box_xyxy": (1, 2, 3, 4), "seconds": 1.0}, "a number or a box, not 1 and"),
        ({"person": 0}, "people are numbered from 1, not 0"),
        ({"person": 1, "seconds": 1.0}, "a box has a time, and a number has none: None at 1.0 s"),
        ({"box_xyxy": (1, 2, 3, 4)}, r"a box has a time, and a number has none: \(1, 2, 3, 4\) at None s"),
        ({"box_xyxy": (1, 2, 3, 4), "seconds": float("nan")}, "times are finite, not nan"),
        ({"box_xyxy": (3, 2, 3, 4), "seconds": 1.0}, "x1 > x0"),
        ({"person": 1, "is_relative": True}, "only a box is in fractions of the frame"),
    ],
)
def test_a_subject_is_checked_at_birth(values, message):
    with pytest.raises(ValueError, match=message):
        NamedSubject(**values)
