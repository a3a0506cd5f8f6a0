"""Face detection: the fast way equals the library's plain one, and real pictures give the known answers."""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from retinaface.box_utils import decode, decode_landm
from retinaface.prior_box import priorbox
from torch import nn
from torchvision.ops import nms

import pipeline.faces
from pipeline import weights
from pipeline.device import precision_on
from pipeline.errors import ClipError, ConfigError, WeightsError
from pipeline.faces import (
    DetectorConfig,
    FaceDetector,
    load_detector,
    networks,
    provided_faces,
    stray_boxes,
    untrained_detector,
)
from pipeline.faces.haar import score_of_margin
from pipeline.faces.haar import shrunk as shrunk_by_area
from pipeline.faces.retinaface import (
    RetinaFaceDetector,
    decode_boxes,
    decode_landmarks,
    priors,
    shrunk,
)
from pipeline.fingerprint import sha256_file
from pipeline.frames import FrameConfig, decode_clip
from pipeline.types import Bytes, Faces, Floats, ProvidedBoxes

CPU = torch.device("cpu")
RESNET, MOBILENET = "retinaface-resnet50", "retinaface-mobilenet0.25"
BUILDERS = {RESNET: networks.resnet50, MOBILENET: networks.mobilenet_quarter}

BATCH_PX = 2e-3
"""Frames run together and one by one differ by this much at most: float32 convolutions choose
another order of sums for another batch size (measured on real frames: 4e-5 pixels)."""


def random_frames(num_frames: int, height: int, width: int) -> torch.Tensor:
    frames = np.random.default_rng(7).integers(0, 256, (num_frames, height, width, 3), np.uint8)
    return torch.from_numpy(frames)


