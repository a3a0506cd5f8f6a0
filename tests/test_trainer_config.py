import re
import tomllib
from dataclasses import replace

import pytest

from pipeline.config import override, to_dict
from pipeline.errors import ConfigError
from pipeline.fingerprint import sha256_json
from pipeline.types import Polarity
from trainer.config import DataConfig, LossConfig, ModelConfig, TrainConfig, learnt, result_settings
from trainer.config_file import from_toml, to_toml
from trainer.presets import PRESETS, preset
from trainer.report.rows import setting_changes


@pytest.mark.parametrize("name", PRESETS)
def test_toml_round_trip(name):
    config = preset(name)
    assert from_toml(to_toml(config)) == config
    assert tomllib.loads(to_toml(config)) == to_dict(config)


def test_toml_round_trip_of_text_that_needs_care():
    pairs = ('a "quoted" joy:positive', "größe:neutral", "back\\slash:negative")
    config = replace(TrainConfig(), data=DataConfig(polarity_map=pairs), losses=LossConfig(alpha=1e30))
    assert from_toml(to_toml(config)) == config


def test_every_reading_of_the_paper_starts_at_its_default():
    config = TrainConfig()
    assert config.data.validation == "auto"
    assert (config.model.lstm, config.model.tfe_form, config.model.tfe_keys) == (
        "time",
        "query_stream",
        "joint",
    )
    assert (config.model.frame_encoder_depth, config.model.frame_encoder_heads) == (2, 8)
    assert (config.model.tfe_blocks, config.prompts.length, config.model.tfe_queries) == (12, 64, 8)
    assert config.prompts.context == "shared"
    assert (config.prompts.init_std, config.losses.logit_scale, config.losses.alpha) == (0.02, 100.0, 1.0)
    assert (config.losses.similarity, config.losses.contrast, config.losses.gate) == (
        "as_printed",
        "class",
        "contrast",
    )


def test_paper_preset_is_section_iv_a():
    config = preset("paper")
    assert (config.optim.lr, config.optim.batch_size, config.schedule.max_epochs) == (2e-3, 16, 60)
    assert (config.schedule.plateau_factor, config.schedule.plateau_patience) == (1 / 3, 5)
    assert (config.schedule.min_lr, config.schedule.overfit_accuracy) == (1e-7, 0.8)
    assert (config.optim.clip_norm, config.optim.warmup_steps, config.schedule.stop_patience) == (0, 0, 0)
    assert (config.model.tfe_blocks, config.prompts.length) == (12, 64)


def test_release_preset_is_the_authors_code():
    config = preset("release")
    assert (config.optim.lr, config.optim.weight_decay, config.optim.batch_size) == (2e-4, 1e-6, 32)
    assert (config.schedule.plateau_factor, config.schedule.plateau_patience) == (0.3, 2)
    assert (config.schedule.max_epochs, config.model.lstm, config.model.frame_encoder_depth) == (
        40,
        "type",
        12,
    )


def test_unknown_preset_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="'best'; allowed: default, paper, release, smoke"):
        preset("best")


def test_settings_are_changed_by_name():
    config = override(
        preset("paper"), ["model.polarity=false", "data.polarity_map=joy:positive,rage:negative"]
    )
    assert not config.has_polarity_loss
    assert config.data.polarities() == {"joy": Polarity.POSITIVE, "rage": Polarity.NEGATIVE}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.tfe_form=post_norm", "model.tfe_form is 'post_norm'; allowed: query_stream, literal"),
        ("losses.alpha=-1", "losses.alpha is -1.0; allowed: 0 or more"),
        ("losses.alpha=nan", "losses.alpha is nan"),
        (
            "data.polarity_map=joy",
            "data.polarity_map has 'joy'; write class:polarity with one of negative, neutral",
        ),
        ("model.scene=false", "model.polarity reads the scene, and model.scene is false"),
        ("prompts.context=none", "prompts.context is 'none'; allowed: shared, class_specific"),
        ("schedule.max_epochs=0", "schedule.max_epochs is 0; allowed: 1 or more"),
    ],
)
def test_settings_that_are_not_allowed_are_refused(assignment, message):
    with pytest.raises(ConfigError, match=message):
        override(TrainConfig(), [assignment])


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ("model.tfe_keys=crossed", "model.tfe_keys=joint"),
        ("losses.contrast=streams", "losses.contrast=class"),
    ],
)
def test_settings_that_need_the_scene_say_so(change, remedy):
    with pytest.raises(ConfigError, match=f"set {remedy}"):
        override(TrainConfig(), ["model.scene=false", "model.polarity=false", change])


