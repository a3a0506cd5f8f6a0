import dataclasses
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
import pytest
import torch

from pipeline.errors import ClipError, ConfigError
from pipeline.faces import no_faces
from pipeline.frames import InlineDecoder
from pipeline.process import DecodePool, Pace, StageSeconds, prepare, prepare_clip, process_block
from pipeline.types import ClipDone, ClipFailed, ClipRef, Faces, ProvidedBoxes, Split
from tests.picture_folders import write_folder
from tests.small_clips import small_models, small_models_with, write_clips, write_video
from tests.tiny_videos import read_plainly, texts


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"))


def test_every_clip_has_one_outcome_and_failures_are_values(index):
    outcomes = process_block(index.root, index.clips, small_models()).outcomes
    by_name = dict(zip((clip.clip_id for clip in index.clips), outcomes, strict=True))
    assert isinstance(by_name["clips/bad.mp4"], ClipFailed)
    assert by_name["clips/bad.mp4"].stage == "open"
    assert by_name["clips/empty.mp4"].reason == "the file is empty"
    done = [outcome for outcome in outcomes if isinstance(outcome, ClipDone)]
    assert len(done) == 7
    assert by_name["clips/good0.mp4"].track.has_face
    assert not by_name["clips/good2.mp4"].track.has_face


def test_features_are_the_encoder_s_own_on_the_prepared_pictures(index):
    models = small_models()
    clip = next(clip for clip in index.clips if clip.clip_id == "clips/good3.mp4")
    (outcome,) = process_block(index.root, [clip], models).outcomes
    streams = prepare_clip(index.root, clip, models)[0].streams
    mean, std = (torch.tensor(v)[:, None, None] for v in (models.clip.mean, models.clip.std))
    for stream, stored in (
        (streams.face_U3SS, outcome.features.face_embedding),
        (streams.scene_U3SS, outcome.features.scene_embedding),
    ):
        with torch.no_grad():
            plain = models.clip.model.encode_image((stream.float() / 255 - mean) / std)
        np.testing.assert_allclose(stored[0].astype(np.float32), plain.numpy(), rtol=1e-3, atol=1e-3)


def test_a_clip_does_not_depend_on_its_neighbours(index):
    good = [clip for clip in index.clips if "good" in clip.clip_id]
    together = process_block(index.root, good, small_models()).outcomes
    alone = [process_block(index.root, [clip], small_models()).outcomes[0] for clip in good]
    for one, other in zip(together, alone, strict=True):
        for field in dataclasses.fields(one.features):
            np.testing.assert_array_equal(
                getattr(one.features, field.name), getattr(other.features, field.name)
            )


def test_children_that_decode_give_the_same_bytes_and_two_threads_can_share_the_models(index):
    plain = process_block(index.root, index.clips, small_models())
    with DecodePool(2) as pool, ThreadPoolExecutor(2) as threads:
        ask = partial(process_block, index.root, index.clips, small_models(), decoder=pool)
        both = [threads.submit(ask), threads.submit(ask)]
        for block_outcome in (future.result() for future in both):
            assert block_outcome.num_pictures == plain.num_pictures == 2 * (6 * 4 + 3)
            for one, other in zip(block_outcome.outcomes, plain.outcomes, strict=True):
                assert type(one) is type(other)
                if isinstance(one, ClipFailed):
                    assert one == other
                else:
                    np.testing.assert_array_equal(one.features.scene_early, other.features.scene_early)
                    assert one.source == other.source


def test_every_stage_is_timed(index):
    seconds = process_block(index.root, index.clips, small_models()).seconds
    assert min(seconds.decode, seconds.detect, seconds.encode) > 0
    assert seconds.write == 0
    total = StageSeconds(encode=1.0)
    total.add(seconds)
    assert total.encode == 1.0 + seconds.encode


def test_what_progress_raises_ends_the_block(index):
    def stop(_clips):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process_block(index.root, index.clips, small_models(), on_progress=stop)


def test_a_short_clip_repeats_its_last_frame_as_invalid(index):
    clip = next(clip for clip in index.clips if clip.clip_id == "clips/good1.mp4")
    (outcome,) = process_block(index.root, [clip], small_models()).outcomes
    assert outcome.frames.valid_VT.tolist() == [[True, True, True, False]]
    np.testing.assert_array_equal(
        outcome.features.face_embedding[0, 2], outcome.features.face_embedding[0, 3]
    )


