"""Cuts of drawn clips: found at their frames, and not where only a camera, a light or a person moves."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.errors import ClipError, ConfigError
from pipeline.frames import DecodeJob, FrameConfig, InlineDecoder, ShotConfig, decode_clip
from pipeline.frames.block_match import fraction_found, is_found_again
from pipeline.frames.cuts import CutFinder
from pipeline.frames.folder import decode_folder
from pipeline.pictures import PictureFolder
from pipeline.types import Frames
from tests.tiny_videos import texts, write_video

HEIGHT, WIDTH = 90, 160
FEW = FrameConfig(num_frames=4)


def scene(seed: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """A picture of shapes with a texture, [H, W, 3]; another seed shows others."""
    random = np.random.default_rng(seed)
    shapes, texture = (
        cv2.resize(
            random.integers(0, 256, (*grid, 3), dtype=np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC
        )
        for grid in ((4, 7), (18, 32))
    )
    return mixed(shapes, texture, 0.5)


def brighter(picture: np.ndarray, gain: float, offset: float = 0.0) -> np.ndarray:
    return np.clip(picture * gain + offset, 0, 255).astype(np.uint8)


def mixed(one: np.ndarray, other: np.ndarray, weight: float) -> np.ndarray:
    return np.round(one * (1 - weight) + other * weight).astype(np.uint8)


A, B, C = scene(1), scene(2), scene(3)


def plain(level: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


def found(
    pictures: Iterable[np.ndarray], rate: float = 25, config: ShotConfig | None = None
) -> tuple[int, ...]:
    finder = CutFinder(config or ShotConfig(), rate)
    for picture in pictures:
        finder.add(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"))
    return finder.cuts()


def seen(wide: np.ndarray, left: float, top: float = 0.0) -> np.ndarray:
    """The part of a wide picture that a camera shows."""
    y, x = round(top), round(left)
    return wide[y : y + HEIGHT, x : x + WIDTH]


def with_noise(pictures: Iterable[np.ndarray], sigma: float = 3.0) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [brighter(p + random.normal(0, sigma, p.shape), 1) for p in pictures]


# --- cuts that must be found, at their frames -------------------------------------------------------


@pytest.mark.parametrize("at", [1, 2, 3, 12, 22, 23])
def test_hard_cut_is_found_at_the_first_frame_of_the_new_picture(at: int) -> None:
    assert found(with_noise([A] * at + [B] * (24 - at))) == (at,)


def test_shots_of_four_frames_at_ten_frames_per_second() -> None:
    shots = [(A, B)[n // 4 % 2] for n in range(32)]
    assert found(with_noise(shots), rate=10) == tuple(range(4, 32, 4))


def test_zoom_by_a_cut() -> None:
    close = cv2.resize(A[20:65, 40:120], (WIDTH, HEIGHT))
    assert found(with_noise([A] * 12 + [close] * 12)) == (12,)


def test_cut_in_a_small_part_of_a_plain_background() -> None:
    """Shot and reverse shot before one wall: a quarter of the picture changes, but all of its texture."""
    one, other = plain(90), plain(90)
    one[15:75, 50:110], other[15:75, 50:110] = A[:60, :60], B[:60, :60]
    assert found(with_noise([one] * 8 + [other] * 8), rate=10) == (8,)


def test_black_before_the_picture_ends_at_the_first_frame_that_is_not_black() -> None:
    assert found([plain(0)] * 16 + [A] * 16) == (16,)
    rising = [plain(0)] * 16 + [brighter(A, n / 10) for n in range(1, 11)] + [A] * 10
    assert found(rising)[0] in (16, 17, 18)
    assert len(found(rising)) == 1


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("pause", [0, 1, 5, 60])
def test_fade_through_a_level_is_one_cut_where_the_new_picture_begins(level: int, pause: int) -> None:
    down = [mixed(A, plain(level), n / 6) for n in range(1, 7)]
    up = [mixed(plain(level), B, n / 6) for n in range(1, 7)]
    cuts = found([A] * 15 + down + [plain(level)] * pause + up + [B] * 15)
    assert len(cuts) == 1
    assert 0 <= cuts[0] - (21 + pause) <= 1


def test_fade_without_a_black_frame_is_one_cut_after_the_darkest() -> None:
    down = [brighter(A, g) for g in (0.8, 0.6, 0.4, 0.2)]
    up = [brighter(B, g) for g in (0.3, 0.5, 0.7, 0.9)]
    assert found([A] * 15 + down + up + [B] * 15) == (19,)


@pytest.mark.parametrize(("rate", "length"), [(25, 8), (25, 13), (25, 25), (10, 3), (10, 5), (10, 10)])
def test_dissolve_is_one_cut_at_its_middle(rate: int, length: int) -> None:
    between = [mixed(A, B, n / (length + 1)) for n in range(1, length + 1)]
    cuts = found(with_noise([A] * 40 + between + [B] * 40, sigma=1), rate=rate)
    assert len(cuts) == 1
    assert abs(cuts[0] - (40 + length // 2)) <= 1


def test_dissolves_are_not_searched_without_a_residual() -> None:
    between = [mixed(A, B, n / 14) for n in range(1, 14)]
    assert found([A] * 40 + between + [B] * 40, config=ShotConfig(most_residual=0)) == ()


def test_cut_with_one_mixed_frame_is_one_cut_after_it() -> None:
    assert found([A] * 12 + [mixed(A, B, 0.5)] + [B] * 12) == (13,)


def test_cut_with_a_flash_is_one_cut() -> None:
    assert found([A] * 12 + [plain(255)] + [B] * 12) == (13,)


def test_cuts_of_a_long_clip_do_not_depend_on_where_parts_of_it_begin() -> None:
    """Decisions are made for 128 frames at a time, with the frames around."""
    random = np.random.default_rng(0)
    lengths = random.integers(5, 30, 60)
    shots = [scene(100 + n, (45, 80)) for n, length in enumerate(lengths) for _ in range(length)]
    assert found(shots) == tuple(np.cumsum(lengths)[:-1].tolist())


# --- changes that are no cut ------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2])
def test_flash_is_no_cut(number: int) -> None:
    assert found([A] * 12 + [brighter(A, 1.5, 120)] * number + [A] * 12) == ()
    assert found([A] * 12 + [plain(255)] * number + [A] * 12) == ()
    assert found([A] * 12 + [B] * number + [A] * 12) == ()
    assert found([A] * 3 + [B] * number + [A] * 3) == ()


def test_black_for_half_a_second_between_parts_of_one_shot_is_two_cuts() -> None:
    """More than a flash: one cut at black and one at its end, as documented for cuts to black."""
    assert found([A] * 12 + [plain(0)] * 12 + [A] * 12) == (12, 24)


@pytest.mark.parametrize("step", [2, 10, 40])
def test_pan_is_no_cut(step: int) -> None:
    wide = np.hstack([A, B, C, scene(4), scene(5)])
    places = [0] * 8 + list(range(0, 4 * WIDTH - step, step)) + [4 * WIDTH - step] * 8
    assert found(seen(wide, x) for x in places) == ()


def test_shaking_is_no_cut() -> None:
    large = scene(6, (180, 320))
    by = np.random.default_rng(0).integers(10, 60, (60, 2))
    assert found(seen(large, x, y) for x, y in by) == ()
    jolt = [(40, 40)] * 20 + [(90, 60), (20, 70)] + [(40, 40)] * 20
    assert found(seen(large, x, y) for x, y in jolt) == ()


@pytest.mark.parametrize("rate", [10, 25])
def test_person_who_passes_close_to_the_camera_is_no_cut(rate: int) -> None:
    coat = brighter(cv2.GaussianBlur(B, (0, 0), 3), 0.4)
    step = 1000 // rate  # pixels per frame, so that 250 pixels pass in a quarter of a second
    pictures = []
    for n in range(60):
        left = -130 + step * (n - 20)
        picture = A.copy()
        picture[:, max(0, left) : max(0, left + 130)] = coat[:, max(0, left) : max(0, left + 130)]
        pictures.append(picture)
    assert found(with_noise(pictures), rate=rate) == ()


def test_overlay_that_appears_is_no_cut() -> None:
    titled = A.copy()
    titled[60:85, 10:150] = plain(0)[60:85, 10:150]
    cv2.putText(titled, "I never said", (14, 78), cv2.FONT_HERSHEY_DUPLEX, 0.6, (255, 255, 255), 1)
    assert found([A] * 12 + [titled] * 12 + [A] * 12) == ()


def test_person_who_appears_at_once_is_no_cut() -> None:
    """What was in view before is still there."""
    joined = A.copy()
    joined[10:90, 90:160] = B[10:90, 90:160]
    assert found([A] * 12 + [joined] * 12) == ()


@pytest.mark.parametrize("repeats", [2, 3])
def test_repeated_frames_are_no_cut(repeats: int) -> None:
    wide = np.hstack([A, B, C, scene(4), scene(5)])
    assert found((seen(wide, 12 * (n // repeats)) for n in range(40 * repeats)), rate=25 * repeats) == ()
    assert found(seen(wide, 12 * (n * 4 // 5)) for n in range(60)) == ()


def test_changing_light_is_no_cut() -> None:
    assert found(brighter(A, 0.3 if n % 2 else 1.0) for n in range(40)) == ()  # flicker
    assert found(brighter(A, 0.3 if n % 4 < 2 else 1.0) for n in range(40)) == ()  # strobe
    assert found([brighter(A, 0.3)] * 12 + [A] * 12) == ()  # a lamp
    assert found([A] * 12 + [brighter(A, n / 20) for n in range(20, 3, -1)] + [A] * 12) == ()


def test_noise_and_frozen_pictures_are_no_cut() -> None:
    assert found(with_noise([A] * 40, sigma=40)) == ()
    assert found([A] * 40) == ()
    assert found([plain(0)] * 40) == ()
    assert found(with_noise([plain(30)] * 40, sigma=40)) == ()


def test_fade_out_at_the_end_is_no_cut() -> None:
    assert found([A] * 20 + [brighter(A, n / 12) for n in range(12, -1, -1)] + [plain(0)] * 10) == ()


# --- frames of any kind -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", ["yuv420p", "yuv422p", "yuv444p10le", "yuv420p10le", "gray", "rgb24", "nv12"]
)
def test_pixel_formats(form: str) -> None:
    finder = CutFinder(ShotConfig(), 25)
    for picture in [A] * 10 + [B] * 10:
        finder.add(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=form))
    assert finder.cuts() == (10,)


def test_cut_of_an_interlaced_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        for seed in [1] * 10 + [2] * 10:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(scene(seed, (96, 160)), format="rgb24")))
        file.mux(stream.encode(None))
    meta = decode_clip(path, FEW, cuts=ShotConfig()).meta
    assert meta.cuts == (10,)
    assert "20 frames interlaced, not deinterlaced" in texts(meta.notes)


def test_another_frame_size_is_no_cut_and_a_cut_with_it_is_one() -> None:
    larger = cv2.resize(A, (320, 180))
    assert found([A] * 10 + [larger] * 10) == ()
    assert found([A] * 10 + [cv2.resize(B, (320, 180))] * 10) == (10,)


@pytest.mark.parametrize("size", [(1, 1), (2, 500), (500, 2), (17, 31)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    assert len(found([scene(1, size)] * 6 + [scene(2, size)] * 6)) <= 1


def test_frame_without_a_picture_repeats_the_one_before() -> None:
    finder = CutFinder(ShotConfig(), 25)
    for picture in [None, None, *[A] * 10, None, *[B] * 10]:
        finder.add(None if picture is None else av.VideoFrame.from_ndarray(picture, format="rgb24"))
    assert finder.num_added == 23
    assert finder.cuts() == (13,)


def test_no_frame_and_one_frame_have_no_cut() -> None:
    assert found([]) == found([A]) == ()


def test_memory_does_not_grow_with_the_length() -> None:
    finder = CutFinder(ShotConfig(), 25)
    frame = av.VideoFrame.from_ndarray(A, format="rgb24")
    for _ in range(1500):
        finder.add(frame)
    assert len(finder._pictures) < 300
    assert finder.num_added == 1500


# --- settings ---------------------------------------------------------------------------------------


def test_settings_out_of_range_are_rejected() -> None:
    with pytest.raises(ConfigError, match=r"shots.search is 'some'; allowed: videos, all, none"):
        ShotConfig(search="some")
    for name in ("least_change", "least_ratio", "most_kept", "blank_contrast", "most_residual"):
        with pytest.raises(ConfigError, match=f"shots.{name}"):
            ShotConfig(**{name: -1.0})  # type: ignore[arg-type]


def test_thresholds_decide() -> None:
    weak = [A] * 12 + [mixed(A, B, 0.3)] * 12
    assert found(weak, config=ShotConfig(most_kept=1.0, least_change=1.0)) == (12,)
    assert found(weak, config=ShotConfig(most_kept=1.0, least_change=200.0)) == ()
    assert found([A] * 12 + [B] * 12, config=ShotConfig(most_kept=0.01)) in ((), (12,))


def test_blocks_are_found_again_after_a_shift_and_another_light() -> None:
    grey = cv2.cvtColor(scene(7, (72, 128)), cv2.COLOR_RGB2GRAY)
    one, other = grey[:56, :96], brighter(grey[6:62, 11:107], 0.6, 20)
    assert fraction_found(one, other) > 0.5
    assert is_found_again(one, other, 0.5)
    assert not is_found_again(one, cv2.cvtColor(scene(8, (56, 96)), cv2.COLOR_RGB2GRAY), 0.5)
    assert fraction_found(np.full((56, 96), 9, np.uint8), one) == 0.0


# --- in decode_clip ---------------------------------------------------------------------------------


def require_same(one: Frames, other: Frames) -> None:
    """Both are equal to the bit but for the cuts."""
    assert np.array_equal(one.rgb_UHWC, other.rgb_UHWC)
    a, b = replace(one.meta, cuts=None), replace(other.meta, cuts=None)
    for name in ("index_U", "seconds_U", "position_VT", "valid_VT"):
        assert np.array_equal(getattr(a, name), getattr(b, name), equal_nan=name == "seconds_U"), name
    for name in ("flip_V", "num_decoded", "height_px", "width_px", "notes"):
        assert getattr(a, name) == getattr(b, name), name


def clip_with_cuts(path: Path, cuts: Iterable[int], num_frames: int = 120, **kwargs: object) -> Path:
    """A video at 10 frames/s whose picture is another one from each cut on."""
    edges = np.array([*cuts])
    pictures = [scene(40 + int((edges <= n).sum())) for n in range(num_frames)]
    return write_video(path, with_noise(pictures), **kwargs)  # type: ignore[arg-type]


def test_cuts_of_a_file_are_numbers_of_its_frames(tmp_path: Path) -> None:
    path = clip_with_cuts(tmp_path / "a.mp4", (16, 30, 75), num_b_frames=2)
    plainly, searched = decode_clip(path, FEW), decode_clip(path, FEW, cuts=ShotConfig())
    assert plainly.meta.cuts is None
    assert searched.meta.cuts == (16, 30, 75)
    require_same(plainly, searched)
    assert decode_clip(path, FEW, cuts=ShotConfig(search="none")).meta.cuts is None


def test_cuts_if_a_second_pass_is_needed(tmp_path: Path) -> None:
    """The file announces more frames than decode, so that the sampled ones change."""
    path = clip_with_cuts(tmp_path / "a.mp4", (10, 20), 40, index_first=True)
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) * 7 // 8])
    plainly, searched = decode_clip(path, FEW), decode_clip(path, FEW, cuts=ShotConfig())
    require_same(plainly, searched)
    assert 20 < plainly.meta.num_decoded < 40
    assert searched.meta.cuts == (10, 20)


CUTS = (10, 25, 33, 60, 71, 90)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts"])
@pytest.mark.parametrize("key_every", [1, 10, 120])
def test_window_has_the_cuts_of_the_file(tmp_path: Path, name: str, key_every: int) -> None:
    path = clip_with_cuts(tmp_path / name, CUTS, key_every=key_every, options={"x264-params": "scenecut=0"})
    for start, end in (
        (0.0, 3.0),
        (0.95, 2.6),
        (2.5, 6.1),
        (2.45, 7.15),
        (3.3, 3.4),
        (8.9, None),
        (None, 6.05),
    ):
        clip = {"start_seconds": start, "end_seconds": end}
        plainly = decode_clip(path, FEW, **clip)  # type: ignore[arg-type]
        searched = decode_clip(path, FEW, cuts=ShotConfig(), **clip)  # type: ignore[arg-type]
        require_same(plainly, searched)
        whole = decode_clip(path, FrameConfig(num_frames=200))
        seconds = whole.meta.seconds_U
        first = int(np.searchsorted(seconds, (start or 0.0) - 1e-6))
        expected = tuple(n - first for n in CUTS if 0 < n - first < plainly.meta.num_decoded)
        assert searched.meta.cuts == expected, (start, end)


def test_fade_at_the_edge_of_a_window_is_the_same_in_both_windows(tmp_path: Path) -> None:
    down = [brighter(A, n / 5) for n in range(4, -1, -1)]
    up = [brighter(B, n / 5) for n in range(1, 6)]
    path = write_video(tmp_path / "a.mp4", [A] * 25 + down + up + [B] * 25)
    whole = decode_clip(path, FEW, cuts=ShotConfig()).meta.cuts
    assert whole is not None
    assert len(whole) == 1
    edge = whole[0] / 10
    for start, end in ((edge - 0.25, edge + 0.15), (edge - 0.15, edge + 1.05)):
        frames = decode_clip(path, FEW, start_seconds=start, end_seconds=end, cuts=ShotConfig())
        first = int(np.ceil(10 * start - 1e-6))
        assert frames.meta.cuts == (whole[0] - first,)


def test_cut_at_the_first_frame_of_a_window_is_no_cut_of_it(tmp_path: Path) -> None:
    path = clip_with_cuts(tmp_path / "a.mp4", (30,), 60)
    frames = decode_clip(path, FEW, start_seconds=3.0, end_seconds=5.0, cuts=ShotConfig())
    assert frames.meta.cuts == ()


def test_margin_is_decoded_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip_with_cuts(tmp_path / "a.mp4", (30,), 120, key_every=5)
    added: list[int] = []
    monkeypatch.setattr(CutFinder, "add", lambda self, frame: added.append(round(10 * frame.time)))
    monkeypatch.setattr(CutFinder, "cuts", lambda self: ())
    decode_clip(path, FEW, start_seconds=5.0, end_seconds=7.0, cuts=ShotConfig())
    assert added == list(range(40, 80))


def test_empty_window_has_the_same_error_with_a_search(tmp_path: Path) -> None:
    path = clip_with_cuts(tmp_path / "a.mp4", (30,), 60)
    messages = []
    for cuts in (None, ShotConfig()):
        with pytest.raises(ClipError) as raised:
            decode_clip(path, FEW, start_seconds=2.01, end_seconds=2.09, cuts=cuts)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


def test_damage_in_the_margin_is_no_damage_of_the_window(tmp_path: Path) -> None:
    path = clip_with_cuts(tmp_path / "a.mkv", (30,), 100, key_every=10)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        packets = {round(p.pts * p.time_base * 10): (p.pos, p.size) for p in file.demux(stream) if p.size}
    data = bytearray(path.read_bytes())
    for number in (24, 55):
        position, size = packets[number]
        data[position + 12 : position + size] = bytes(size - 12)
    path.write_bytes(data)
    clip = {"start_seconds": 3.0, "end_seconds": 5.0}
    plainly = decode_clip(path, FEW, **clip)  # type: ignore[arg-type]
    require_same(plainly, decode_clip(path, FEW, cuts=ShotConfig(), **clip))  # type: ignore[arg-type]


def test_job_carries_the_search_to_the_decoder(tmp_path: Path) -> None:
    path = clip_with_cuts(tmp_path / "a.mp4", (16,), 40)
    job = DecodeJob(path=path, config=FEW)
    answers = [
        answer
        for _, answer in InlineDecoder().stream(
            [
                job,
                replace(job, cuts=ShotConfig()),
            ]
        )
    ]
    assert [answer.frames.meta.cuts for answer in answers] == [None, (16,)]  # type: ignore[union-attr]


# --- in directories of images -----------------------------------------------------------------------


def picture_folder(path: Path, pictures: Iterable[np.ndarray]) -> PictureFolder:
    path.mkdir()
    for number, picture in enumerate(pictures):
        assert cv2.imwrite(str(path / f"{number:03}.png"), picture[..., ::-1])
    return PictureFolder.at(path, None)


def test_directory_is_searched_only_if_all_clips_are(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "clip", [A] * 10 + [B] * 10)
    for search, expected in (("videos", None), ("none", None), ("all", (10,))):
        clip = decode_folder(folder, FEW, cuts=ShotConfig(search=search))
        assert clip.frames.meta.cuts == expected
        require_same(decode_folder(folder, FEW).frames, clip.frames)


def test_broken_image_that_is_not_sampled_stays_counted(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "clip", [A] * 10 + [B] * 10)
    for number in (0, 9):
        broken = folder.path / f"{number:03}.png"
        broken.write_bytes(broken.read_bytes()[:200])
    clip = decode_folder(folder, FEW, cuts=ShotConfig(search="all"))
    assert clip.frames.meta.num_decoded == 20
    assert clip.frames.meta.cuts == (10,)


# --- types ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [(0,), (5, 5), (7, 3), (40,), (-1,)])
def test_cuts_of_a_clip_rise_within_its_frames(tmp_path: Path, cuts: tuple[int, ...]) -> None:
    meta = decode_clip(clip_with_cuts(tmp_path / "a.mp4", (16,), 40), FEW).meta
    with pytest.raises(ValueError, match="cuts must rise from 1 to 39"):
        replace(meta, cuts=cuts)
    assert replace(meta, cuts=(1, 39)).cuts == (1, 39)


# --- real videos ------------------------------------------------------------------------------------


@pytest.mark.data
def test_search_changes_nothing_of_the_shared_videos(test_data: Path) -> None:
    videos = [path for path in sorted((test_data / "videos").glob("*/*")) if path.suffix != ".wav"]
    assert len(videos) > 30
    for path in videos:
        for clip in ({}, {"start_seconds": 0.7, "end_seconds": 1.9}):
            results = []
            for cuts in (None, ShotConfig()):
                try:
                    results.append(decode_clip(path, FEW, cuts=cuts, **clip))  # type: ignore[arg-type]
                except ClipError as error:
                    results.append(str(error))
            if isinstance(results[0], Frames):
                require_same(*results)
            else:
                assert results[0] == results[1], path.name


@pytest.mark.data
def test_recordings_of_one_person_have_no_cut(test_data: Path) -> None:
    for folder in ("people", "labelled"):
        for path in sorted((test_data / "videos" / folder).iterdir()):
            expected = (73,) if path.name == "face_noface.mov" else ()  # a face, a black frame, a cartoon
            assert decode_clip(path, FEW, cuts=ShotConfig()).meta.cuts == expected, path.name