@pytest.mark.parametrize(
    ("model", "terms", "token", "polarity_loss", "similarity_loss"),
    [
        (ModelConfig(), "all", True, True, True),
        (ModelConfig(), "contrast", False, False, False),
        (ModelConfig(keep_pol_token=True), "contrast", True, False, False),
        (ModelConfig(polarity=False, keep_pol_token=True), "all", False, False, True),
        (ModelConfig(polarity=False, scene=False), "all", False, False, False),
    ],
)
def test_which_losses_and_tokens_a_config_has(model, terms, token, polarity_loss, similarity_loss):
    config = TrainConfig(model=model, losses=LossConfig(terms=terms))
    assert config.has_polarity_token == token
    assert config.has_polarity_loss == polarity_loss
    assert config.has_similarity_loss == similarity_loss


def test_text_that_is_no_config_is_refused():
    with pytest.raises(ConfigError, match="Not a readable config"):
        from_toml("[model")
    with pytest.raises(ConfigError, match="Not a readable config: maximum recursion"):
        from_toml("a = " + "[" * 100_000)
    with pytest.raises(ConfigError, match=r"Unknown setting 'model\.depth'"):
        from_toml("[model]\ndepth = 3")


def test_the_papers_numbers_do_not_follow_the_defaults():
    """`paper` and `release` name every number of theirs, so that better defaults change neither."""
    paper, release = preset("paper"), preset("release")
    assert (paper.optim.weight_decay, release.optim.clip_norm, release.optim.warmup_steps) == (0, 0, 0)
    assert (release.model.tfe_blocks, release.model.tfe_queries, release.prompts.length) == (12, 8, 64)
    assert (paper.model.frame_encoder_depth, paper.model.tfe_queries) == (2, 8)
    assert (paper.model.dropout, release.model.dropout) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "frames", "patches"),
    [
        ({}, False, False),
        ({"tfe_tokens": "frames"}, True, False),
        ({"tfe_keys": "crossed"}, True, False),
        ({"tfe_keys": "crossed", "tfe_tokens": "patches"}, False, True),
        ({"tfe": False, "tfe_tokens": "patches"}, False, False),
    ],
)
def test_which_tokens_the_tfe_sees(changes, frames, patches):
    model = ModelConfig(**changes)
    assert (model.has_frame_tokens, model.has_patch_tokens) == (frames, patches)


def test_a_later_setting_is_in_an_identity_only_if_it_is_changed():
    """The hash is that of the version before `data.face_frames`, as a directory of a sweep stores it."""
    config = TrainConfig()
    before = "17a56910bf243e6d57d171315cc7f5dcc7542194aa048130742cacda67c85275"
    assert sha256_json(learnt(config)) == before
    changed = override(config, ["data.face_frames=in_view"])
    assert learnt(changed)["data"].pop("face_frames") == "in_view"
    assert (result_settings(config)["data"]["face_frames"], learnt(config) == learnt(changed)) == (
        "all",
        False,
    )
    assert setting_changes(config, changed) == ("data.face_frames=in_view",)
    assert setting_changes(changed, config) == ("data.face_frames=all",)
    text = to_toml(config).replace('face_frames = "all"\n', "")
    assert "face_frames" not in text
    assert from_toml(text) == config