def test_the_second_view_is_the_mirrored_first(index):
    models = small_models_with(frames={"num_views": 3})
    clip = index.clips[-1]
    (outcome,) = process_block(index.root, [clip], models).outcomes
    streams = prepare_clip(index.root, clip, models)[0].streams
    first = outcome.frames.position_VT[0]
    mirrored = models.encoder.encode(streams.face_U3SS[first].flip(-1), early=False).embedding_NF
    np.testing.assert_array_equal(outcome.features.face_embedding[1], mirrored.numpy().astype(np.float16))
    assert not np.array_equal(outcome.features.face_embedding[1], outcome.features.face_embedding[0])
    assert outcome.frames.flip_V == (False, True, False)


def test_a_value_beyond_float16_fails_its_clip_alone(index, monkeypatch):
    models = small_models()
    encode = models.encoder.encode

    def too_large(pictures, *, early, on_batch=None):
        encoded = encode(pictures, early=early, on_batch=on_batch)
        if not early:
            return encoded
        largest = encoded.largest_N3.clone()
        largest[0, 1] = 7e4
        return dataclasses.replace(encoded, largest_N3=largest)

    monkeypatch.setattr(models.encoder, "encode", too_large)
    good = [clip for clip in index.clips if "good" in clip.clip_id]
    first, *rest = process_block(index.root, good, models).outcomes
    assert first.stage == "encode"
    assert first.reason == "scene/early holds 70000, beyond the range of float16"
    assert all(isinstance(outcome, ClipDone) for outcome in rest)


def test_an_unexpected_error_names_its_step_and_memory_errors_pass(index, monkeypatch):
    def broken(*_args, **_more):
        raise RuntimeError("no such luck")  # noqa: TRY003

    monkeypatch.setattr(prepare.track_step, "nearest_track", broken)
    with pytest.raises(ClipError, match="track: unexpected RuntimeError: no such luck"):
        prepare_clip(index.root, index.clips[-1], small_models())

    def hungry(*_args, **_more):
        raise MemoryError

    monkeypatch.setattr(prepare.track_step, "nearest_track", hungry)
    with pytest.raises(MemoryError):
        process_block(index.root, index.clips[-1:], small_models())


def test_a_fault_of_the_gpu_is_no_failure_of_a_clip(index, monkeypatch):
    def faulty(*_args, **_more):
        raise RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED")  # noqa: TRY003

    monkeypatch.setattr(prepare.track_step, "nearest_track", faulty)
    with pytest.raises(RuntimeError, match="CUDNN_STATUS"):
        process_block(index.root, index.clips[-1:], small_models())


def test_progress_adds_up_to_the_clips(index):
    for clips in (index.clips, [clip for clip in index.clips if "good" not in clip.clip_id]):
        steps = []
        process_block(index.root, clips, small_models(), on_progress=steps.append)
        assert sum(steps) == pytest.approx(len(clips))


@pytest.mark.parametrize(
    ("pace", "elapsed", "num_images", "expected"),
    [
        (Pace(), 0, 16, True),  # the first whole batch, whose time is unknown
        (Pace(), 99, 0, False),
        (Pace(seconds_per_image=0.01), 2, 16, False),
        (Pace(seconds_per_image=0.01), 9.7, 16, True),
        (Pace(seconds_per_image=0.4), 0, 16, True),
    ],
)
def test_images_are_encoded_early_where_much_would_be_lost(pace, elapsed, num_images, expected):
    assert pace.is_due(elapsed, num_images) == expected


@pytest.mark.parametrize("batch", [1, 3, 4, 7])
def test_a_block_in_parts_has_the_same_outcomes(index, batch):
    """Whatever the images of a batch: clips of 4 frames, and one of 3, are then split between batches."""
    models, found, steps = small_models_with(features={"batch_pictures": batch}), [], []
    plain = process_block(index.root, index.clips, models)
    parts = process_block(
        index.root, index.clips, models, pace=Pace(seconds=0),
        on_finished=lambda so_far: found.append(dict(so_far)), on_progress=steps.append,
    )  # fmt: skip
    assert len(found) > 3
    assert [len(one) for one in found] == sorted({len(one) for one in found}), "each has more than the last"
    assert (parts.num_pictures, sum(steps)) == (plain.num_pictures, pytest.approx(len(index.clips)))
    for place, (one, other) in enumerate(zip(parts.outcomes, plain.outcomes, strict=True)):
        for outcome in (one, *(so_far[place] for so_far in found if place in so_far)):
            assert type(outcome) is type(other)
            if isinstance(outcome, ClipDone):
                assert_equal_features(outcome.features, other.features)


