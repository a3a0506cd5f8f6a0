"""Every setting of a training run; `presets` are sets of them.

Where the paper is silent or contradicts itself, a setting chooses the reading. The first choice is the
default.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from pipeline.choices import Precision
from pipeline.config import require_one_of, require_range, to_dict
from pipeline.errors import ConfigError
from trainer.data_config import DataConfig
from trainer.training_config import LossConfig, OptimConfig, ScheduleConfig


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Parts of the model and their sizes.

    Attributes:
        architecture: ``ous``, the paper's model. ``temporal``: a baseline without scene, polarity and TFE, a
            transformer over the face frames with a learnable class token (`trainer.temporal`). Of this
            section, it uses standardise, frame_encoder_depth, frame_encoder_heads, mlp_ratio, dropout and
            precision.
        scene: Use the scene stream; otherwise the model sees faces only.
        polarity: Use V_pol.
        tfe: Fuse with the TFE; otherwise average the features.
        standardise: Scale every input feature to zero mean and unit deviation over the training clips.
        lstm: One LSTM over ``time``, shared by both streams, or over the two ``type``s of each frame.
        tfe_form: ``query_stream`` is residual along the queries. ``literal`` is eqs. 5-10 as printed: the
            output of each block is the keys and values of the next.
        tfe_keys: ``joint`` concatenates the tokens of both streams as keys and values. ``crossed`` takes face
            tokens as keys and scene tokens as values (III-B).
        tfe_tokens: Tokens of each stream. ``pooled``: one. ``frames``: one per frame. ``patches``: the pooled
            one and patch tokens, averaged over frames, of a cache made with --tokens grid4 or all. With
            ``crossed`` keys, ``pooled`` means ``frames``, because attention to a single token has no choice.
        tfe_query_std: Standard deviation of the initial queries (eq. 6).
        keep_pol_token: Keep V_pol even without the polarity loss.
        frame_encoder_depth: Layers of the Frame Encoder, 0 to 64.
        frame_encoder_heads, tfe_heads: Attention heads; the number must divide the width of the features.
        tfe_blocks: Blocks of the TFE.
        tfe_queries: Learnable queries of the TFE.
        mlp_ratio: Hidden width of the MLP in each layer, as a multiple of the width of the features.
        dropout: Fraction of activations that are dropped in training, 0 to 0.9.
        precision: Precision of the model; ``auto`` is bf16 on GPUs that have it, else float32.
    """

    architecture: Literal["ous", "temporal"] = "ous"
    scene: bool = True
    polarity: bool = True
    tfe: bool = True
    standardise: bool = False
    lstm: Literal["time", "type"] = "time"
    frame_encoder_depth: int = 2
    frame_encoder_heads: int = 8
    tfe_form: Literal["query_stream", "literal"] = "query_stream"
    tfe_keys: Literal["joint", "crossed"] = "joint"
    tfe_tokens: Literal["pooled", "frames", "patches"] = "pooled"
    tfe_blocks: int = 12
    tfe_queries: int = 8
    tfe_heads: int = 8
    tfe_query_std: float = 1.0
    keep_pol_token: bool = False
    mlp_ratio: int = 4
    dropout: float = 0.1
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        require_one_of("model.architecture", self.architecture, ("ous", "temporal"))
        require_one_of("model.lstm", self.lstm, ("time", "type"))
        require_one_of("model.tfe_form", self.tfe_form, ("query_stream", "literal"))
        require_one_of("model.tfe_keys", self.tfe_keys, ("joint", "crossed"))
        require_one_of("model.tfe_tokens", self.tfe_tokens, ("pooled", "frames", "patches"))
        require_one_of("model.precision", self.precision, get_args(Precision))
        for name in ("frame_encoder_heads", "tfe_blocks", "tfe_queries", "tfe_heads", "mlp_ratio"):
            require_range(f"model.{name}", getattr(self, name), 1, 1024)
        require_range("model.frame_encoder_depth", self.frame_encoder_depth, 0, 64)
        require_range("model.tfe_query_std", self.tfe_query_std, 0)
        require_range("model.dropout", self.dropout, 0, 0.9)
        unused = [name for name in ("scene", "polarity", "tfe") if getattr(self, name)]
        if self.architecture == "temporal" and unused:
            settings = ", ".join(f"model.{name}=false" for name in unused)
            msg = f"model.architecture=temporal has face frames only; set {settings} too."
            raise ConfigError(msg)
        if self.polarity and not self.scene:
            msg = "model.polarity reads the scene, and model.scene is false; set model.polarity=false too."
            raise ConfigError(msg)
        if self.tfe and self.tfe_keys == "crossed" and not self.scene:
            msg = (
                "model.tfe_keys=crossed needs the scene, and model.scene is false; set model.tfe_keys=joint."
            )
            raise ConfigError(msg)

    @property
    def has_frame_tokens(self) -> bool:
        """Whether the TFE sees one token per frame and stream."""
        return self.tfe_tokens == "frames" or (self.tfe_keys == "crossed" and self.tfe_tokens == "pooled")

    @property
    def has_patch_tokens(self) -> bool:
        """Whether the TFE sees patch tokens, so that the cache must hold them."""
        return self.tfe and self.tfe_tokens == "patches"


