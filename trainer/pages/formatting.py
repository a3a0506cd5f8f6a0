"""Numbers -> texts of a table's cells, in percent."""

from trainer.intervals import Interval
from trainer.run_statistics import Spread

NONE = "-"


def percent(value: float | None) -> str:
    """Format a fraction (0 to 1) in percent."""
    return NONE if value is None else f"{100 * value:.2f}"


def mean_text(spread: Spread | None) -> str:
    """Format a mean in percent."""
    return percent(spread.mean if spread else None)


def spread_text(spread: Spread | None) -> str:
    """Format a mean in percent, with its standard deviation if it has one."""
    if spread is None or spread.std is None:
        return mean_text(spread)
    return f"{mean_text(spread)} ± {percent(spread.std)}"


def interval_text(interval: Interval | None) -> str:
    """Format an interval in percent."""
    return NONE if interval is None else f"{percent(interval[0])} to {percent(interval[1])}"


def printed(number: float) -> str:
    """Format a number of the paper, which is in percent, as printed."""
    return f"{number:.2f}"
