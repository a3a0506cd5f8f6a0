"""Parts of tables: machine and date, spreads and differences over seeds."""

from typing import Any

from pipeline.errors import counted


def about(recorded: dict[str, Any], more: str = "") -> str:
    """Return the machine, the versions and the date of a measurement."""
    machine, versions = recorded["machine"], recorded["versions"]
    where = cores_of(machine) + (f", {machine['gpu']}" if machine["gpu"] else "")
    about = f"{where}{f', {more}' if more else ''}; torch {versions['torch']}, Python {versions['python']}"
    return f"{about}; commit {recorded['commit']}, {recorded['date'][:10]}."


def cores_of(machine: dict[str, Any]) -> str:
    """Return the processor and the number of cores."""
    return f"{machine['cpu']}, {counted(machine['cores'], 'core')}"


def seeds_of(recorded: dict[str, Any]) -> str:
    """Return the number of seeds and of clips, in words."""
    clips = f"{recorded['train']} training and {recorded['validation']} validation clips"
    return f"{recorded['options']['seeds']} seeds, {clips}"


def spread(value: dict[str, Any], scale: float, digits: int = 1) -> str:
    """Return mean and standard deviation over seeds."""
    return f"{scale * value['mean']:.{digits}f} ± {scale * value['std']:.{digits}f}"


def against(value: dict[str, Any], scale: float, digits: int = 1) -> str:
    """Return the difference from the base within seeds, with its interval; empty for the base."""
    if "against" not in value:
        return ""
    low, high = (scale * end for end in value["against"]["interval"])
    mean = scale * value["against"]["mean"]
    return f"{mean:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"
