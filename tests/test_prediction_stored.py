"""The growing files: equal after an interruption anywhere, refused if they are of another prediction."""

import io
import zipfile
from contextlib import suppress

import numpy as np
import pytest

from pipeline.errors import ConfigError, FileError, OusError
from pipeline.looks import LOOK_WIDTH
from pipeline.own_dir import OwnDir
from pipeline.process.windows import TrackPart
from pipeline.strict_json import from_json, to_json
from tests.small_predictions import face, windows
from trainer.prediction import growing_files as growing_module
from trainer.prediction.results import PersonTracks
from trainer.prediction.stored import (
    FACES_FILE,
    PROGRESS_FILE,
    TRACKS_FILE,
    WINDOWS_FILE,
    StoredPrediction,
)

SETTINGS = {"options": {"people": "all", "min_share": 0.5}, "cuts": [3, 4]}
PEOPLE = (PersonTracks(name="P1", tracks=("s00p1",), margin=1.5), PersonTracks(name="P2", tracks=("s01p1",)))


def part(tracklet, frame, *, ends=True):
    """Two detections of a tracklet."""
    random = np.random.default_rng(tracklet)
    return TrackPart(
        tracklet=tracklet,
        shot=0,
        rank=tracklet + 1,
        named=frame,
        frame_N=np.array([frame, frame + 1]),
        face_N=np.array([0, 1]),
        box_N4=random.uniform(size=(2, 4)).astype(np.float32),
        score_N=random.uniform(size=2).astype(np.float32),
        margin_N=np.array([np.inf, 0.1], np.float32),
        look_D=random.normal(size=LOOK_WIDTH).astype(np.float32) if ends else None,
    )


BATCHES = [
    (
        windows("hs-", start=2.0 * n),
        [face(n), face(n + 1)],
        [part(n, 2 * n)],
        {"counts": np.arange(n + 1)},
        n,
    )
    for n in range(4)
]


@pytest.fixture
def out(tmp_path):
    place = OwnDir.of(tmp_path / "out")
    place.make()
    return place


def opened(out, settings=None, *, restart=False):
    stored = StoredPrediction(out, settings or SETTINGS)
    return stored, stored.begin(restart=restart)


def write(out, batches=BATCHES, *, finish=True):
    stored, state = opened(out)
    assert state is None
    for batch in batches:
        stored.add(*batch)
    if finish:
        stored.finish(PEOPLE, 2, 100)


def content(out):
    return {name: (out.path / name).read_bytes() for name in (WINDOWS_FILE, FACES_FILE)}


def test_what_was_added_is_read(out):
    write(out)
    stored, state = opened(out)
    assert stored.is_done
    assert list(stored.windows()) == [answer for batch in BATCHES for answer in batch[0]]
    assert list(stored.faces()) == [one for batch in BATCHES for one in batch[1]]
    assert stored.people(state) == (PEOPLE, 2)


@pytest.mark.parametrize("done", range(5))
def test_lines_beyond_the_state_are_removed_and_the_rest_is_equal(out, tmp_path, done):
    whole = OwnDir.of(tmp_path / "whole")
    whole.make()
    write(whole)
    write(out, BATCHES[:done], finish=False)
    for name in (WINDOWS_FILE, FACES_FILE, TRACKS_FILE):
        with (out.path / name).open("ab") as file:
            file.write(b'{"half a line')
    stored, state = opened(out)
    assert (state is None) == (done == 0)
    if state is not None:
        assert np.array_equal(state["counts"], BATCHES[done - 1][3]["counts"])
        assert stored.frame == BATCHES[done - 1][4]
    for batch in BATCHES[done:]:
        stored.add(*batch)
    assert content(out) == content(whole)


def test_parts_of_tracks_are_read_to_the_bit_and_removed_at_the_end(out):
    write(out, finish=False)
    stored, _ = opened(out)
    found = list(stored.tracks())
    assert len(found) == len(BATCHES)
    for one, (_, _, (added,), _, _) in zip(found, BATCHES, strict=True):
        for name, value in vars(added).items():
            assert np.array_equal(getattr(one, name), value), name
            assert getattr(getattr(one, name), "dtype", None) == getattr(value, "dtype", None)
    stored.finish(PEOPLE, 2, 100)
    assert not (out.path / TRACKS_FILE).exists()
    (out.path / TRACKS_FILE).write_bytes(b"left by a crash")
    stored, _ = opened(out)
    assert list(stored.tracks()) == []
    assert not (out.path / TRACKS_FILE).exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"tracklet": -1},
        {"tracklet": "0"},
        {"rank": True},
        {"frame": [0]},
        {"frame": [0, -1]},
        {"frame": [0.0, 1.0]},
        {"frame": [0, 10**30]},
        {"face": None},
        {"box_xyxy_px": [[1, 2, 3]]},
        {"score": ["a", "b"]},
        {"margin": 3},
        {"look": "no base64!"},
        {"look": "AAAA"},
        {"more": 1},
    ],
)
def test_a_part_of_a_track_with_a_value_of_another_kind_is_named(out, changed):
    write(out, finish=False)
    lines = (out.path / TRACKS_FILE).read_text().splitlines()
    lines[1] = to_json({**from_json(lines[1]), **changed}, indent=None)
    (out.path / TRACKS_FILE).write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(FileError, match=r"tracks\.jsonl', line 2 is damaged; predict again with --restart"):
        list(StoredPrediction(out, SETTINGS).tracks())


