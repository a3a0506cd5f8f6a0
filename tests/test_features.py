import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from pipeline.clip_model import EncoderConfig, LoadedClip, load_clip_model
from pipeline.errors import ConfigError
from pipeline.features import Encoder, FeatureConfig, num_kept_tokens, resolve_precision
from tests.tiny_clip import small_clip, tiny_clip, tiny_model

CPU = torch.device("cpu")


def pictures(n: int, clip: LoadedClip, seed: int = 0) -> torch.Tensor:
    """Random pictures that are smooth in places, as crops are."""
    side = clip.picture_side_px
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 3, side // 4, side // 4), np.uint8)
    return torch.from_numpy(coarse.repeat(4, axis=2).repeat(4, axis=3))


def normalised(pictures_N3SS: torch.Tensor, clip: LoadedClip) -> torch.Tensor:
    """CLIP's own preprocessing of a picture that has the right size already."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (clip.mean, clip.std))
    return (pictures_N3SS.float() / 255 - mean) / std


def encoder(clip: LoadedClip, **values: object) -> Encoder:
    """An encoder whose features are not rounded to float16, for comparisons."""
    config = FeatureConfig(**{"precision": "fp32", "batch_pictures": 4} | values)
    return Encoder(clip, config, CPU, rounded=torch.float32)


@torch.inference_mode()
def blocks_plainly(
    clip: LoadedClip, pictures_N3SS: torch.Tensor, num_blocks: int | None = None
) -> list[torch.Tensor]:
    """The output of every block (or of the first ones), one after the other: [N, 1 + P, D] each."""
    visual = clip.model.visual
    x = visual.conv1(normalised(pictures_N3SS, clip)).flatten(2).transpose(1, 2)
    x = torch.cat([visual.class_embedding.expand(len(x), 1, -1), x], dim=1) + visual.positional_embedding
    x, outputs = visual.ln_pre(x), []
    for block in visual.transformer.resblocks[:num_blocks]:
        x = block(x)
        outputs.append(x)
    return outputs


def relative(value: torch.Tensor, expected: torch.Tensor) -> float:
    return float((value.float() - expected.float()).norm() / expected.float().norm())


# Against open_clip's own


@torch.inference_mode()
@pytest.mark.parametrize("clip", [tiny_clip, small_clip])
def test_the_embedding_is_open_clips_own_encode_image(clip):
    clip = clip()
    x = pictures(6, clip)
    embedding = encoder(clip).encode(x, early=False).embedding_NF
    own = clip.model.encode_image(normalised(x, clip), normalize=False)
    assert embedding.shape == (6, clip.embed_width)
    assert float((embedding - own).abs().max() / own.abs().max()) < 2e-6
    assert float(embedding.norm(dim=1).sub(1).abs().min()) > 0.01, "not normalised"


@torch.inference_mode()
@pytest.mark.parametrize("clip", [tiny_clip, small_clip])
def test_the_early_statistics_are_those_of_the_first_four_blocks(clip):
    clip = clip()
    x = pictures(6, clip)
    early = encoder(clip).encode(x, early=True).early_N43D
    assert early.shape == (6, 4, 3, clip.encoder_width)
    for number, block in enumerate(blocks_plainly(clip, x)[:4]):
        tokens = block.double().numpy()
        expected = np.stack([tokens[:, 0], tokens[:, 1:].mean(axis=1), tokens[:, 1:].std(axis=1)], axis=1)
        scale = np.abs(expected).max(axis=(0, 2), keepdims=True)
        assert (np.abs(early[:, number].numpy() - expected) / scale).max() < 2e-6


@torch.inference_mode()
def test_the_early_statistics_come_from_forward_intermediates():
    clip = small_clip()
    x = pictures(3, clip)
    early = encoder(clip).encode(x, early=True).early_N43D
    out = clip.model.visual.forward_intermediates(
        normalised(x, clip),
        indices=[0, 1, 2, 3],
        normalize_intermediates=False,
        output_fmt="NLC",
        output_extra_tokens=True,
    )
    for number in range(4):
        patches, classes = out["image_intermediates"][number], out["image_intermediates_prefix"][number]
        assert relative(early[:, number, 0], classes[:, 0]) < 2e-6
        assert relative(early[:, number, 1], patches.mean(dim=1)) < 2e-6
        assert relative(early[:, number, 2], patches.std(dim=1, correction=0)) < 2e-6


@torch.inference_mode()
def test_all_tokens_are_the_last_block_after_ln_post():
    clip = tiny_clip()
    x = pictures(6, clip)
    both = encoder(clip, tokens="all").encode(x, early=True)
    expected = clip.model.visual.ln_post(blocks_plainly(clip, x)[-1])
    assert both.tokens_NJD.shape == (6, 257, 32)
    assert relative(both.tokens_NJD, expected) < 2e-6
    assert relative(both.tokens_NJD[:, 0] @ clip.model.visual.proj, both.embedding_NF) < 2e-6


@pytest.mark.parametrize("patches", [16, 8, 4])
@torch.inference_mode()
def test_grid4_is_the_class_token_and_the_mean_of_every_square(patches):
    clip = tiny_clip(patches)
    x = pictures(3, clip)
    kept = encoder(clip, tokens="grid4").encode(x, early=False).tokens_NJD
    every = clip.model.visual.ln_post(blocks_plainly(clip, x)[-1]).double().numpy()
    grid, size = every[:, 1:].reshape(3, patches, patches, 32), patches // 4
    squares = [
        grid[:, size * row : size * (row + 1), size * column : size * (column + 1)].mean(axis=(1, 2))
        for row in range(4)
        for column in range(4)
    ]
    expected = np.stack([every[:, 0], *squares], axis=1)
    assert kept.shape == (3, 17, 32)
    assert np.abs(kept.numpy() - expected).max() < 2e-6 * np.abs(expected).max()


@pytest.mark.slow
@torch.inference_mode()
def test_the_papers_encoder_agrees_with_open_clip():
    clip = load_clip_model(EncoderConfig(weights="random", seed=3))
    x = pictures(1, clip)
    found = encoder(clip, batch_pictures=1, tokens="grid4").encode(x, early=True)
    assert found.embedding_NF.shape == (1, 768)
    assert found.early_N43D.shape == (1, 4, 3, 1024)
    assert found.tokens_NJD.shape == (1, 17, 1024)
    assert relative(found.embedding_NF, clip.model.encode_image(normalised(x, clip))) < 2e-6
    for number, block in enumerate(blocks_plainly(clip, x, num_blocks=4)):
        assert relative(found.early_N43D[:, number, 0], block[:, 0]) < 2e-6
        assert relative(found.early_N43D[:, number, 1], block[:, 1:].mean(dim=1)) < 2e-6
        assert relative(found.early_N43D[:, number, 2], block[:, 1:].std(dim=1, correction=0)) < 2e-6
    low = encoder(clip, batch_pictures=1, precision="bf16").encode(x, early=True)
    assert 1e-3 < relative(low.embedding_NF, found.embedding_NF) < 0.0125
    assert 1e-3 < relative(low.early_N43D, found.early_N43D) < 0.0125


# Batches


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.slow)])
@pytest.mark.parametrize("batch_pictures", [5, pytest.param(16, marks=pytest.mark.slow)])
def test_features_do_not_depend_on_the_batchs_other_pictures(precision, batch_pictures):
    # to the bit: alone and padded, in a full batch, in one with other pictures
    clip = small_clip()
    one = encoder(clip, precision=precision, batch_pictures=batch_pictures, tokens="all")
    x, y = pictures(batch_pictures, clip, 1), pictures(batch_pictures, clip, 2)
    place = batch_pictures - 2
    full = one.encode(x, early=True)
    padded = one.encode(x[: place + 1], early=True)
    mixed = one.encode(torch.cat([y[:place], x[place : place + 1], y[place + 1 :]]), early=True)
    for other in (padded, mixed):
        for name in ("embedding_NF", "early_N43D", "tokens_NJD"):
            assert torch.equal(getattr(other, name)[place], getattr(full, name)[place])


def test_every_pass_has_the_same_number_of_pictures():
    one, seen = encoder(tiny_clip(), batch_pictures=4), []
    one._visual.conv1.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    one.encode(pictures(9, tiny_clip()), early=False)
    assert seen == [4, 4, 4]


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.slow)])
def test_features_hardly_depend_on_the_place_in_the_batch(precision):
    # matrix products may add in another order at another row: the last bits of float32
    clip = small_clip()
    x = pictures(5, clip)
    one = encoder(clip, precision=precision, batch_pictures=5)
    there, moved = one.encode(x, early=True), one.encode(x.roll(2, 0), early=True)
    assert relative(moved.embedding_NF.roll(-2, 0), there.embedding_NF) < (
        2e-6 if precision == "fp32" else 5e-3
    )
    assert relative(moved.early_N43D.roll(-2, 0), there.early_N43D) < (2e-6 if precision == "fp32" else 5e-3)


def test_progress_is_told_in_pictures_and_rows_are_cut_out():
    clip = tiny_clip()
    told: list[int] = []
    found = encoder(clip, tokens="all").encode(pictures(10, clip), early=True, on_batch=told.append)
    assert told == [4, 4, 2]
    part = found.rows(3, 5)
    assert torch.equal(part.embedding_NF, found.embedding_NF[3:5])
    assert torch.equal(part.early_N43D, found.early_N43D[3:5])
    assert torch.equal(part.tokens_NJD, found.tokens_NJD[3:5])


def test_nothing_is_computed_that_was_not_asked_for():
    clip = tiny_clip()
    found = encoder(clip).encode(pictures(2, clip), early=False)
    assert found.early_N43D is None
    assert found.tokens_NJD is None
    assert found.rows(0, 1).early_N43D is None


def test_low_precision_leaves_the_loaded_model_as_it_is():
    clip = tiny_clip()
    x = pictures(2, clip)
    before = encoder(clip).encode(x, early=False).embedding_NF
    encoder(clip, precision="bf16")
    assert clip.model.visual.proj.dtype == torch.float32
    assert torch.equal(encoder(clip).encode(x, early=False).embedding_NF, before)


def test_a_device_out_of_memory_gets_smaller_passes_and_it_is_said():
    clip = tiny_clip()
    x = pictures(5, clip)
    expected = encoder(clip, tokens="all").encode(x, early=True)
    one, sizes = encoder(clip, tokens="all"), []

    def no_room_for_more_than_two(_, given):
        sizes.append(len(given[0]))
        if len(given[0]) > 2:
            raise torch.OutOfMemoryError

    one._visual.conv1.register_forward_pre_hook(no_room_for_more_than_two)
    found = one.encode(x, early=True)
    assert sizes == [4, 2, 2, 2]
    for name in ("embedding_NF", "early_N43D", "tokens_NJD"):
        assert relative(getattr(found, name), getattr(expected, name)) < 2e-6
    assert one.batch_pictures == 2
    assert one.warnings == (
        "Images for the encoder: 4 at a time do not fit into the memory of cpu; continued with 2.",
    )


def test_two_threads_share_an_encoder():
    clip, lock = tiny_clip(), threading.Lock()
    one = Encoder(clip, FeatureConfig(precision="fp32", batch_pictures=2), CPU, lock)
    held = []
    one._visual.conv1.register_forward_pre_hook(lambda *_: held.append(lock.locked()))
    x = pictures(6, clip)
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda part: one.encode(part, early=False).embedding_NF, x.split(2)))
    assert torch.equal(torch.cat(found), one.encode(x, early=False).embedding_NF)
    assert held == [True] * 6


# Precision and settings


@pytest.mark.slow
def test_bf16_lies_near_float32():
    clip = small_clip()
    x = pictures(8, clip)
    exact = encoder(clip).encode(x, early=True)
    low = encoder(clip, precision="bf16").encode(x, early=True)
    assert low.embedding_NF.dtype == low.early_N43D.dtype == torch.float32
    assert 1e-4 < relative(low.embedding_NF, exact.embedding_NF) < 0.0125
    assert 1e-4 < relative(low.early_N43D, exact.early_N43D) < 0.0125


@pytest.mark.parametrize(("has_bf16", "resolved"), [(True, "bf16"), (False, "fp32")])
def test_auto_on_a_cpu_is_bf16_where_it_has_it(monkeypatch, has_bf16, resolved):
    monkeypatch.setattr("pipeline.device.has_bf16", lambda _: has_bf16)
    assert resolve_precision("auto", CPU) == resolved
    assert resolve_precision("bf16", CPU) == "bf16"
    assert resolve_precision("fp32", CPU) == "fp32"


def test_auto_on_a_gpu_is_fp16():
    assert resolve_precision("auto", torch.device("cuda")) == "fp16"
    assert resolve_precision("fp16", torch.device("cuda")) == "fp16"


def test_fp16_on_a_cpu_is_refused():
    with pytest.raises(
        ConfigError, match="features.precision is 'fp16' on a CPU; allowed there: auto, bf16, fp32."
    ):
        resolve_precision("fp16", CPU)


def test_the_number_of_kept_tokens():
    assert [num_kept_tokens(tokens, 256) for tokens in ("cls", "grid4", "all")] == [0, 17, 257]


def test_grid4_needs_a_side_that_four_divides():
    message = "features.tokens is 'grid4', but the encoder's patches are 14x14; allowed: cls, all."
    with pytest.raises(ConfigError, match=message):
        encoder(tiny_clip(14), tokens="grid4")


def test_an_encoder_needs_four_blocks():
    clip = load_clip_model(EncoderConfig(name=tiny_model(layers=3), weights="random"))
    with pytest.raises(ConfigError, match="Encoder tiny-16-3 has 3 blocks; 4 are needed."):
        encoder(clip)


def test_an_encoder_of_four_blocks_gives_each_once():
    clip = load_clip_model(EncoderConfig(name=tiny_model(layers=4), weights="random"))
    x = pictures(2, clip)
    found = encoder(clip, tokens="all").encode(x, early=True)
    blocks = blocks_plainly(clip, x)
    assert relative(found.early_N43D[:, 3, 0], blocks[3][:, 0]) < 2e-6
    assert relative(found.tokens_NJD, clip.model.visual.ln_post(blocks[3]).detach()) < 2e-6


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"precision": "fp8"}, "features.precision is 'fp8'; allowed: auto, fp16, bf16, fp32."),
        ({"tokens": "grid"}, "features.tokens is 'grid'; allowed: cls, grid4, all."),
        ({"batch_pictures": -1}, "features.batch_pictures is -1; allowed: 0 to 4096."),
    ],
)
def test_config_is_checked(values, message):
    with pytest.raises(ConfigError, match=message):
        FeatureConfig(**values)


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "bound"), [("fp32", 2e-3), ("fp16", 5e-3), ("bf16", 0.0125)])
def test_a_gpu_agrees_with_the_cpu(precision, bound):
    clip = small_clip()
    x = pictures(40, clip)
    here = encoder(clip).encode(x, early=True)
    config = FeatureConfig(precision=precision, batch_pictures=32)
    there = Encoder(clip, config, torch.device("cuda"), rounded=torch.float32).encode(x, early=True)
    assert relative(there.embedding_NF, here.embedding_NF) < bound
    assert relative(there.early_N43D, here.early_N43D) < bound


@pytest.mark.gpu
def test_on_a_gpu_features_do_not_depend_on_the_batchs_other_pictures():
    clip = small_clip()
    x = pictures(40, clip)
    one = Encoder(clip, FeatureConfig(batch_pictures=32), torch.device("cuda"))
    full, alone = one.encode(x, early=True), one.encode(x[:3], early=True)
    assert torch.equal(alone.embedding_NF, full.embedding_NF[:3])
    assert torch.equal(alone.early_N43D, full.early_N43D[:3])


@pytest.mark.parametrize("column", range(3))
def test_values_beyond_float16_are_infinite_and_their_size_is_known(column, monkeypatch):
    one = Encoder(tiny_clip(), FeatureConfig(precision="fp32", batch_pictures=2, tokens="all"), CPU)
    x = pictures(3, tiny_clip())
    plain = one.encode(x, early=True)
    compute = one._encode_batch

    def scaled(batch, *, early):
        results = compute(batch, early=early)
        results[column].view(len(batch), -1)[1, 3] = -7e4
        return results

    monkeypatch.setattr(one, "_encode_batch", scaled)
    found = one.encode(x[:2], early=True)
    assert found.largest_N3[1, column] == 7e4
    values = (found.embedding_NF, found.early_N43D, found.tokens_NJD)
    assert values[column].dtype == torch.float16
    assert values[column].view(2, -1)[1, 3] == -torch.inf
    others = [c for c in range(3) if c != column]
    assert torch.equal(found.largest_N3[:, others], plain.largest_N3[:2, others])
    for number, name in enumerate(("embedding_NF", "early_N43D", "tokens_NJD")):
        largest = getattr(plain, name).float().flatten(1).abs().amax(dim=1)
        assert torch.allclose(plain.largest_N3[:, number], largest, rtol=1e-3)


@pytest.mark.gpu
def test_features_are_rounded_on_a_gpu_as_on_the_cpu():
    clip = tiny_clip()
    config = FeatureConfig(precision="fp32", batch_pictures=2)
    x = pictures(3, clip)
    exact = Encoder(clip, config, torch.device("cuda"), rounded=torch.float32).encode(x, early=True)
    halves = Encoder(clip, config, torch.device("cuda")).encode(x, early=True)
    assert torch.equal(halves.embedding_NF, exact.embedding_NF.half())
    assert torch.equal(halves.early_N43D, exact.early_N43D.half())
    assert torch.equal(halves.largest_N3, exact.largest_N3)
