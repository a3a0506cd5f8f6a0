"""Outcomes of a row -> sets over which a mean is taken, with equal clips, precision and holdout."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from trainer.ablate.outcome import Outcome
from trainer.holdout import CLIPS, GROUPS

Kind: TypeAlias = tuple[str, str, str]
"""`folds.usable_sha256`; precision of training; rule that chose the checkpoint."""

_HASH_SHOWN = 8


def split(outcomes: Sequence[Outcome]) -> Mapping[str, tuple[Outcome, ...]]:
    """Return the outcomes of a row by kind, in words; "" if there is one kind.

    Outcomes without metrics are in the first kind. Outcomes of versions that did not record the clips have
    the clips of the others, because a sweep resumes only on a cache with the same clips done. They have the
    precision of the others on their device. The rule counts only if both a holdout of clips and one of groups
    occur, because folds of a sweep may otherwise differ in having validation clips of their own.
    """
    finished = [outcome for outcome in outcomes if outcome.state == "finished"]
    clips = dict.fromkeys(outcome.usable_sha256 for outcome in finished if outcome.usable_sha256)
    has_both_holdouts = {CLIPS, GROUPS} <= {outcome.selection for outcome in finished}
    precision_on = {outcome.device: outcome.precision for outcome in finished if outcome.precision}

    def kind(outcome: Outcome) -> Kind:
        not_recorded = f"precision not recorded, on {outcome.device}"
        precision = outcome.precision or precision_on.get(outcome.device, not_recorded)
        usable = outcome.usable_sha256 or (next(iter(clips)) if len(clips) == 1 else "")
        return usable, precision, outcome.selection if has_both_holdouts else ""

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
    """Return the parts of a kind that differ among the kinds, in words."""
    usable, precision, selection = kind
    clips = f"clips {usable[:_HASH_SHOWN]}" if usable else "clips not recorded"
    texts = (clips, precision, selection)
    return ", ".join(text for part, text in enumerate(texts) if len({one[part] for one in kinds}) > 1)