def test_a_state_of_another_version_is_refused_in_one_line(out):
    write(out)
    with np.load(out.path / PROGRESS_FILE) as stored:
        state = {name: stored[name] for name in stored.files}
    settings = to_json({**SETTINGS, "format": 1}, indent=None).encode()
    state |= {"settings": np.frombuffer(settings, np.uint8), "lengths": state["lengths"][:2]}
    (out.path / PROGRESS_FILE).write_bytes(arrays(**state))
    with pytest.raises(ConfigError, match=r"has format 1 of another version .*format 2.*--restart"):
        opened(out)
    assert opened(out, restart=True)[1] is None


def test_other_settings_are_refused_by_name(out):
    write(out)
    other = {**SETTINGS, "options": {"people": "main", "min_share": 0.5}}
    with pytest.raises(ConfigError, match=r"people.*'?main'?.*another --out, or replace it with --restart"):
        opened(out, other)
    stored, state = opened(out, other, restart=True)
    assert (state, list(stored.windows()), list(stored.faces())) == (None, [], [])


def test_lines_without_a_state_are_not_touched(out):
    write(out)
    (out.path / PROGRESS_FILE).unlink()
    before = content(out)
    with pytest.raises(
        ConfigError, match=f"without {PROGRESS_FILE}; give another --out, or replace them with"
    ):
        opened(out)
    assert content(out) == before


@pytest.mark.parametrize("kept", [WINDOWS_FILE, FACES_FILE])
def test_a_shortened_file_is_refused(out, kept):
    write(out)
    path = out.path / kept
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileError, match=rf"{kept}' has \d+ bytes; \d+ are needed"):
        opened(out)
    path.unlink()
    with pytest.raises(OusError, match=kept):
        opened(out)


@pytest.mark.parametrize(
    "line", [b"no json", b"[]", b"null", b"{}", b'{"frame": 1}', b"1", b"[" * 5000, b'"text"']
)  # fmt: skip
@pytest.mark.parametrize("name", [WINDOWS_FILE, FACES_FILE])
def test_a_damaged_line_is_named(out, name, line):
    write(out)
    path = out.path / name
    first = path.read_bytes().split(b"\n")[0]
    path.write_bytes(first + b"\n" + line + b"\n" + b" " * path.stat().st_size)
    stored, _ = opened(out)
    with pytest.raises(FileError, match=f"{name}', line 2 is damaged; predict again with --restart"):
        list(stored.windows() if name == WINDOWS_FILE else stored.faces())


def bomb():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\0" * 5_000_000)
    return file.getvalue()


def arrays(**changed):
    file = io.BytesIO()
    np.savez(file, **changed)
    return file.getvalue()


DAMAGED = {
    "empty": b"",
    "no archive": b"PK\3\4" + b"\0" * 100,
    "no arrays": arrays(),
    "pickled": arrays(settings=np.array([{"a": 1}], dtype=object)),
    "no settings": arrays(lengths=np.zeros(2, np.int64)),
    "one length": arrays(settings=np.frombuffer(b"{}", np.uint8), lengths=np.zeros(1, np.int64)),
    "a bomb": bomb(),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_state_is_refused_in_one_line(out, kind, monkeypatch):
    write(out)
    monkeypatch.setattr(growing_module, "_MOST_BYTES", 1_000_000)
    (out.path / PROGRESS_FILE).write_bytes(DAMAGED[kind])
    with pytest.raises(ConfigError, match=f"{PROGRESS_FILE}' is damaged; predict again with --restart"):
        opened(out)


def test_every_truncation_and_many_changes_of_the_state_are_refused(out):
    write(out)
    whole = (out.path / PROGRESS_FILE).read_bytes()
    random = np.random.default_rng(0)
    changed = [whole[:length] for length in range(0, len(whole), 97)]
    for place in random.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        changed.append(bytes(damaged))
    for damaged in changed:
        (out.path / PROGRESS_FILE).write_bytes(damaged)
        with suppress(OusError):  # a change of a time or a comment of the archive is none
            opened(out)


def test_links_in_place_of_the_files_are_not_followed(out, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (out.path / WINDOWS_FILE).symlink_to(victim)
    with pytest.raises(OusError):
        opened(out)
    opened(out, restart=True)
    assert victim.read_text() == "mine"


@pytest.mark.parametrize(
    "changed",
    [
        {"shot": -1},
        {"num_frames": 0},
        {"first_frame": True},
        {"start_seconds": "0"},
        {"end_seconds": 10**400},
        {"track": 3},
        {"box_xyxy_px": [1, 2, 3]},
        {"answer": None},
        {"answer": "joy"},
        {"probability": {"happiness": "0.8"}},
        {"probability": [0.8]},
        {"face_run": {"happiness": 1.0}},
        {"polarity": {"good": 1.0}},
        {"reason": 1},
        {"flags": "short"},
    ],
)
def test_a_window_with_a_value_of_another_kind_is_named(out, changed):
    write(out)
    lines = (out.path / WINDOWS_FILE).read_text().splitlines()
    lines[0] = to_json({**from_json(lines[0]), **changed}, indent=None)
    (out.path / WINDOWS_FILE).write_text("".join(f"{line}\n" for line in lines))
    stored = StoredPrediction(out, SETTINGS)
    with pytest.raises(FileError, match=r"windows\.jsonl', line 1 is damaged; predict again with --restart"):
        list(stored.windows())
