"""The doctor with --deep: what only shows once a clip is opened."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.official_reader import Inventory
from pipeline.display.text import lines
from pipeline.doctor.decode_checks import Opened, check_opened, describe
from pipeline.doctor.inputs import Inputs
from pipeline.sheet import write_png
from tests.sick_trees import examined, healthy_ferv39k, kinds
from tests.tiny_videos import grey, with_matrix, write_picture, write_sound, write_two_videos, write_video


def picture(height, width, number=0):
    return np.full((height, width, 3), grey(number), np.uint8)


def clips_of(root, many=4, **how):
    """A folder data set of healthy clips, each of its own content."""
    (root / "joy").mkdir(parents=True)
    for number in range(many):
        pictures = [picture(48, 64, (frame + number) % 50) for frame in range(20 + number)]
        write_video(root / f"joy/{number}.mp4", pictures, **how)
    return root


def spoil(root):
    (root / "joy/0.mp4").write_bytes(b"no video at all")


def give_sound(root):
    (root / "joy/0.mp4").unlink()
    write_sound(root / "joy/sound.mp4")


def cut_short(root):
    write_video(root / "joy/0.mp4", 7)


def turn(root):
    with_matrix(root / "joy/0.mp4", (0, 1, -1, 0))


def vary_rate(root):
    write_video(
        root / "joy/0.mp4", 20, times=[frame if frame < 10 else 10 + 3 * (frame - 10) for frame in range(20)]
    )


def last_long(root):
    write_video(root / "joy/0.mp4", [picture(48, 64, frame % 50) for frame in range(400)])


def be_large(root):
    write_video(root / "joy/0.mp4", [picture(480, 640, frame) for frame in range(20)])


def damage(root):
    write_video(root / "joy/0.mp4", [noise(frame) for frame in range(30)], key_every=5)
    data = bytearray((root / "joy/0.mp4").read_bytes())
    start = data.index(b"mdat") + 4000
    data[start : start + 3000] = b"\x55" * 3000
    (root / "joy/0.mp4").write_bytes(data)


def cut_in_half(root):
    path = write_video(root / "joy/0.mkv", [noise(frame) for frame in range(20)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (root / "joy/0.mp4").unlink()


def join(root):
    part = write_video(root / "joy/part.ts", 10).read_bytes()
    (root / "joy/0.ts").write_bytes(part + part)
    (root / "joy/part.ts").unlink()


def be_hdr(root):
    write_video(root / "joy/0.mp4", 20, options={"x264-params": "transfer=smpte2084"})


def interlace(root):
    write_video(root / "joy/0.mp4", 20, options={"x264-params": "interlaced=1"})


def add_stream(root):
    write_two_videos(root / "joy/0.mkv", (1, 0))


def noise(seed):
    return np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)


PLANTED = {
    spoil: {"unreadable"},
    give_sound: {"audio-only"},
    cut_short: {"short"},
    turn: {"rotated"},
    vary_rate: {"rate-varies"},
    last_long: {"duration-odd"},
    be_large: {"size-odd"},
    damage: {"damaged"},
    cut_in_half: {"damaged", "short"},
    join: {"times"},
    be_hdr: {"hdr"},
    interlace: {"interlaced"},
    add_stream: {"video-streams", "short"},
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_fault_inside_a_clip_is_found_and_nothing_else(plant, tmp_path):
    root = clips_of(tmp_path)
    assert kinds("folder", root) == set(), "nothing shows from outside"
    plant(root)
    assert kinds("folder", root, is_deep=True) == PLANTED[plant]


@pytest.mark.parametrize(
    ("columns", "cells", "found"),
    [
        ("start_seconds,end_seconds", "0,1.9", None),
        (
            "start_seconds,end_seconds",
            "0,900",
            ("window-beyond-end", "end_seconds is 900, and the file ends at 2."),
        ),
        (
            "start_seconds,end_seconds",
            "300,900",
            ("window-beyond-end", "no frame begins from 300 s before 900 s"),
        ),
        (
            "start_seconds,end_seconds",
            "0.41,0.49",
            ("window-empty", "nearest frames begin at 0.40 s and 0.50 s"),
        ),
        ("x0,y0,x1,y1", "20,10,70,40", None),
        ("subject_x0,subject_y0,subject_x1,subject_y1,subject_seconds", "20,10,60,40,1", None),
        (
            "subject_x0,subject_y0,subject_x1,subject_y1,subject_seconds",
            "280,200,720,800,1",
            ("boxes-beyond-frame", "280, 200, 720, 800 (in pixels) has 0%"),
        ),
        ("x0,y0,x1,y1", "280,200,720,800", ("boxes-beyond-frame", "280, 200, 720, 800 (in pixels) has 0%")),
    ],
)
def test_windows_and_boxes_in_other_units_are_named_with_their_remedy(tmp_path, columns, cells, found):
    clips_of(tmp_path, many=1)
    (tmp_path / "manifest.csv").write_text(f"path,label,split,{columns}\njoy/0.mp4,joy,train,{cells}\n")
    report = examined("manifest", tmp_path / "manifest.csv", is_deep=True)
    units = {"unreadable", "window-beyond-end", "window-empty", "boxes-beyond-frame"}
    about = [(finding.kind, finding.cases[0]) for finding in report.findings if finding.kind in units]
    assert [kind for kind, _ in about] == ([found[0]] if found else [])
    assert found is None or found[1] in about[0][1]


def test_healthy_clips_give_no_finding_and_a_summary(tmp_path):
    report = examined("folder", clips_of(tmp_path), is_deep=True)
    assert report.findings == ()
    facts = "\n".join(report.facts)
    assert "frame size  64x48 (4)" in facts
    assert "durations   2.0 to 2.3 s, median 2.2" in facts
    assert "frames      20 to 23, median 21.5" in facts
    assert "--deep" not in "\n".join(lines(report))


def test_frames_of_two_sizes_are_found_wherever_they_are(tmp_path):
    def pictures(folder):
        folder.mkdir(parents=True)
        for number in range(1, 21):
            write_picture(folder / f"{number}.png")
            (folder / f"{number}.png").open("ab").write(folder.name.encode())

    root = healthy_ferv39k(tmp_path, forms=("frames",), pictures=pictures)
    assert kinds("ferv39k", root, is_deep=True) == set()
    folder = next(path for path in sorted((root / "3_ClipsforScenImages").glob("*/*/*")))
    write_png(picture(30, 40), folder / "2.png")
    assert kinds("ferv39k", root, is_deep=True, num_frames=4) == {"size-mixed"}


def inputs(form="video"):
    return Inputs(
        name="own",
        root=Path(),
        class_names=("joy",),
        fold_names=("1",),
        lists=(),
        inventory=Inventory(),
        clips={},
        form=form,
    )


def test_squares_of_a_crops_size_are_taken_for_faces_unless_they_are_asked_for():
    opened = {str(number): Opened(num_frames=9, width_px=224, height_px=224) for number in range(5)}
    assert [finding.kind for finding in check_opened(inputs(), opened)] == ["face-crops"]
    assert list(check_opened(inputs("crops"), opened)) == []
    opened["6"] = Opened(num_frames=9, width_px=640, height_px=360)
    assert list(check_opened(inputs(), opened)) == []


def test_nothing_that_opens_gives_no_summary():
    assert describe({"a": Opened(failure="open: empty")}) == []