def test_only_whole_batches_are_encoded_before_the_end(index, monkeypatch):
    models, sizes = small_models_with(features={"batch_pictures": 7}), []
    encode = models.encoder.encode
    monkeypatch.setattr(
        models.encoder, "encode", lambda images, **more: sizes.append(len(images)) or encode(images, **more)
    )
    process_block(index.root, index.clips, models, pace=Pace(seconds=0), on_finished=lambda _: None)
    faces = sizes[::2]
    assert sum(faces) == sum(sizes[1::2]) == 7 * 4 - 1
    assert len(faces) > 2
    assert [size % 7 for size in faces[:-1]] == [0] * (len(faces) - 1)


def test_clips_that_need_no_encoder_are_stored_in_time(index):
    """Such as clips that fail after a long time, and those of an earlier cache."""
    bad, found = [clip for clip in index.clips if "good" not in clip.clip_id], []
    process_block(
        index.root, bad, small_models(), pace=Pace(seconds=0), on_finished=lambda x: found.append(len(x))
    )
    assert found == list(range(1, len(bad)))


def assert_equal_features(one, other):
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


def test_identity_ignores_paths_and_batches_and_nothing_else():
    base = small_models().identity()
    assert small_models_with(features={"batch_pictures": 16}).identity() == base
    for section, change in (
        ("frames", {"num_frames": 5}),
        ("frames", {"num_views": 2}),
        ("streams", {"scene": "full"}),
        ("streams", {"face_margin": 1.5}),
        ("features", {"precision": "bf16"}),
        ("encoder", {"seed": 1}),
        ("detector", {"name": "haar"}),
    ):
        assert small_models_with(**{section: change}).identity() != base, (section, change)


# Folders of pictures, and ready face crops


@cache
def crop_models():
    return small_models_with(faces={"source": "crops"}, streams={"scene": "full"})


def clip_of(path, **values):
    return ClipRef(clip_id=path, path=path, label=0, splits=(Split.TRAIN,), **values)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """One video, its own frames as pictures, and crops of all but the last ten of its 14 frames."""
    root = tmp_path_factory.mktemp("pictures")
    write_video(root / "video.mp4", num_frames=14)
    frames = read_plainly(root / "video.mp4")
    write_folder(root / "frames", frames)
    write_folder(root / "faces", {f"x_{n + 1:03d}.png": frames[n][: 40 + n, :60] for n in range(4)})
    write_folder(root / "every", [frame[:40, :60] for frame in frames])
    write_folder(root / "square", [frame[:50, 10:60] for frame in frames])
    (root / "empty").mkdir()
    return root


@pytest.mark.parametrize("settings", [{"faces": {"source": "boxes"}}, {"detector": {"name": "haar"}}])
def test_a_video_and_its_own_frames_as_pictures_have_equal_features(pictures, settings):
    models = small_models_with(**settings)
    box = ProvidedBoxes(box_xyxy=np.array([[20, 10, 60, 70]], np.float32))
    clips = [clip_of(path, provided_boxes=box) for path in ("video.mp4", "frames")]
    one, other = process_block(pictures, clips, models).outcomes
    for field in dataclasses.fields(one.features):
        np.testing.assert_array_equal(getattr(one.features, field.name), getattr(other.features, field.name))
    np.testing.assert_array_equal(one.frames.index_U, other.frames.index_U)
    assert np.isnan(other.frames.seconds_U).all()


