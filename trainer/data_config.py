"""Settings of the clips of a run and of their features; `config` puts all settings together."""

from dataclasses import dataclass
from typing import Literal

from pipeline.config import require_one_of, require_range
from pipeline.errors import ConfigError
from pipeline.types import Polarity


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Clips that train, clips that choose the checkpoint, and the memory that holds their features.

    Attributes:
        validation: Clips that choose the checkpoint. ``given``: those that the dataset marks as validation.
            ``holdout``: `holdout_share` of the training clips, stratified by class, drawn with the seed.
            ``auto``: ``given`` if any are marked, else ``holdout``. ``test``: the test split, as in the
            literature. ``train``: the training clips. Every output names a selection by ``test`` or
            ``train``.
        holdout_share: Fraction of the training clips to hold out.
        views: View of a training clip: ``random`` in each epoch, or always the ``first``. Views beyond the
            second sample frames at other times, so that ``random`` is a temporal jitter if the cache has
            three views or more.
        mixup: alpha of the Beta distribution by which the features and targets of two clips of a batch are
            mixed (Zhang et al. 2018, there 0.1 to 0.4), up to 10. 0 for none. Frames that only one of the
            clips has are left out.
        face_frames: Frames of the face stream. ``all``: every valid frame, whatever the cache's crop holds.
            ``in_view``: only those on which the subject is in view, of a cache that was extracted with
            track.method=motion. A clip without any such frame keeps all valid frames. The scene stream always
            has all valid frames.
        sampling: Clips of an epoch. ``natural``: each training clip once. ``balanced``: as many clips, drawn
            with replacement so that all classes are equally frequent. ``square_root``: drawn so that the
            frequency of a class is proportional to the square root of its number of clips.
        mixture: Clips of an epoch in a training on several caches. ``size``: all training clips are one set,
            from which `sampling` takes its clips. ``equal``: as many clips as all caches have, drawn with
            replacement so that every cache has an equal part; `sampling` then holds within each cache.
        residence: Place of the features: ``device``, ``host``, or ``auto`` for the device if they fit.
            ``disk``: they stay in the cache, and blocks of it are read ahead of the steps into at most
            `pool_gb` of host memory, unless all of them fit there. It changes no number.
        pool_gb: Memory for features with ``residence=disk``, in GB, 0.001 to 100,000. It also holds the
            blocks that are being read, and the validation clips if they take at most a quarter. The default
            holds all of DFEW four times over, and is a quarter of the memory of a laptop with 16 GB.
        shuffle_blocks: Window of the shuffle of the training clips, in blocks of the cache, wherever the
            features are. 0: full shuffle. Otherwise blocks come in random order, and clips are drawn at
            random from as many as this number of blocks has (`trainer.block_shuffle`). Features that do not
            fit into `pool_gb` need it.
        polarity_map: ``class:polarity`` pairs for classes whose polarity the cache does not have.
    """

    validation: Literal["auto", "holdout", "given", "test", "train"] = "auto"
    holdout_share: float = 0.1
    views: Literal["random", "first"] = "random"
    face_frames: Literal["all", "in_view"] = "all"
    sampling: Literal["natural", "balanced", "square_root"] = "natural"
    mixture: Literal["size", "equal"] = "size"
    mixup: float = 0.0
    residence: Literal["auto", "device", "host", "disk"] = "auto"
    pool_gb: float = 4.0
    shuffle_blocks: int = 0
    polarity_map: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_one_of("data.validation", self.validation, ("auto", "holdout", "given", "test", "train"))
        require_range("data.holdout_share", self.holdout_share, 0.01, 0.5)
        require_one_of("data.views", self.views, ("random", "first"))
        require_one_of("data.face_frames", self.face_frames, ("all", "in_view"))
        require_one_of("data.sampling", self.sampling, ("natural", "balanced", "square_root"))
        require_one_of("data.mixture", self.mixture, ("size", "equal"))
        require_range("data.mixup", self.mixup, 0, 10)
        if self.mixup and self.face_frames == "in_view":
            msg = (
                "data.mixup mixes frames that both clips have, and with data.face_frames=in_view two clips "
                "may have none in common; set data.face_frames=all, or data.mixup=0."
            )
            raise ConfigError(msg)
        require_one_of("data.residence", self.residence, ("auto", "device", "host", "disk"))
        require_range("data.pool_gb", self.pool_gb, 0.001, 100_000)
        require_range("data.shuffle_blocks", self.shuffle_blocks, 0, 1_000_000)
        if self.shuffle_blocks and self.draws_clips:
            name = "mixture" if self.mixture != "size" else "sampling"
            default = "size" if name == "mixture" else "natural"
            msg = (
                f"data.{name} is '{getattr(self, name)}', which draws clips of the whole set with "
                f"replacement, and data.shuffle_blocks={self.shuffle_blocks} keeps a part of it in memory; "
                f"set data.{name}={default}, or data.shuffle_blocks=0."
            )
            raise ConfigError(msg)
        self.polarities()

    @property
    def draws_clips(self) -> bool:
        """Whether the clips of an epoch are drawn with replacement."""
        return self.sampling != "natural" or self.mixture != "size"

    def polarities(self) -> dict[str, Polarity]:
        """Return `polarity_map` as class name -> polarity. Raises ConfigError for a malformed pair."""
        known = {member.name.lower(): member for member in Polarity if member != Polarity.UNKNOWN}
        read: dict[str, Polarity] = {}
        for pair in self.polarity_map:
            name, colon, polarity = pair.rpartition(":")
            if not colon or polarity not in known:
                msg = f"data.polarity_map has {pair!r}; write class:polarity with one of {', '.join(known)}."
                raise ConfigError(msg)
            read[name] = known[polarity]
        return read
