"""Windows to explain: the surest answers of a person, of different classes and times."""

from collections.abc import Sequence

from pipeline.errors import ConfigError
from trainer.prediction.results import DOUBTFUL, Prediction, WindowAnswer

EVERY, NO_WINDOW = "all", "none"
DEFAULT = "3"


def chosen_windows(prediction: Prediction, count: str) -> list[int]:
    """Return the indices of the windows to explain, rising.

    For each person, the windows with an answer are ordered by their margin, those with a doubtful track after
    all others. First, the first window of each class is taken, then windows that share no frame with a taken
    one, both in this order, up to the number.

    Args:
        prediction: The prediction.
        count: Windows per person: a number from 1, ``all`` or ``none``.

    Raises:
        ConfigError: `count` is something else.
    """
    limit = _limit(count)
    if limit is None:
        return [index for index, window in enumerate(prediction.windows) if window.answer is not None]
    chosen: list[int] = []
    for person in prediction.people:
        chosen += _of_person(prediction.windows, set(person.tracks), limit)
    return sorted(chosen)


def most_windows(count: str, num_windows: int) -> int:
    """Return the number of windows that are explained for a person with this many windows, at most."""
    limit = _limit(count)
    return num_windows if limit is None else min(limit, num_windows)


def require_count(count: str) -> None:
    """Raise ConfigError unless this is a number of windows, ``all`` or ``none``."""
    _limit(count)


def _limit(count: str) -> int | None:
    """Return the number of windows per person; None for all."""
    if count == EVERY:
        return None
    if count == NO_WINDOW:
        return 0
    if not (count.isascii() and count.isdigit() and int(count)):
        msg = f"--explain is '{count}'; allowed: {EVERY}, {NO_WINDOW}, or a number of windows from 1."
        raise ConfigError(msg)
    return int(count)


def _of_person(windows: Sequence[WindowAnswer], tracks: set[str], limit: int) -> list[int]:
    answered = [n for n, one in enumerate(windows) if one.track in tracks and one.answer is not None]
    surest = sorted(answered, key=lambda n: (DOUBTFUL in windows[n].flags, -(windows[n].margin or 0.0), n))
    first_of_class = {windows[n].answer: n for n in reversed(surest)}
    taken = [n for n in surest if first_of_class[windows[n].answer] == n][:limit]
    for n in surest:
        if len(taken) >= limit:
            break
        if not any(_overlap(windows[n], windows[other]) for other in taken):
            taken.append(n)
    return taken


def _overlap(one: WindowAnswer, other: WindowAnswer) -> bool:
    """Return whether two windows share frames."""
    return (
        one.first_frame < other.first_frame + other.num_frames
        and other.first_frame < one.first_frame + one.num_frames
    )