@pytest.mark.parametrize("path", ["frames", "video.mp4"])
def test_ready_crops_are_the_face_stream(pictures, path):
    clip = clip_of(path, face_path="every")
    prepared, _ = prepare_clip(pictures, clip, crop_models())
    assert prepared.track.found.all()
    assert np.isnan(prepared.track.box_xyxy_px).all()
    assert prepared.track.score.tolist() == [1, 1, 1, 1]
    boxes = ProvidedBoxes(box_xyxy=np.array([[0, 0, 60, 40]], np.float32))
    plain, _ = prepare_clip(
        pictures,
        clip_of(path, provided_boxes=boxes),
        small_models_with(streams={"scene": "full", "face_margin": 1.0}),
    )
    assert torch.equal(prepared.streams.scene_U3SS, plain.streams.scene_U3SS)
    face, other = prepared.streams.face_U3SS.float(), plain.streams.face_U3SS.float()
    middle = slice(50, -50)  # below, the box's square shows the picture, the crop's is filled
    torch.testing.assert_close(face[:, :, middle], other[:, :, middle], atol=1.0, rtol=0)
    assert not torch.equal(face[:, :, -20:], other[:, :, -20:])


def test_frames_without_a_crop_are_told_and_a_clip_without_any_is_done_without_a_face(pictures):
    models = crop_models()
    some, none, gone, unnamed = process_block(
        pictures,
        [
            clip_of("frames", face_path="faces"),
            clip_of("frames", face_path="empty"),
            clip_of("frames", face_path="gone"),
            clip_of("frames"),
        ],
        models,
    ).outcomes
    assert some.frames.index_U.tolist() == [1, 5, 8, 12]
    assert some.track.found.tolist() == [True, False, False, False]
    assert some.track.score.tolist() == [1, 0, 0, 0]
    assert texts(some.frames.notes) == ("3 sampled frames without a face crop of its own",)
    for outcome, note in [
        (none, "no face crop in its directory"),
        (gone, "no directory of face crops 'gone'"),
        (unnamed, "the data set has no face crops for it"),
    ]:
        assert not outcome.track.has_face
        assert outcome.frames.notes[0].text == note
    plain = process_block(
        pictures, [clip_of("frames")], small_models_with(streams={"scene": "full"})
    ).outcomes[0]
    np.testing.assert_array_equal(none.features.face_embedding, plain.features.face_embedding)
    assert gone.source == unnamed.source == plain.source != some.source


def test_a_clip_of_aligned_faces_is_its_own_crop(pictures):
    squares, video = process_block(
        pictures,
        [clip_of("square", face_path="square"), clip_of("video.mp4", face_path="video.mp4")],
        crop_models(),
    ).outcomes
    assert squares.track.found.all()
    assert video.track.found.all()
    np.testing.assert_array_equal(squares.features.face_embedding, squares.features.scene_embedding)
    plain = process_block(pictures, [clip_of("square")], small_models_with(streams={"scene": "full"}))
    assert squares.source == plain.outcomes[0].source
    np.testing.assert_array_equal(
        squares.features.scene_embedding, plain.outcomes[0].features.scene_embedding
    )


def test_children_that_decode_give_the_same_bytes_for_pictures_and_crops(pictures):
    clips = [clip_of("frames", face_path=name) for name in ("every", "faces", "empty", "frames")]
    clips.append(clip_of("video.mp4", face_path="every"))
    plain = process_block(pictures, clips, crop_models()).outcomes
    with DecodePool(2) as pool:
        there = process_block(pictures, clips, crop_models(), decoder=pool).outcomes
    for one, other in zip(there, plain, strict=True):
        assert (one.source, one.frames.notes) == (other.source, other.frames.notes)
        for field in dataclasses.fields(one.features):
            np.testing.assert_array_equal(
                getattr(one.features, field.name), getattr(other.features, field.name)
            )


def test_crops_ask_for_a_whole_scene():
    with pytest.raises(ConfigError, match=r"^--faces crops with --scene masked: .* Add --scene full\.$"):
        small_models_with(faces={"source": "crops"})


