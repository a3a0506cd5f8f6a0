"""Polarities of clips of caches whose classes are mapped to those of a run: added ones, and measured ones.

Letters: C classes of the run, N clips.
"""

from pipeline.datasets.emotions import polarity_of_class
from pipeline.errors import ConfigError, counted, some
from pipeline.store.reader import FeatureCache
from pipeline.types import Ints, Polarity
from trainer.block_reading import ClipSource
from trainer.config import TrainConfig
from trainer.data_config import DataConfig
from trainer.folds import polarity_labels

MIXED = "mixed"


def class_polarities(first: FeatureCache, config: TrainConfig) -> dict[str, Polarity | str]:
    """Return the polarity of each class of a run.

    It is that of the clips of the class in the first cache, `data.polarity_map` included. Without a clip of
    known polarity it is that of the class name (`polarity_of_class`), which may be UNKNOWN. It is `MIXED` if
    these clips differ.
    """
    label_N, polarity_N = first.read("label"), polarity_labels(first, config.data)
    found: dict[str, Polarity | str] = {}
    for number, name in enumerate(first.meta.class_names):
        known = set(polarity_N[label_N == number].tolist()) - {Polarity.UNKNOWN}
        if len(known) > 1:
            found[name] = MIXED
        else:
            found[name] = Polarity(known.pop()) if known else polarity_of_class(name)
    return found


def mapped_polarities(
    cache: FeatureCache, row_N: Ints, label_N: Ints, run_names: tuple[str, ...], config: TrainConfig
) -> Ints:
    """Return the polarities of clips of a cache with other classes [N], -1 for unknown.

    Args:
        cache: An open cache.
        row_N: Rows of the clips.
        label_N: Their classes, of the run.
        run_names: Classes of the run, by which `data.polarity_map` overrides the cache.
        config: Settings of the run.
    """
    polarity_N = polarity_labels(cache, DataConfig())[row_N]
    for name, polarity in config.data.polarities().items():
        if name in run_names:
            polarity_N[label_N == run_names.index(name)] = polarity
    return polarity_N


def with_polarities(source: ClipSource, of_class: dict[str, Polarity | str]) -> tuple[Ints, str]:
    """Return the polarities of clips [N], those of their classes where clips have none, and a remark.

    Args:
        source: Clips of a further cache, with classes of the run.
        of_class: Result of `class_polarities`.

    Returns:
        The polarities, and a line that shows which classes gave theirs; empty if every clip has its own.

    Raises:
        ConfigError: The class of a clip without a polarity has none, or has several.
    """
    names = list(of_class)
    polarity_N = source.polarity_N.copy()
    unknown_N = polarity_N == Polarity.UNKNOWN
    if not unknown_N.any():
        return polarity_N, ""
    lacking: dict[str, str] = {}
    taken: list[str] = []
    num_lacking = 0
    for number, name in enumerate(names):
        is_here_N = unknown_N & (source.label_N == number)
        if not is_here_N.any():
            continue
        polarity = of_class[name]
        if isinstance(polarity, Polarity) and polarity is not Polarity.UNKNOWN:
            polarity_N[is_here_N] = polarity
            taken.append(f"{name} {polarity.name.lower()}")
        else:
            num_lacking += int(is_here_N.sum())
            lacking[name] = " (several polarities in the first cache)" if polarity == MIXED else ""
    if lacking:
        shown = some([f"{name}{why}" for name, why in lacking.items()])
        msg = (
            f"{counted(num_lacking, 'clip')} of '{source.cache.place}', of {shown}, without a known polarity "
            "(their class gives none either); give the dataset a 'polarity' column, or --set "
            f"data.polarity_map={next(iter(lacking))}:positive,... (positive, neutral, negative), by classes "
            "of the run, or train without it: --set model.polarity=false."
        )
        raise ConfigError(msg)
    remark = (
        f"{counted(int(unknown_N.sum()), 'clip')} of '{source.cache.place}' without a polarity: that of the "
        f"class is used ({', '.join(taken)})"
    )
    return polarity_N, remark