LATER = {
    "data.sampling": "balanced",
    "losses.class_weights": "inverse",
    "losses.effective_beta": 0.99,
    "losses.logit_adjustment": 1.0,
    "losses.label_smoothing": 0.1,
    "losses.targets": "votes",
    "losses.vote_temperature": 2.0,
    "schedule.select": "uar",
    "schedule.decay": "cosine",
    "optim.name": "adamw",
    "data.mixup": 0.2,
    "data.shuffle_blocks": 8,
}


@pytest.mark.parametrize(("name", "value"), LATER.items())
def test_each_later_setting_is_part_of_an_identity_once_it_is_changed(name, value):
    section, key = name.split(".")
    config = TrainConfig()
    changed = override(config, [f"{name}={value}"])
    assert key not in learnt(config)[section]
    assert learnt(changed)[section].pop(key) == value
    assert setting_changes(config, changed) == (f"{name}={value}",)
    assert from_toml(to_toml(changed)) == changed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["losses.class_weights=rare"], "losses.class_weights is 'rare'; allowed: none, inverse, effective."),
        (["losses.effective_beta=1"], "losses.effective_beta is 1.0; allowed: 0 to 0.999999."),
        (["losses.label_smoothing=1"], "losses.label_smoothing is 1.0; allowed: 0 to 0.9."),
        (["losses.logit_adjustment=-1"], "losses.logit_adjustment is -1.0; allowed: 0 to 10."),
        (["losses.vote_temperature=0"], "losses.vote_temperature is 0.0; allowed: 0.05 to 20."),
        (["schedule.select=acc"], "schedule.select is 'acc'; allowed: loss, war, uar."),
        (["data.sampling=rare"], "data.sampling is 'rare'; allowed: natural, balanced, square_root."),
        (
            ["losses.contrast=batch", "losses.label_smoothing=0.1"],
            "losses.contrast is 'batch', which has no logit for each class; set losses.contrast=class, or "
            "leave class_weights,",
        ),
        (["data.residence=cloud"], "data.residence is 'cloud'; allowed: auto, device, host, disk."),
        (["data.pool_gb=0"], "data.pool_gb is 0.0; allowed: 0.001 to 100000."),
        (["data.shuffle_blocks=-1"], "data.shuffle_blocks is -1; allowed: 0 to 1000000."),
        (["data.mixup=-1"], "data.mixup is -1.0; allowed: 0 to 10."),
        (["optim.name=sgd"], "optim.name is 'sgd'; allowed: adam, adamw."),
        (["schedule.decay=linear"], "schedule.decay is 'linear'; allowed: plateau, cosine."),
        (
            ["data.mixup=0.2", "data.face_frames=in_view"],
            "two clips may have none in common; set data.face_frames=all, or data.mixup=0.",
        ),
        (["losses.contrast=batch", "data.mixup=0.2"], "losses.contrast is 'batch', which has no logit"),
        (
            ["schedule.decay=cosine", "schedule.min_lr=0.1", "optim.lr=0.01"],
            "schedule.min_lr is 0.1; with schedule.decay=cosine at most optim.lr, 0.01, is allowed.",
        ),
        (
            ["data.sampling=balanced", "losses.class_weights=inverse"],
            "data.sampling is 'balanced': all classes are equally frequent, and losses.class_weights has no "
            "effect; set data.sampling=natural",
        ),
        (
            ["data.sampling=balanced", "losses.logit_adjustment=1"],
            "and losses.logit_adjustment has no effect",
        ),
    ],
)
def test_settings_of_the_long_tail_that_cannot_be_used_are_rejected(changes, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        override(TrainConfig(), changes)


def test_speed_alone_makes_no_other_setting():
    config = TrainConfig()
    fast = override(config, ["optim.graphed=true", "data.residence=disk", "data.pool_gb=1"])
    assert fast != config
    assert learnt(fast) == learnt(config)
    for change in ("optim.lr=1e-3", "data.views=first", "model.precision=bf16", "losses.alpha=2"):
        assert learnt(override(config, [change])) != learnt(config)