@pytest.fixture(scope="module")
def random_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of seeded random weights for each network."""
    folder = tmp_path_factory.mktemp("random")
    torch.manual_seed(3)
    for name, build in BUILDERS.items():
        torch.save(build().state_dict(), folder / f"{name}.pth")
    return {name: folder / f"{name}.pth" for name in BUILDERS}


def random_detector(config: DetectorConfig, files: dict[str, Path]) -> RetinaFaceDetector:
    return RetinaFaceDetector.of_tensors(config, CPU, weights.load_state_dict(files[config.name]), "none")


def plain_detect(network: nn.Module, config: DetectorConfig, rgb_HWC: Bytes) -> Faces:
    """One picture at native size, by retinaface-pytorch's own functions and an untouched network."""
    height, width, _ = rgb_HWC.shape
    if config.name == RESNET:
        shown = (rgb_HWC / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    else:
        shown = rgb_HWC[..., ::-1] - np.array([104.0, 117.0, 123.0])
    with torch.inference_mode():
        picture = torch.from_numpy(shown.transpose(2, 0, 1).astype(np.float32))[None]
        loc, logits, landmarks = network.eval()(picture)
        prior = priorbox([[16, 32], [64, 128], [256, 512]], [8, 16, 32], False, (height, width))
        score = logits[0].softmax(-1)[:, 1]
        keep = score > config.score
        size = torch.tensor([width, height], dtype=torch.float32)
        box = decode(loc[0], prior, [0.1, 0.2])[keep] * size.repeat(2)
        points = decode_landm(landmarks[0], prior, [0.1, 0.2])[keep] * size.repeat(5)
        best = nms(box, score[keep], config.nms_iou)
    clipped = np.clip(box[best].numpy(), 0, [width, height, width, height]).astype(np.float32)
    inside = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    return Faces(
        box_xyxy_px=clipped[inside],
        score=score[keep][best].numpy()[inside],
        landmark_xy_px=points[best].numpy().reshape(-1, 5, 2)[inside],
    )


def assert_same(one: Faces, other: Faces, atol_px: float) -> None:
    np.testing.assert_allclose(one.score, other.score, rtol=0, atol=1e-5)
    np.testing.assert_allclose(one.box_xyxy_px, other.box_xyxy_px, rtol=0, atol=atol_px)
    np.testing.assert_allclose(one.landmark_xy_px, other.landmark_xy_px, rtol=0, atol=atol_px)


def overlap(one: Floats, other: Floats) -> float:
    corner, end = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = np.clip(end - corner, 0, None).prod()
    return float(shared / ((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - shared))


def test_an_unknown_detector_lists_the_known_ones() -> None:
    allowed = "retinaface-resnet50, retinaface-mobilenet0.25, haar"
    for name in ("mtcnn", "boxes", "crops"):
        with pytest.raises(ConfigError, match=rf"detector.name is '{name}'; allowed: {allowed}\."):
            DetectorConfig(name=name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": 1.5}, r"detector.score is 1.5; allowed: 0 to 1"),
        ({"nms_iou": -1.0}, r"detector.nms_iou is -1.0; allowed: 0 to 1"),
        ({"long_side": 8}, r"detector.long_side \(0 for native size\) is 8; allowed: 32 or more"),
        ({"batch_frames": -1}, r"detector.batch_frames is -1; allowed: 0 to 4096"),
        ({"precision": "fp8"}, r"detector.precision is 'fp8'; allowed: auto, fp32, bf16"),
        ({"name": "haar", "weights": "a.pth"}, r"weights is 'a.pth', but haar takes none; allowed with: ret"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DetectorConfig(**change)


@pytest.mark.parametrize(("height", "width"), [(96, 128), (97, 131), (33, 512), (1, 1)])
def test_priors_are_the_librarys_in_its_order(height: int, width: int) -> None:
    plain = priorbox([[16, 32], [64, 128], [256, 512]], [8, 16, 32], False, (height, width))
    torch.testing.assert_close(priors(height, width, CPU), plain, rtol=0, atol=1e-6)


def test_a_prior_by_hand() -> None:
    first = priors(64, 128, CPU)[0]
    torch.testing.assert_close(first, torch.tensor([4 / 128, 4 / 64, 16 / 128, 16 / 64]), rtol=0, atol=0)


def test_decoding_is_the_librarys() -> None:
    generator = torch.Generator().manual_seed(0)
    prior = priors(96, 128, CPU)
    loc = 3 * torch.randn(len(prior), 4, generator=generator)
    points = 3 * torch.randn(len(prior), 10, generator=generator)
    torch.testing.assert_close(decode_boxes(loc, prior), decode(loc, prior, [0.1, 0.2]), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        decode_landmarks(points, prior).flatten(1),
        decode_landm(points, prior, [0.1, 0.2]),
        rtol=1e-6,
        atol=1e-6,
    )


@pytest.mark.parametrize(("name", "score"), [(RESNET, 0.55), (MOBILENET, 0.02)])
def test_a_batch_equals_the_library_one_picture_at_a_time(
    name: str, score: float, random_files: dict[str, Path]
) -> None:
    config = DetectorConfig(name=name, score=score, long_side=0, batch_frames=2, precision="fp32")
    detector = random_detector(config, random_files)
    network = BUILDERS[name]()
    network.load_state_dict(weights.load_state_dict(random_files[name]))
    frames = random_frames(3, 61, 83)
    found = detector.detect(frames)
    assert len(found) == 3
    for faces, frame in zip(found, frames, strict=True):
        plain = plain_detect(network, config, frame.numpy())
        assert len(plain.score) > 5
        assert (np.diff(faces.score) <= 0).all()
        assert_same(faces, plain, BATCH_PX)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        (RESNET, "fp32"),
        pytest.param(RESNET, "bf16", marks=pytest.mark.slow),
        (MOBILENET, "fp32"),
        (MOBILENET, "bf16"),
    ],
)
def test_a_frames_faces_depend_on_no_other_frame_to_the_bit(
    name: str, precision: str, random_files: dict[str, Path]
) -> None:
    score = 0.55 if name == RESNET else 0.02
    config = DetectorConfig(name=name, score=score, precision=precision, batch_frames=4)
    detector = random_detector(config, random_files)
    frames = random_frames(6, 61, 83)
    together = detector.detect(frames)
    first = detector.detect(frames[:1])
    mixed = detector.detect(frames[[0, 4, 5, 3]])
    for one, other in ((together[0], first[0]), (together[0], mixed[0]), (together[3], mixed[3])):
        assert len(one.score) > 0
        for field in ("box_xyxy_px", "score", "landmark_xy_px"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


@pytest.mark.parametrize(("has_bf16", "resolved"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_is_bf16_where_the_device_has_it(
    has_bf16: bool, resolved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.device.has_bf16", lambda _: has_bf16)
    assert precision_on(CPU, "auto") == resolved
    assert precision_on(CPU, "fp32") == "fp32"
    assert precision_on(torch.device("cuda"), "auto") == resolved


def test_every_pass_has_the_same_number_of_frames(random_files: dict[str, Path]) -> None:
    detector, seen = random_detector(DetectorConfig(name=MOBILENET, batch_frames=4), random_files), []
    detector._network.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape)))
    assert len(detector.detect(random_frames(9, 40, 50))) == 9
    assert seen == [(4, 3, 40, 50)] * 3


def test_a_crowd_of_candidates_is_decoded_in_full(
    random_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DetectorConfig(name=MOBILENET, score=0.02, batch_frames=2)
    detector, frames = random_detector(config, random_files), random_frames(3, 61, 83)
    plain = detector.detect(frames)
    monkeypatch.setattr("pipeline.faces.retinaface._FEW_CANDIDATES", 4)
    for one, other in zip(detector.detect(frames), plain, strict=True):
        assert len(one.score) > 4
        assert_same(one, other, 0)


def test_a_device_out_of_memory_gets_smaller_batches(random_files: dict[str, Path]) -> None:
    config = DetectorConfig(name=MOBILENET, score=0.02, batch_frames=4)
    frames = random_frames(5, 61, 83)
    expected = random_detector(config, random_files).detect(frames)
    detector = random_detector(config, random_files)

    def no_room_for_more_than_two(_: object, given: tuple[torch.Tensor]) -> None:
        if len(given[0]) > 2:
            raise torch.OutOfMemoryError

    detector._network.register_forward_pre_hook(no_room_for_more_than_two)
    for one, other in zip(detector.detect(frames), expected, strict=True):
        assert_same(one, other, BATCH_PX)
    assert detector.warnings == (
        "Frames for the face detector: 4 at a time do not fit into the memory of cpu; continued with 2.",
    )


def test_boxes_come_back_in_pixels_of_the_frame_and_inside_it(random_files: dict[str, Path]) -> None:
    config = DetectorConfig(name=MOBILENET, score=0.5, long_side=96)
    detector = random_detector(config, random_files)
    frames = random_frames(1, 64, 96)
    doubled = frames.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    (small,), (large,) = detector.detect(frames), detector.detect(doubled)
    np.testing.assert_array_equal(large.box_xyxy_px, small.box_xyxy_px * 2)
    np.testing.assert_array_equal(large.landmark_xy_px, small.landmark_xy_px * 2)
    assert large.box_xyxy_px.min() == 0
    assert (large.box_xyxy_px.max(axis=0)[2:] == [192, 128]).all()


def test_frames_are_shrunk_to_the_long_side_and_never_enlarged() -> None:
    pictures = random_frames(2, 40, 100).permute(0, 3, 1, 2)
    for long_side in (0, 100, 640):
        assert torch.equal(shrunk(pictures, long_side), pictures.float())
    assert shrunk(pictures, 50).shape == (2, 3, 20, 50)
    assert shrunk(pictures.transpose(2, 3), 50).shape == (2, 3, 50, 20)
    assert shrunk(random_frames(1, 1, 100).permute(0, 3, 1, 2), 32).shape == (1, 3, 1, 32)


@pytest.mark.parametrize("at_once", [1, 3, 8])
def test_large_frames_are_shrunk_some_at_a_time_to_the_bit(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = random_frames(8, 121, 203).permute(0, 3, 1, 2)
    whole = torch.nn.functional.interpolate(
        pictures.float(), size=(57, 96), mode="bilinear", antialias=True, align_corners=False
    )
    sizes: list[int] = []
    plain = torch.nn.functional.interpolate

    def watched(given: torch.Tensor, **how: object) -> torch.Tensor:
        sizes.append(len(given))
        return plain(given, **how)

    monkeypatch.setattr("pipeline.faces.retinaface._PIXELS_AT_ONCE", at_once * 121 * 203)
    monkeypatch.setattr("pipeline.faces.retinaface.functional.interpolate", watched)
    assert torch.equal(shrunk(pictures, 96), whole)
    assert (max(sizes), sum(sizes)) == (at_once, 8)


def test_shrinking_does_not_move_or_alias_the_picture() -> None:
    ramp = torch.arange(200, dtype=torch.uint8).expand(1, 3, 40, 200)
    small = shrunk(ramp, 50)
    torch.testing.assert_close(small[0, 0, 5, 1:-1], torch.arange(5.5, 196, 4), rtol=0, atol=1e-3)
    stripes = torch.tensor([0, 255], dtype=torch.uint8).repeat(100).expand(1, 3, 40, 200)
    assert (shrunk(stripes, 50)[..., 1:-1] - 127.5).abs().max() < 1


def test_haar_shrinks_by_the_mean_of_the_area() -> None:
    frames = random_frames(2, 40, 100).numpy()
    assert shrunk_by_area(frames, 0) is frames
    assert shrunk_by_area(frames, 640) is frames
    np.testing.assert_allclose(
        shrunk_by_area(frames, 50),
        frames.reshape(2, 20, 2, 50, 2, 3).mean(axis=(2, 4)),
        rtol=0,
        atol=0.51,
    )


def test_a_frame_without_a_face_has_no_faces(random_files: dict[str, Path]) -> None:
    config = DetectorConfig(name=MOBILENET, score=1.0)
    (faces,) = random_detector(config, random_files).detect(random_frames(1, 64, 64))
    assert faces.box_xyxy_px.shape == (0, 4)
    assert faces.landmark_xy_px.shape == (0, 5, 2)


def test_an_untrained_network_finds_no_face() -> None:
    detector = untrained_detector(DetectorConfig(name=MOBILENET, score=0.001, batch_frames=2), CPU)
    assert [len(faces.score) for faces in detector.detect(random_frames(3, 64, 64))] == [0, 0, 0]


def test_weights_of_another_network_are_refused(random_files: dict[str, Path]) -> None:
    state = weights.load_state_dict(random_files[RESNET])
    with pytest.raises(WeightsError, match=r"do not fit retinaface-mobilenet0.25: .*Missing key"):
        RetinaFaceDetector.of_tensors(DetectorConfig(name=MOBILENET), CPU, state, "")


def test_a_file_that_is_not_the_published_resnet_is_refused(random_files: dict[str, Path]) -> None:
    path = random_files[RESNET]
    with pytest.raises(WeightsError) as caught:
        load_detector(DetectorConfig(name=RESNET, weights=str(path)), CPU)
    assert str(caught.value) == (
        f"'{path}' is not the published retinaface_resnet50_2020-07-20-f168fae3c.zip: its sha256 is "
        f"{sha256_file(path)}, f168fae3c... is needed. Move it away, or give the right one with "
        "--detector-weights PATH."
    )


def test_the_whole_way_from_a_checked_file_to_faces(
    random_files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DetectorConfig(name=RESNET, score=0.6)
    frames = random_frames(1, 64, 96)
    (expected,) = random_detector(config, random_files).detect(frames)
    sha256 = sha256_file(random_files[RESNET])
    entry = replace(weights.PUBLISHED[RESNET], address=random_files[RESNET].as_uri(), sha256=sha256)
    monkeypatch.setitem(weights.PUBLISHED, RESNET, entry)
    monkeypatch.setenv("OUS_WEIGHTS", str(tmp_path))
    detector = load_detector(config, CPU)
    assert (detector.name, detector.weights_sha256) == (RESNET, sha256)
    assert_same(detector.detect(frames)[0], expected, 0)


@pytest.mark.parametrize("name", [RESNET, MOBILENET])
def test_missing_weights_say_what_to_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUS_WEIGHTS", str(tmp_path))
    entry = weights.PUBLISHED[name]
    if entry.address is not None:
        monkeypatch.setitem(weights.PUBLISHED, name, replace(entry, address="http://127.0.0.1:9/weights.zip"))
    with pytest.raises(
        WeightsError, match=rf"{entry.file_name}.*put it at {tmp_path}/{entry.file_name}.*--detector haar"
    ):
        load_detector(DetectorConfig(name=name), CPU)


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pipeline.faces, "networks")
    monkeypatch.delitem(sys.modules, "pipeline.faces.networks")
    monkeypatch.setitem(sys.modules, "retinaface.net", None)
    with pytest.raises(
        WeightsError, match=r"retinaface-pytorch is missing; run `make install`, or `pip install"
    ):
        load_detector(DetectorConfig(name=RESNET), CPU)


def test_provided_boxes_hold_on_their_frames_alone() -> None:
    box = np.array([[1, 2, 30, 40], [5, 6, 70, 80]], dtype=np.float32)
    given = ProvidedBoxes(box_xyxy=box, frame_index=np.array([3, 8]))
    faces = provided_faces(given, np.array([2, 3, 8]), 60, 50)
    assert [len(f.score) for f in faces] == [0, 1, 1]
    np.testing.assert_array_equal(faces[1].box_xyxy_px, [[1, 2, 30, 40]])
    np.testing.assert_array_equal(faces[2].box_xyxy_px, [[5, 6, 50, 60]])
    np.testing.assert_array_equal(faces[1].score, [1])
    assert np.isnan(faces[1].landmark_xy_px).all()


def test_one_given_box_holds_on_all_frames_and_none_on_none() -> None:
    given = ProvidedBoxes(box_xyxy=np.array([[1, 2, 30, 40]], dtype=np.float32))
    assert [f.box_xyxy_px.tolist() for f in provided_faces(given, np.arange(2), 50, 50)] == [
        [[1, 2, 30, 40]]
    ] * 2
    assert [len(f.score) for f in provided_faces(None, np.arange(2), 50, 50)] == [0, 0]


def test_relative_boxes_are_of_the_frames_size() -> None:
    box = np.array([[0.1, 0.25, 0.5, 1.1]], dtype=np.float32)
    for given in (
        ProvidedBoxes(box_xyxy=box, is_relative=True),
        ProvidedBoxes(box_xyxy=box, is_relative=True, frame_index=np.array([7])),
    ):
        (faces,) = provided_faces(given, np.array([7]), 40, 200)
        np.testing.assert_allclose(faces.box_xyxy_px, [[20, 10, 100, 40]], rtol=1e-6)


def boxes(*box_xyxy: tuple[float, ...], is_relative: bool = False) -> ProvidedBoxes:
    """One box for the clip, or one for each frame."""
    frames = np.arange(len(box_xyxy)) if len(box_xyxy) > 1 else None
    box_K4 = np.array(box_xyxy, dtype=np.float32)
    return ProvidedBoxes(box_xyxy=box_K4, frame_index=frames, is_relative=is_relative)


@pytest.mark.parametrize(
    ("given", "size", "message"),
    [
        (
            boxes((280, 200, 720, 800)),
            480,
            r"^detect: given box 280, 200, 720, 800 \(in pixels\) has 21% of its area inside the frame "
            r"of 480x480 pixels; expected: 50% or more.*0 to 1000.*upright frame.*box_units relative$",
        ),
        (boxes((280, 200, 720, 800)), 240, "has 0% of its area"),
        (boxes((1.2, 0.2, 1.5, 0.6), is_relative=True), 50, r"1.2, 0.2, 1.5, 0.6 \(in fractions\) has 0%"),
        (boxes((-90, -90, 10, 10)), 50, "-90, -90, 10, 10 .* has 1%"),
        (
            boxes((0, 0, 30, 30), (60, 0, 90, 30), (70, 0, 99, 30)),
            50,
            r"60, 0, 90, 30 .* pixels, as 1 of the other 2; exp",
        ),
    ],
)
def test_boxes_of_another_scale_or_video_fail_the_clip(given: ProvidedBoxes, size: int, message: str) -> None:
    with pytest.raises(ClipError, match=message):
        provided_faces(given, np.arange(1), size, size)


def test_a_face_cut_by_the_edge_is_clipped() -> None:
    (corner,) = provided_faces(
        boxes((-25, -25, 75, 75)), np.arange(1), 100, 100
    )  # enlarged twofold, at a corner
    assert corner.box_xyxy_px.tolist() == [[0, 0, 75, 75]]
    assert not stray_boxes(boxes((-50, 0, 50, 10)), 100, 100)
    assert stray_boxes(boxes((-51, 0, 50, 10)), 100, 100)


def test_a_face_that_leaves_the_frame_is_no_face_on_those_frames() -> None:
    given = boxes((10, 0, 40, 30), (20, 0, 50, 30), (40, 0, 70, 30), (55, 0, 85, 30))
    assert [len(f.score) for f in provided_faces(given, np.arange(4), 50, 50)] == [1, 1, 1, 0]


def test_haar_scores_by_hand() -> None:
    scores = score_of_margin(np.array([-1, 0, 1, 3, 7], dtype=np.float32))
    np.testing.assert_allclose(scores, [0, 0, 0.5, 0.75, 0.875], rtol=0, atol=1e-7)


def test_haar_knows_its_file_and_finds_nothing_on_a_blank() -> None:
    detector = load_detector(DetectorConfig(name="haar"), CPU)
    assert detector.weights_sha256 == sha256_file(
        Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml"
    )
    (faces,) = detector.detect(torch.full((1, 120, 160, 3), 128, dtype=torch.uint8))
    assert faces.box_xyxy_px.shape == (0, 4)


@pytest.fixture(scope="module")
def mobilenet_weights(test_data: Path) -> str:
    return str(test_data / "weights" / "retinaface_mobilenet0.25.pth")


def known_detector(path: str, **changes: object) -> FaceDetector:
    settings = {
        "name": MOBILENET,
        "weights": path,
        "score": 0.02,
        "long_side": 0,
        "precision": "fp32",
    } | changes
    return load_detector(DetectorConfig(**settings), CPU)


def picture(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(cv2.imread(str(path))[None, ..., ::-1]))


def subject_frames(path: Path) -> torch.Tensor:
    return torch.from_numpy(decode_clip(path, FrameConfig()).rgb_UHWC)


@pytest.mark.data
def test_the_known_answers(test_data: Path, mobilenet_weights: str) -> None:
    """Published to five and three digits; the pictures are decoded by OpenCV, sums differ in order."""
    detector = known_detector(mobilenet_weights)
    folder = test_data / "images" / "boxes"
    (few,) = detector.detect(picture(folder / "img_726.jpg"))
    assert len(few.score) == 7
    assert few.box_xyxy_px[0, 0] == pytest.approx(86.70745, abs=1e-3)
    assert few.score[0] == pytest.approx(0.99970, abs=1e-5)
    (many,) = detector.detect(picture(folder / "2_Demonstration_Demonstration_Or_Protest_2_58.jpg"))
    assert len(many.score) == 350
    np.testing.assert_allclose(many.box_xyxy_px[1], [451.248, 312.868, 506.465, 387.369], rtol=0, atol=2e-3)
    assert many.score[1] == pytest.approx(0.99936, abs=1e-5)
    (group,) = detector.detect(picture(folder / "12_Group_Group_12_Group_Group_12_29.jpg"))
    assert len(group.score) == 20


@pytest.mark.data
def test_the_look_alike_weights_are_refused(test_data: Path) -> None:
    path = test_data / "weights" / "not_retinaface_same_keys.pth"
    networks.mobilenet_quarter().load_state_dict(weights.load_state_dict(path), strict=True)
    with pytest.raises(WeightsError, match=rf"sha256 is {sha256_file(path)}, 2979b33f[0-9a-f]+ is needed"):
        known_detector(str(path))


@pytest.mark.data
def test_real_frames_in_batches_equal_one_at_a_time(test_data: Path, mobilenet_weights: str) -> None:
    frames = subject_frames(test_data / "videos" / "people" / "single_face.mp4")[:5]
    together = known_detector(mobilenet_weights, score=0.5, batch_frames=3).detect(frames)
    alone = known_detector(mobilenet_weights, score=0.5, batch_frames=1).detect(frames)
    for one, other in zip(together, alone, strict=True):
        assert len(one.score) > 0
        assert_same(one, other, BATCH_PX)


@pytest.mark.data
def test_landmarks_lie_on_the_face(test_data: Path, mobilenet_weights: str) -> None:
    (faces,) = known_detector(mobilenet_weights).detect(
        picture(test_data / "images" / "boxes" / "img_726.jpg")
    )
    left_eye, right_eye, nose, left_mouth, right_mouth = faces.landmark_xy_px[0]
    x0, y0, x1, y1 = faces.box_xyxy_px[0]
    assert x0 < left_eye[0] < nose[0] < right_eye[0] < x1
    assert left_mouth[0] < right_mouth[0]
    assert y0 < left_eye[1] < nose[1] < left_mouth[1] < y1


@pytest.mark.data
@pytest.mark.parametrize(
    "clip",
    [
        "angry",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("disgust", "fear", "happy", "neutral", "sadness", "surprise")
        ),
    ],
)
def test_haar_finds_the_face_on_every_frame(clip: str, test_data: Path, mobilenet_weights: str) -> None:
    """On all sampled frames it finds something, on those looked at it is what RetinaFace finds."""
    frames = subject_frames(test_data / "videos" / "labelled" / f"{clip}.mp4")
    found = load_detector(DetectorConfig(name="haar"), CPU).detect(frames)
    assert all(len(faces.score) > 0 for faces in found)
    looked_at = [0, 7, 15]
    reference = known_detector(mobilenet_weights, score=0.5, long_side=320).detect(frames[looked_at])
    for i, other in zip(looked_at, reference, strict=True):
        (face,) = other.box_xyxy_px
        assert max(overlap(box, face) for box in found[i].box_xyxy_px) > 0.3
        assert np.isnan(found[i].landmark_xy_px).all()
        assert (found[i].score > 0.5).all()


@pytest.mark.data
def test_haar_is_the_same_under_any_number_of_threads(test_data: Path) -> None:
    frames = subject_frames(test_data / "videos" / "people" / "s13.mp4")[:6]
    detector = load_detector(DetectorConfig(name="haar"), CPU)
    found, before = detector.detect(frames), cv2.getNumThreads()
    assert max(len(faces.score) for faces in found) > 1
    try:
        cv2.setNumThreads(1)
        again = detector.detect(frames)
    finally:
        cv2.setNumThreads(before)
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one.box_xyxy_px, other.box_xyxy_px)
        np.testing.assert_array_equal(one.score, other.score)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", ["haar", MOBILENET])
def test_clips_partly_and_wholly_without_a_face(name: str, test_data: Path, mobilenet_weights: str) -> None:
    config = DetectorConfig(name=name, weights=mobilenet_weights if name == MOBILENET else None)
    detector = load_detector(config, CPU)
    folder = test_data / "videos" / "people"
    partly = detector.detect(subject_frames(folder / "face_noface.mov"))
    assert [len(faces.score) for faces in partly] == [1] * 7 + [0] * 9
    wholly = detector.detect(subject_frames(folder / "no_face.mp4"))
    assert [len(faces.score) for faces in wholly] == [0] * 16


@pytest.mark.data
@pytest.mark.slow
def test_in_bf16_the_subjects_boxes_stay_where_they_are(test_data: Path, mobilenet_weights: str) -> None:
    frames = subject_frames(test_data / "videos" / "people" / "single_face.mp4")[:4]
    settings = {"score": 0.5, "long_side": 640}
    exact = known_detector(mobilenet_weights, **settings).detect(frames)
    low = known_detector(mobilenet_weights, **settings, precision="bf16").detect(frames)
    for one, other in zip(low, exact, strict=True):
        assert len(one.score) == len(other.score) > 0
        assert overlap(one.box_xyxy_px[0], other.box_xyxy_px[0]) > 0.95


@pytest.mark.data
@pytest.mark.weights
def test_the_published_resnet_gives_its_published_answers(test_data: Path) -> None:
    """Published with pictures enlarged to a long side of 1280, which is not done here: boxes to 0.8 IoU."""
    entry = weights.PUBLISHED[RESNET]
    path = weights.weights_dir() / entry.file_name
    if not path.is_file():
        pytest.skip(f"needs {entry.file_name} in {path.parent}: `./cli.py weights fetch {RESNET}`")
    detector = load_detector(DetectorConfig(name=RESNET, score=0.7, long_side=1280), CPU)
    (faces,) = detector.detect(picture(test_data / "images" / "people" / "13.jpg"))
    known = np.array(
        [[256.9, 93.64, 336.79, 201.76], [436.62, 118.5, 510.04, 211.13], [657.3, 156.87, 729.81, 245.78]]
    )
    assert len(faces.score) == 3
    for box in known:
        assert max(overlap(box, found) for found in faces.box_xyxy_px) > 0.8
    (none,) = detector.detect(picture(test_data / "images" / "people" / "no_face.jpg"))
    assert len(none.score) == 0
