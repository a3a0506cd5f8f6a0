"""The annotated video has the frames, times and sound of its source, with the prediction drawn on them."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import ClipError
from pipeline.process import DecodePool, scan_source
from tests.long_videos import write_long
from tests.picture_folders import write_folder
from tests.small_predictions import RANDOM, face, prediction, window, windows
from tests.tiny_videos import write_sound, write_video, write_with_sound
from trainer.prediction import fonts
from trainer.prediction.drawn_text import put_text, text_mask, text_width, wrapped
from trainer.prediction.fonts import drawn_names
from trainer.prediction.overlay import FOOTER, Overlay
from trainer.prediction.overlay_tracks import PERSON_COLOURS
from trainer.prediction.results import NOTICE, Prediction, TrackedFace
from trainer.prediction.video import write_video as write_annotated

GREY = 128
SIZE = (240, 320)


def frames_of(path: Path) -> tuple[np.ndarray, list[float], float]:
    """Return pixels and times of all frames, and the length of the video stream."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        frames = list(file.decode(stream))
        length = float(stream.duration * stream.time_base)
        return np.stack([f.to_ndarray(format="rgb24") for f in frames]), [f.time for f in frames], length


def box(frame: int, left: float, track: str = "s00p1", rate: float = 10.0) -> TrackedFace:
    return TrackedFace(
        frame=frame, seconds=frame / rate, track=track, box_xyxy_px=(left, 60.0, left + 50, 120.0), score=0.9
    )


def plain(prediction: Prediction, number: int, seconds: float | None = 5.0, **options: str) -> np.ndarray:
    rgb = np.full((*SIZE, 3), GREY, np.uint8)
    Overlay(prediction, *SIZE).draw(rgb, number, seconds, **options)
    return rgb