@dataclass(frozen=True, kw_only=True)
class PromptConfig:
    """The learnable prompts of eq. 11.

    Attributes:
        length: Number of context vectors, M.
        context: ``shared`` by all classes, or ``class_specific``.
        init_std: Standard deviation of the normal distribution of initial values.
        precision: Precision of the frozen text encoder. ``auto`` is float32 on a CPU, and bfloat16 on GPUs
            that have it.
    """

    length: int = 64
    context: Literal["shared", "class_specific"] = "shared"
    init_std: float = 0.02
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        require_range("prompts.length", self.length, 1)
        require_one_of("prompts.context", self.context, ("shared", "class_specific"))
        require_range("prompts.init_std", self.init_std, 0)
        require_one_of("prompts.precision", self.precision, get_args(Precision))


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All settings of a training run."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    prompts: PromptConfig = field(default_factory=PromptConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)

    def __post_init__(self) -> None:
        if self.losses.contrast == "streams" and not self.model.scene:
            msg = "losses.contrast=streams needs the scene; set losses.contrast=class, or model.scene=true."
            raise ConfigError(msg)
        if self.losses.contrast == "batch" and not self.has_plain_targets:
            msg = (
                "losses.contrast is 'batch', which has no logit for each class; set losses.contrast=class, "
                "or leave class_weights, logit_adjustment, label_smoothing and targets of losses and "
                "data.mixup at their defaults."
            )
            raise ConfigError(msg)
        corrected = self.losses.class_weights != "none" or self.losses.logit_adjustment
        if self.data.sampling == "balanced" and self.data.mixture == "size" and corrected:
            name = "class_weights" if self.losses.class_weights != "none" else "logit_adjustment"
            msg = (
                f"data.sampling is 'balanced': all classes are equally frequent, and losses.{name} has no "
                f"effect; set data.sampling=natural or square_root, or leave out losses.{name}."
            )
            raise ConfigError(msg)

        if self.schedule.decay == "cosine" and self.schedule.min_lr > self.optim.lr:
            msg = (
                f"schedule.min_lr is {self.schedule.min_lr:g}; with schedule.decay=cosine at most optim.lr, "
                f"{self.optim.lr:g}, is allowed."
            )
            raise ConfigError(msg)

    @property
    def has_plain_targets(self) -> bool:
        """Whether L_contrast is the plain cross-entropy of logits and labels."""
        return self.losses.is_plain and not self.data.mixup

    @property
    def has_similarity_loss(self) -> bool:
        """Whether L_similarity is part of eq. 4 in this run."""
        return self.losses.terms == "all" and self.model.scene

    @property
    def has_polarity_loss(self) -> bool:
        """Whether L_polarity is part of eq. 4 in this run; polarity labels are then needed."""
        return self.losses.terms == "all" and self.model.polarity

    @property
    def has_polarity_token(self) -> bool:
        """Whether there is a V_pol; without its loss only if `model.keep_pol_token` is set."""
        return self.has_polarity_loss or (self.model.polarity and self.model.keep_pol_token)


_LATER = (
    ("data", "face_frames", "all"),
    ("data", "sampling", "natural"),
    ("data", "mixup", 0.0),
    ("data", "mixture", "size"),
    ("data", "pool_gb", 4.0),
    ("data", "shuffle_blocks", 0),
    ("model", "architecture", "ous"),
    ("losses", "class_weights", "none"),
    ("losses", "effective_beta", 0.999),
    ("losses", "logit_adjustment", 0.0),
    ("losses", "label_smoothing", 0.0),
    ("losses", "targets", "label"),
    ("losses", "vote_temperature", 1.0),
    ("optim", "name", "adam"),
    ("schedule", "select", "loss"),
    ("schedule", "decay", "plateau"),
)
"""Section, key and default of the settings that are newer than stored identities."""


def learnt(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that affect the result as identities contain them, as plain values.

    Runs that agree in them are runs of one setting. Stored identities are older than some settings. Such a
    setting (`_LATER`) is left out while it has its default, which is the earlier behaviour.
    """
    values = result_settings(config)
    for section, key, default in _LATER:
        if values[section][key] == default:
            del values[section][key]
    return values


def result_settings(config: TrainConfig) -> dict[str, Any]:
    """Return every setting that affects the result: all but `residence`, `pool_gb` and `graphed`."""
    return to_dict(
        replace(
            config,
            data=replace(config.data, residence="auto", pool_gb=DataConfig.pool_gb),
            optim=replace(config.optim, graphed=False),
        )
    )
