"""Presets of the settings of a training run: ours, the paper's, the authors' release, and a small one."""

from pipeline.config import require_one_of
from trainer.config import ModelConfig, PromptConfig, TrainConfig
from trainer.training_config import OptimConfig, ScheduleConfig


def default() -> TrainConfig:
    """Return the default settings, whose rate, dropout and inputs decision 0006 compares with others."""
    return TrainConfig()


def paper() -> TrainConfig:
    """Return the settings of section IV-A, with the best row of Table III (12 blocks, 64 vectors)."""
    return TrainConfig(
        model=ModelConfig(frame_encoder_depth=2, tfe_blocks=12, tfe_queries=8, dropout=0.0),
        prompts=PromptConfig(length=64),
        optim=OptimConfig(lr=2e-3, weight_decay=0.0, batch_size=16, clip_norm=0.0, warmup_steps=0),
        schedule=ScheduleConfig(
            max_epochs=60, plateau_factor=1 / 3, plateau_patience=5, stop_patience=0, min_lr=1e-7
        ),
    )


def release() -> TrainConfig:
    """Return the settings of the authors' released code, which differ from their paper."""
    return TrainConfig(
        model=ModelConfig(lstm="type", frame_encoder_depth=12, tfe_blocks=12, tfe_queries=8, dropout=0.0),
        prompts=PromptConfig(length=64),
        optim=OptimConfig(lr=2e-4, weight_decay=1e-6, batch_size=32, clip_norm=0.0, warmup_steps=0),
        schedule=ScheduleConfig(max_epochs=40, plateau_factor=0.3, plateau_patience=2, stop_patience=0),
    )


def smoke() -> TrainConfig:
    """Return a small model for laptops and untrained encoders, as in the demo and the tests."""
    return TrainConfig(
        model=ModelConfig(
            standardise=True, frame_encoder_depth=1, tfe_blocks=2, tfe_queries=4, mlp_ratio=2, dropout=0.0
        ),
        prompts=PromptConfig(length=4),
        optim=OptimConfig(lr=5e-4, batch_size=32, warmup_steps=10),
        schedule=ScheduleConfig(max_epochs=20, stop_patience=8),
    )


PRESETS = {"default": default, "paper": paper, "release": release, "smoke": smoke}


def preset(name: str) -> TrainConfig:
    """Return a preset by its name. Raises ConfigError for an unknown name."""
    require_one_of("--preset", name, tuple(PRESETS))
    return PRESETS[name]()