def drawn_boxes(rgb: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return the bounds of all pixels of a colour."""
    rows, columns = np.nonzero((rgb == colour).all(axis=2))
    return columns.min(), rows.min(), columns.max(), rows.max()


# --- drawing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("top", [0.0, 20.0, 170.0])
@pytest.mark.parametrize("seconds", [1.0, 5.0])
def test_answer_and_bars_are_between_warnings_and_notice(monkeypatch, top, seconds) -> None:
    filled: list[tuple[int, int, int, int]] = []
    monkeypatch.setattr(
        "trainer.prediction.overlay.fill",
        lambda rgb, x0, y0, x1, y1, *_, **__: filled.append((x0, y0, x1, y1)),
    )
    near = replace(box(0, 100), box_xyxy_px=(100.0, top, 160.0, top + 70))
    made = prediction([window(0.0, "happiness")], faces=[near], banners=(RANDOM,))
    Overlay(made, *SIZE).draw(np.full((*SIZE, 3), GREY, np.uint8), 0, seconds)
    notice, warning = filled[-2:]
    assert (warning[1], notice[3]) == (0, SIZE[0])
    assert len(filled) > 2
    assert all(warning[3] <= y0 and y1 <= notice[1] for _, y0, _, y1 in filled[:-2])


def test_box_follows_the_face_between_two_detections() -> None:
    made = prediction([window(0.0, None)], faces=[box(0, 20), box(4, 40), box(40, 200)], stride=0.5)
    (track,) = Overlay(made, *SIZE).tracks
    assert track.box_at(0) == (20.0, 60.0, 70.0, 120.0)
    assert track.box_at(1) == (25.0, 60.0, 75.0, 120.0)
    assert track.box_at(4) == (40.0, 60.0, 90.0, 120.0)
    assert track.box_at(20) is None, "further than a stride from the next detection"
    by_time = replace(made.settings, stride_frames=None, stride_seconds=0.4)
    (timed,) = Overlay(replace(made, settings=by_time), *SIZE).tracks
    assert timed.box_at(1) == (25.0, 60.0, 75.0, 120.0)
    (slow,) = Overlay(replace(made, settings=replace(by_time, stride_seconds=0.3)), *SIZE).tracks
    assert slow.box_at(1) == (20.0, 60.0, 70.0, 120.0)
    assert slow.box_at(3) == (40.0, 60.0, 90.0, 120.0)


def test_first_and_last_frames_of_a_track_have_the_box_of_the_nearest_sampled_frame() -> None:
    """A window of 48 frames and 16 samples begins with the sample 1; the sample 46 is its last one."""
    one = replace(window(0.0, "happiness"), num_frames=48)
    other = replace(window(0.0, "happiness", track="s01p1", shot=1), first_frame=48, num_frames=48)
    faces = [box(1, 20), box(4, 40), box(46, 200), box(49, 220, "s01p1")]
    made = prediction([one, other], {"P1": ["s00p1", "s01p1"]}, faces=faces, cuts=[1.92], seconds=4.0)
    first, second = Overlay(made, *SIZE).tracks
    assert first.box_at(0) == (20.0, 60.0, 70.0, 120.0)
    assert first.box_at(47) == first.box_at(46)
    assert first.box_at(48) is None, "the window ends at the cut"
    assert second.box_at(47) is None
    assert second.box_at(48) == second.box_at(49) is not None
    assert first.box_at(20) is None, "the face was missed"


def test_frame_without_a_person_has_the_footer_alone() -> None:
    rgb = plain(prediction([]), 3)
    assert (rgb[:200] == GREY).all()
    assert (rgb[225:] != GREY).any()


def test_notice_is_whole_in_the_first_seconds() -> None:
    made = prediction([])
    early, late, untimed = plain(made, 3, 1.0), plain(made, 3, 3.5), plain(made, 3, None)
    rows = [int((rgb != GREY).any(axis=(1, 2)).sum()) for rgb in (early, late, untimed)]
    assert rows[0] == rows[2] > 2 * rows[1]
    assert len(wrapped(NOTICE, 9, 314)) > len(wrapped(FOOTER, 9, 314)) == 1


def test_banners_are_burnt_in_and_a_missing_frame_is_named() -> None:
    made = prediction([], banners=(RANDOM,))
    assert (plain(made, 0)[:8, 314:] == (170, 20, 20)).all()
    assert (plain(prediction([]), 0)[1] == GREY).all()
    assert (plain(prediction([]), 0, reason="it was lost")[1, 300] == (170, 20, 20)).all()


def test_people_have_colours_and_the_answer_of_their_time() -> None:
    answers = [*windows("hhhh"), *windows("sss-", track="s00p2")]
    faces = [face_at for n in range(0, 60, 5) for face_at in (box(n, 20), box(n, 200, "s00p2"))]
    people = {"Zoë": ("s00p1",), "unknown": ("s00p2",)}
    made = prediction(answers, people, faces=faces, seconds=3.5)
    rgb = plain(made, 10, 1.0)
    left, top, right, bottom = drawn_boxes(rgb, PERSON_COLOURS[0])
    assert (left, bottom) == (pytest.approx(20, abs=1), pytest.approx(120, abs=1))
    assert top < 60, "the label above the box"
    assert right > 75, "the bar of the answer beside the box"
    label = text_width("Zoë: happiness p=80%", 9)
    assert right < 200
    assert label > 50
    assert not (plain(made, 10, 1.0) == plain(made, 10, 3.4)).all(), "no answer is grey, without bars"
    assert drawn_boxes(plain(made, 10, 3.4), PERSON_COLOURS[0]) == drawn_boxes(rgb, PERSON_COLOURS[0])


def test_bars_of_neighbours_do_not_cover_each_other() -> None:
    answers = [*windows("hh"), *windows("ss", track="s00p2")]
    people = {"P1": ("s00p1",), "P2": ("s00p2",)}
    near = prediction(answers, people, faces=[box(0, 20), box(0, 120, "s00p2")])
    overlay = Overlay(near, *SIZE)
    taken = [(20, 60, 70, 120), (120, 60, 170, 120)]
    for person in list(taken):
        left, top = overlay._free_place(person, 90, 50, taken)
        place = (left, top, left + 90, top + 50)
        for other in taken:
            apart = (
                place[0] >= other[2] or other[0] >= place[2] or place[1] >= other[3] or other[1] >= place[3]
            )
            assert apart
        taken.append(place)


def test_text_at_the_edges_is_cut_and_accents_have_letters() -> None:
    rgb = np.zeros((20, 30, 3), np.uint8)
    for left, top in ((-5, -5), (25, 15), (40, 40), (-400, 3)):
        put_text(rgb, "Anna", left, top, 12, (255, 255, 255))
    assert rgb.any()
    assert not np.array_equal(text_mask("ü", 20), text_mask("ő", 20))
    assert text_mask("a\nb", 20).shape[0] == text_mask("a", 20).shape[0]
    assert wrapped("one two three", 12, 1) == ["one", "two", "three"]
    assert wrapped("", 12, 100) == [""]


# --- the file ---------------------------------------------------------------------------------------


def made_for(num_frames: int) -> Prediction:
    faces = [box(number, 10) for number in range(0, num_frames, 2)]
    return prediction(windows("hhs-"), faces=faces, banners=(RANDOM,), seconds=num_frames / 10)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("b.mkv", {"num_b_frames": 3, "rate": 24}),
        ("vfr.mkv", {"times": [n + 5 * (n // 10) + n // 7 for n in range(60)]}),
        ("late.mp4", {"times": range(7, 67)}),
    ],
)
def test_frames_and_times_are_those_of_the_source(
    tmp_path: Path, name: str, options: dict[str, object]
) -> None:
    path = write_long(tmp_path / name, 60, **options)  # type: ignore[arg-type]
    scan, target = scan_source(path, cuts=None), tmp_path / "out" / "annotated.mp4"
    with DecodePool(2) as pool:
        write_annotated(made_for(60), path, target, scan=scan, decoder=pool)
    rgb, times, length = frames_of(target)
    assert rgb.shape == (60, scan.height_px, scan.width_px, 3)
    np.testing.assert_allclose(times, scan.seconds_N - scan.seconds_N[0] + times[0], atol=2e-5)
    assert times[0] in (0.0, pytest.approx(scan.seconds_N[0]))
    assert times[-1] + (scan.end_seconds - scan.seconds_N[-1]) == pytest.approx(
        scan.end_seconds - scan.seconds_N[0] + times[0], abs=2e-3
    )
    assert length == pytest.approx(scan.end_seconds - scan.seconds_N[0], abs=2e-3)
    data = target.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index is in front"
    red = rgb[:, 1, 100:120].astype(int)
    assert (red[..., 0] > 120).all()
    assert (red[..., 1:] < 90).all(), "the banner is in the pixels of every frame"
    assert [entry.name for entry in target.parent.iterdir()] == ["annotated.mp4"]


def test_odd_sizes_get_a_further_row_and_column(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mp4", [np.full((49, 65, 3), 90, np.uint8)] * 5, codec="mpeg4", pix_fmt="yuv420p"
    )
    write_annotated(prediction([]), path, tmp_path / "b.mp4")
    rgb, _, _ = frames_of(tmp_path / "b.mp4")
    assert rgb.shape == (5, 50, 66, 3)


def test_directory_of_images(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", 10)
    for rate, last in ((5.0, 1.8), (None, 9 / 25)):
        scan = scan_source(folder, cuts=None, rate=rate)
        write_annotated(prediction([]), folder, tmp_path / "a.mp4", scan=scan)
        _, times, _ = frames_of(tmp_path / "a.mp4")
        assert len(times) == 10
        assert times[-1] == pytest.approx(last)


def sound_of(path: Path) -> tuple[str, float, float]:
    """Return codec, start and end of the sound."""
    with av.open(str(path)) as file:
        (stream,) = file.streams.audio
        frames = list(file.decode(stream))
        last = frames[-1]
        return stream.codec_context.name, frames[0].time, last.time + last.samples / last.sample_rate


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.mkv", "aac"), ("a.webm", "opus")])
def test_sound_is_copied_at_its_time(tmp_path: Path, name: str, codec: str) -> None:
    video = "libvpx-vp9" if name == "a.webm" else "libx264"
    path = write_with_sound(tmp_path / name, 30, video_at=0.5, codec=video, num_b_frames=0)
    scan = scan_source(path, cuts=None)
    write_annotated(prediction([]), path, tmp_path / "out.mp4", scan=scan)
    _, times, _ = frames_of(tmp_path / "out.mp4")
    assert times[0] == pytest.approx(0.5, abs=0.03)
    found, start, end = sound_of(tmp_path / "out.mp4")
    assert found == codec
    assert (start, end) == (pytest.approx(0, abs=0.05), pytest.approx(3.0, abs=0.08))
    write_annotated(
        prediction([]),
        path,
        tmp_path / "part.mp4",
        scan=scan_source(path, cuts=None, start_seconds=2.0),
        start_seconds=2.0,
    )
    _, times, _ = frames_of(tmp_path / "part.mp4")
    assert times[0] == pytest.approx(0.0, abs=0.06)
    assert len(times) == scan.num_frames - int((scan.seconds_N < 2.0).sum())
    assert sound_of(tmp_path / "part.mp4")[2] == pytest.approx(1.0, abs=0.1)


def test_sound_that_mp4_cannot_hold_becomes_aac(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = file.add_stream("pcm_s16le", rate=22050)
        sound.layout = "mono"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            file.mux(video.encode(frame))
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 2205), np.int16), "s16", "mono")
            samples.sample_rate, samples.pts, samples.time_base = 22050, 2205 * number, Fraction(1, 22050)
            file.mux(sound.encode(samples))
        file.mux(video.encode(None))
        file.mux(sound.encode(None))
    write_annotated(prediction([]), path, tmp_path / "out.mp4")
    codec, start, end = sound_of(tmp_path / "out.mp4")
    assert codec == "aac"
    assert (start, end) == (pytest.approx(0, abs=0.06), pytest.approx(2.0, abs=0.12))


def test_frame_that_does_not_decode_is_the_last_one_with_a_note(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 30)
    scan = scan_source(path, cuts=None)
    moved = scan.seconds_N.copy()
    moved[20:] += 0.01
    seen: list[float] = []
    write_annotated(
        prediction([]), path, tmp_path / "b.mp4", scan=replace(scan, seconds_N=moved), on_progress=seen.append
    )
    rgb, times, _ = frames_of(tmp_path / "b.mp4")
    assert len(times) == 30
    assert seen[-1] == pytest.approx(2.91)
    assert rgb[19, 0, 60, 0] < 120
    assert (rgb[20:, 1, 60, 0] > 120).all()


def test_nothing_is_left_of_a_file_that_fails(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.mp3")
    with pytest.raises(ClipError, match="no video stream"):
        write_annotated(prediction([]), tmp_path / "a.mp3", tmp_path / "out" / "b.mp4")
    path = write_video(tmp_path / "a.mp4", 10)

    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_annotated(prediction([]), path, tmp_path / "out" / "b.mp4", on_progress=stop)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.fixture
def no_other_fonts(monkeypatch, tmp_path):
    """Only the font of Matplotlib, and those that a test writes into a directory."""
    monkeypatch.setattr(fonts, "PLACES", (tmp_path,))
    caches = (fonts.font_with, fonts._fonts_of_machine, text_mask)
    for cache in caches:
        cache.cache_clear()
    yield tmp_path
    for cache in caches:
        cache.cache_clear()


@pytest.mark.usefixtures("no_other_fonts")
def test_a_name_whose_letters_no_font_has_is_a_number_and_a_note():
    named = {"Анна": ["s00p1"], "李": ["s00p2"], "王": ["s00p3"], "P3": ["s00p4"]}
    windows_of = [window(0.0, "happiness", track=f"s00p{n}") for n in range(1, 5)]
    made = prediction(windows_of, named)
    names, notes = drawn_names(made)
    assert [names[name] for name in named] == ["Анна", "P2", "s00p3", "P3"]
    assert [note.split(" in the")[0] for note in notes] == ["P2 stands for '李'", "s00p3 stands for '王'"]
    overlay = Overlay(made, *SIZE)
    assert (overlay.notes, [track.name for track in overlay.tracks]) == (notes, list(names.values())[-4:])


@pytest.mark.usefixtures("no_other_fonts")
def test_classes_in_other_letters_are_numbers():
    classes = ("高兴", "sadness")
    made = prediction([window(0.0, "高兴", probability={"高兴": 0.7, "sadness": 0.3})], class_names=classes)
    names, notes = drawn_names(made)
    assert [names[name] for name in classes] == ["class 1", "sadness"]
    assert len(notes) == 1
    rgb = np.zeros((*SIZE, 3), np.uint8)
    Overlay(replace(made, faces=(face(0),)), *SIZE).draw(rgb, 0, 0.0)
    assert rgb.any()


def test_a_font_of_the_machine_is_taken_if_it_has_the_letters(no_other_fonts, monkeypatch):
    assert fonts.font_with("Zoë") == fonts.default_font()
    assert fonts.font_with("李") is None
    (no_other_fonts / "no-font.ttf").write_bytes(b"no font")
    (no_other_fonts / "Serif-Regular.ttf").write_bytes(fonts.default_font().read_bytes())
    fonts._fonts_of_machine.cache_clear()
    fonts.font_with.cache_clear()
    monkeypatch.setattr(fonts, "default_font", lambda: None)
    assert fonts.font_with("Анна") == no_other_fonts / "Serif-Regular.ttf"
    assert fonts.font_with("李") is None
    assert not fonts.can_draw("李")
    assert fonts.can_draw("Anna")


def test_letters_from_the_right_need_a_library_that_orders_them(no_other_fonts, monkeypatch):
    monkeypatch.setattr(fonts.features, "check", lambda name: False)
    assert fonts.font_with("شادي") is None
