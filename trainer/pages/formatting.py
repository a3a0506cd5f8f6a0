"""Numbers -> the texts of a table's cells: shares in percent."""

from trainer.intervals import Interval
from trainer.run_statistics import Spread

NONE = "-"


def percent(value: float | None) -> str:
    """A share as percent."""
    return NONE if value is None else f"{100 * value:.2f}"


def mean_text(spread: Spread | None) -> str:
    """A mean in percent."""
    return percent(spread.mean if spread else None)


def spread_text(spread: Spread | None) -> str:
    """A mean in percent, with its standard deviation where it has one."""
    if spread is None or spread.std is None:
        return mean_text(spread)
    return f"{mean_text(spread)} ± {percent(spread.std)}"


def interval_text(interval: Interval | None) -> str:
    """An interval in percent."""
    return NONE if interval is None else f"{percent(interval[0])} to {percent(interval[1])}"


def printed(number: float) -> str:
    """A number of the paper, which prints percent, as it stands there."""
    return f"{number:.2f}"