def test_faces_are_detected_on_every_nth_frame_and_the_last_and_interpolated_between(tmp_path, monkeypatch):
    index = write_clips(tmp_path, num_good=1)
    clip = next(clip for clip in index.clips if "good" in clip.clip_id)
    models = small_models_with(frames={"num_frames": 8}, detector={"name": "haar", "every": 3})
    seen = []

    def detect(rgb_UHWC):
        seen.append(len(rgb_UHWC))
        places = 10.0 * np.arange(len(rgb_UHWC))
        return [
            Faces(
                box_xyxy_px=np.array([[x, 10, x + 40, 50]], np.float32),
                score=np.array([0.9], np.float32),
                landmark_xy_px=np.full((1, 5, 2), np.nan, np.float32),
            )
            for x in places
        ]

    monkeypatch.setattr(models.face_detector, "detect", detect)
    prepared, _ = prepare_clip(index.root, clip, models)
    assert seen == [4]
    assert prepared.track.found.tolist() == [True, False, False, True, False, False, True, True]
    assert prepared.track.in_view_U.all()
    np.testing.assert_allclose(prepared.track.box_xyxy_px[[0, 3, 7], 0], [0, 10, 30], atol=2)
    assert 0 < prepared.track.box_xyxy_px[1, 0] < 10


def test_faces_are_detected_on_the_first_and_the_last_frame_of_every_shot(tmp_path, monkeypatch):
    """A shot without a detection would have no face, and the face after the last one would be out of view."""
    index = write_clips(tmp_path, num_good=1)
    clip = next(clip for clip in index.clips if "good" in clip.clip_id)
    models = small_models_with(frames={"num_frames": 8}, detector={"name": "haar", "every": 5})
    ((_, decoded),) = InlineDecoder().stream([prepare.make_decode_job(index.root, clip, models.config)])
    cuts = tuple(decoded.frames.meta.index_U[[2, 5, 6]].tolist())
    meta = dataclasses.replace(decoded.frames.meta, cuts=cuts)
    seen = []

    def detect(rgb_UHWC):
        seen.append(rgb_UHWC.numpy())
        return [no_faces() for _ in rgb_UHWC]

    monkeypatch.setattr(models.face_detector, "detect", detect)
    frames = dataclasses.replace(decoded.frames, meta=meta)
    prepare.prepare(clip, dataclasses.replace(decoded, frames=frames), models)
    np.testing.assert_array_equal(seen[0], frames.rgb_UHWC[[0, 1, 2, 4, 5, 6, 7]])


def test_faces_are_detected_on_more_frames_than_are_sampled(tmp_path, monkeypatch):
    """The clip has 9 frames at 10 frames/s; 5 frames/s are every second one."""
    index = write_clips(tmp_path, num_good=1)
    clip = next(clip for clip in index.clips if "good" in clip.clip_id)
    settings = {"frames": {"num_frames": 3, "num_views": 2}}
    plain = small_models_with(detector={"name": "haar"}, **settings)
    dense = small_models_with(detector={"name": "haar", "rate": 5.0}, **settings)
    counts = []

    def detect(rgb_UHWC):
        counts.append(len(rgb_UHWC))
        return [
            Faces(
                box_xyxy_px=np.array([[10, 10, 50, 50]], np.float32),
                score=np.array([0.9], np.float32),
                landmark_xy_px=np.full((1, 5, 2), np.nan, np.float32),
            )
            for _ in rgb_UHWC
        ]

    prepared = []
    for models in (plain, dense):
        monkeypatch.setattr(models.face_detector, "detect", detect)
        prepared.append(prepare_clip(index.root, clip, models))
    (one, one_rgb), (other, other_rgb) = prepared
    assert counts == [3, len({1, 4, 7, 0, 2, 6, 8})]
    assert one.frames.index_U.tolist() == other.frames.index_U.tolist() == [1, 4, 7]
    assert other.frames.position_VT.tolist() == [[0, 1, 2], [0, 1, 2]]
    np.testing.assert_array_equal(one_rgb, other_rgb)
    assert torch.equal(one.streams.face_U3SS, other.streams.face_U3SS)
    assert [tracklet.frame_N.tolist() for tracklet in other.people[0].tracklets] == [[0, 1, 2]]
    assert len(other.faces) == len(other.track.found) == 3


def test_more_detections_than_sampled_frames_need_tracks_of_everyone():
    with pytest.raises(ConfigError, match=r"detector.rate is 5, which needs detected faces"):
        small_models_with(detector={"name": "haar", "rate": 5.0}, track={"method": "nearest"})
    with pytest.raises(ConfigError, match=r"detector.every is 2 and detector.rate is 5"):
        small_models_with(detector={"name": "haar", "rate": 5.0, "every": 2})
