"""Outcomes of one row -> those that share a mean: trained on the same clips, in the same precision."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from trainer.ablate.outcome import Outcome

Kind: TypeAlias = tuple[str, str]
"""The clips, by `folds.usable_sha256`, and the precision of training."""

_HASH_SHOWN = 8


def split(outcomes: Sequence[Outcome]) -> Mapping[str, tuple[Outcome, ...]]:
    """Return the outcomes of one row by what sets them apart in words, "" where all share a mean.

    Outcomes without numbers are with the first kind. Outcomes of versions that did not record the clips have
    the clips of the others, because a grid is resumed only where its cache has the same clips done as before.
    They have the precision of the others on their device.
    """
    finished = [outcome for outcome in outcomes if outcome.state == "finished"]
    clips = dict.fromkeys(outcome.usable_sha256 for outcome in finished if outcome.usable_sha256)
    precision_on = {outcome.device: outcome.precision for outcome in finished if outcome.precision}

    def kind(outcome: Outcome) -> Kind:
        not_recorded = f"precision not recorded, on {outcome.device}"
        precision = outcome.precision or precision_on.get(outcome.device, not_recorded)
        usable = outcome.usable_sha256 or (next(iter(clips)) if len(clips) == 1 else "")
        return usable, precision

    kinds = dict.fromkeys(kind(outcome) for outcome in finished)
    if len(kinds) <= 1:
        return {"": tuple(outcomes)}
    first = next(iter(kinds))
    of_kind = {one: _in_words(one, kinds) for one in kinds}
    found: dict[str, tuple[Outcome, ...]] = {}
    for outcome in outcomes:
        text = of_kind[kind(outcome) if outcome.state == "finished" else first]
        found[text] = (*found.get(text, ()), outcome)
    return found


def _in_words(kind: Kind, kinds: Mapping[Kind, None]) -> str:
    """Return the parts of a kind in which the kinds differ."""
    usable, precision = kind
    clips = f"clips {usable[:_HASH_SHOWN]}" if usable else "clips not recorded"
    texts = (clips, precision)
    return ", ".join(text for part, text in enumerate(texts) if len({one[part] for one in kinds}) > 1)
