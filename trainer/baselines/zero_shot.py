"""Mean features and class texts -> the class of largest cosine: CLIP without any training.

As for retrieval with mean pooling (CLIP4Clip, Luo et al. 2022), every frame counts with length 1.

Letters: N clips; C classes; F embedding width.
"""

from functools import lru_cache

import torch
from torch.nn import functional

from pipeline.clip_model import EncoderConfig, encoder_of
from pipeline.errors import ConfigError
from pipeline.store.meta import CacheMeta
from trainer.prompts import TextTower, load_checked_text

_TEXTS_KEPT = 4


def cosines(feature_NF: torch.Tensor, text_CF: torch.Tensor) -> torch.Tensor:
    """Return the cosines [N, C] of features and class features of length 1."""
    return functional.normalize(feature_NF, dim=1) @ text_CF.T


def text_features(
    meta: CacheMeta, texts: tuple[str, ...], encoder_weights: str | None = None
) -> torch.Tensor:
    """Return the features [C, F] of texts, float32 of length 1 on the CPU, from the text encoder of a cache.

    Args:
        meta: Attributes of the cache.
        texts: One for each class.
        encoder_weights: Tag or path of the weights. None: those that the cache names.

    Raises:
        ConfigError: A text has more tokens than the text encoder has positions.
        WeightsError: The weights are not available, or not those of the model that made the cache.
    """
    return _features(encoder_of(meta, encoder_weights), meta.text_sha256, texts)


@lru_cache(maxsize=_TEXTS_KEPT)
def _features(encoder: EncoderConfig, text_sha256: str, texts: tuple[str, ...]) -> torch.Tensor:
    clip = load_checked_text(encoder, text_sha256)
    end_C = clip.tokenize(list(texts)).argmax(dim=1)
    available = clip.model.positional_embedding.shape[0]
    if int(end_C.max()) == available - 1:  # the tokenizer cuts longer texts
        longest = texts[int(end_C.argmax())]
        msg = (
            f"The text of a class, {longest[:100]!r}, fills all {available} positions of the text encoder, "
            "and may have been cut; shorten baseline.template."
        )
        raise ConfigError(msg)
    tower = TextTower(clip, texts, num_context=0)
    with torch.no_grad():
        features: torch.Tensor = tower(torch.empty(0, tower.width))
    return features
