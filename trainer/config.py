"""Every setting of a training run; `presets` are sets of them.

Where the paper is silent or contradicts itself, the reading is a setting here, the default first
among its choices.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from pipeline.choices import Precision
from pipeline.config import require_one_of, require_range, to_dict
from pipeline.errors import ConfigError
from pipeline.types import Polarity


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which clips train, which choose the checkpoint, and where the features are kept.

    validation: ``auto`` takes the clips the data set marks as validation, or, when it marks none,
    ``holdout``: `holdout_share` of the training fold, stratified by class, seeded. ``given``
    insists on marked ones. ``test`` selects on the test split, as the literature does, and
    ``train`` on the training clips themselves; both are labelled so wherever a number is shown.
    views: training draws a ``random`` view per sample, or takes the ``first`` one always.
    residence: ``device`` or ``host`` memory; ``auto`` takes the device when they fit.
    polarity_map: ``class:polarity`` pairs for classes whose polarity the cache does not know.
    """

    validation: Literal["auto", "holdout", "given", "test", "train"] = "auto"
    holdout_share: float = 0.1
    views: Literal["random", "first"] = "random"
    residence: Literal["auto", "device", "host"] = "auto"
    polarity_map: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_one_of("data.validation", self.validation, ("auto", "holdout", "given", "test", "train"))
        require_range("data.holdout_share", self.holdout_share, 0.01, 0.5)
        require_one_of("data.views", self.views, ("random", "first"))
        require_one_of("data.residence", self.residence, ("auto", "device", "host"))
        self.polarities()

    def polarities(self) -> dict[str, Polarity]:
        """`polarity_map`, read: class name -> polarity."""
        known = {member.name.lower(): member for member in Polarity if member != Polarity.UNKNOWN}
        read: dict[str, Polarity] = {}
        for pair in self.polarity_map:
            name, colon, polarity = pair.rpartition(":")
            if not colon or polarity not in known:
                msg = f"data.polarity_map has {pair!r}; write class:polarity with one of {', '.join(known)}."
                raise ConfigError(msg)
            read[name] = known[polarity]
        return read


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What the model is made of.

    scene, polarity, tfe: the paper's parts; without `scene` the model sees faces only, without
    `polarity` there is no V_pol, without `tfe` the features are averaged.
    standardise: scale every input feature to zero mean and unit deviation over the training clips.
    lstm: one LSTM over ``time``, shared by both streams, or over the two ``type``s of each frame.
    tfe_form: ``query_stream`` is residual along the queries; ``literal`` is eqs. 5-10 to the
    letter, each block's output being the next one's keys and values.
    tfe_keys: ``joint`` concatenates the tokens as keys and values; ``crossed`` takes face tokens
    as keys and scene tokens as values (III-B).
    tfe_tokens: of each stream, one ``pooled`` token; one per frame (``frames``; crossed keys take
    these for pooled ones, of which there would be no choice); or the pooled one and the ``patches``,
    averaged over the frames, of a cache made with --tokens grid4 or all.
    tfe_query_std: the deviation of eq. 6. keep_pol_token: V_pol even without a polarity loss.
    """

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

    length: M, the context vectors. context: one for all classes, or one for each. init_std: of the
    normal distribution that they are drawn from. precision: of the frozen text tower; ``auto`` is
    float32 on a CPU and bfloat16 on CUDA.
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
class LossConfig:
    """The three losses and the gate.

    terms: ``all`` of eq. 4, or ``contrast`` alone (the L_ce of Tables IV and V).
    similarity: eq. 2 ``as_printed``, over the whole batch, or ``per_sample``.
    contrast: against the ``class`` prompts; eq. 3 over the ``batch`` with the sample's own prompt
    as the positive, which needs clips of two classes in a batch; or ``streams``, eq. 3 between scene and
    face, added to ``class``.
    reduction: eqs. 1 and 3 print sums over the batch; ``mean`` does not depend on its size.
    gate: what is compared with `alpha`, the batch's contrastive loss or the ``total`` of eq. 4; its mean
    over the clips, whatever the reduction (decision 0015).
    logit_scale: 1 / tau, frozen; trained CLIP models have 100.
    """

    terms: Literal["all", "contrast"] = "all"
    similarity: Literal["as_printed", "per_sample"] = "as_printed"
    contrast: Literal["class", "batch", "streams"] = "class"
    reduction: Literal["mean", "sum"] = "mean"
    gate: Literal["contrast", "total"] = "contrast"
    alpha: float = 1.0
    logit_scale: float = 100.0

    def __post_init__(self) -> None:
        require_one_of("losses.terms", self.terms, ("all", "contrast"))
        require_one_of("losses.similarity", self.similarity, ("as_printed", "per_sample"))
        require_one_of("losses.contrast", self.contrast, ("class", "batch", "streams"))
        require_one_of("losses.reduction", self.reduction, ("mean", "sum"))
        require_one_of("losses.gate", self.gate, ("contrast", "total"))
        require_range("losses.alpha", self.alpha, 0)
        require_range("losses.logit_scale", self.logit_scale, 1)


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """Adam. clip_norm: largest norm of the gradient, 0 for none. warmup_steps: of linear rise.

    graphed: on CUDA, replay whole batches' steps as one graph; changes the speed alone.
    """

    lr: float = 2e-4
    weight_decay: float = 0.0
    batch_size: int = 32
    clip_norm: float = 1.0
    warmup_steps: int = 100
    graphed: bool = False

    def __post_init__(self) -> None:
        require_range("optim.lr", self.lr, 1e-12, 10)
        require_range("optim.weight_decay", self.weight_decay, 0)
        require_range("optim.batch_size", self.batch_size, 1)
        require_range("optim.clip_norm", self.clip_norm, 0)
        require_range("optim.warmup_steps", self.warmup_steps, 0)


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """How long to train (IV-A).

    The rate is multiplied by `plateau_factor` after `plateau_patience` epochs without a lower
    validation loss. Training ends under `min_lr`, after `max_epochs`, after `max_steps` (0: no
    limit), or after `stop_patience` epochs without a lower validation loss (0: never). Above
    `overfit_accuracy` of training accuracy the run is flagged.
    """

    max_epochs: int = 60
    max_steps: int = 0
    plateau_factor: float = 1 / 3
    plateau_patience: int = 5
    stop_patience: int = 12
    min_lr: float = 1e-7
    overfit_accuracy: float = 0.8

    def __post_init__(self) -> None:
        require_range("schedule.max_epochs", self.max_epochs, 1)
        require_range("schedule.max_steps", self.max_steps, 0)
        require_range("schedule.plateau_factor", self.plateau_factor, 0.01, 1)
        require_range("schedule.plateau_patience", self.plateau_patience, 1)
        require_range("schedule.stop_patience", self.stop_patience, 0)
        require_range("schedule.min_lr", self.min_lr, 0)
        require_range("schedule.overfit_accuracy", self.overfit_accuracy, 0, 1)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run, whole."""

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
        """Whether there is a V_pol: without its loss only on request (`model.keep_pol_token`)."""
        return self.has_polarity_loss or (self.model.polarity and self.model.keep_pol_token)


def learnt(config: TrainConfig) -> dict[str, Any]:
    """The settings that change what is learnt, as plain values: all but where features lie, and graphs.

    Runs that agree in them are runs of one setting.
    """
    return to_dict(
        replace(
            config,
            data=replace(config.data, residence="auto"),
            optim=replace(config.optim, graphed=False),
        )
    )
