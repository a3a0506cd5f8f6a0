"""Tables of `benchmarks.harder` for docs/combined-cues.md."""

from typing import Any

_KINDS = ("all", "clear", "object", "light", "both", "moment", "order", "gaze")
_BOUNDS = {
    "face": "face alone",
    "scene": "scene alone",
    "face and light": "face and light",
    "face and objects": "face and objects",
    "all without order in time, added": "everything, added, without times",
    "all, added": "everything, added",
    "face and combined scene, added": "face and scene, added; scene combined",
    "all without order in time": "everything, without times",
    "all": "everything",
}
"""Name of a reading in the record -> in the table."""


def harder_tables(recorded: dict[str, Any], about: str) -> str:
    """Return the tables of bounds, of trained models and of probes.

    Args:
        recorded: Content of benchmarks/results/harder.json.
        about: Machine, versions and date.
    """
    parts = [about, _bounds_table(recorded)]
    if "ideal" in recorded:
        parts.append(_rows_table(recorded["ideal"], "model on ideal features"))
    parts.append(_rows_table(recorded, "model on encoder features"))
    return "\n\n".join([*parts, _probes_table(recorded), _notes(recorded)])


def _bounds_table(recorded: dict[str, Any]) -> str:
    bounds = recorded["bounds"]
    rows = [_heading("best accuracy of a reading")]
    for name, shown in _BOUNDS.items():
        cells = [f"{100 * bounds[kind][name]:.1f}" for kind in _KINDS]
        rows.append(f"| {shown} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _rows_table(recorded: dict[str, Any], first: str) -> str:
    seeds = len(next(iter(recorded["rows"].values()))["all"]["seeds"])
    rows = [_heading(f"{first}, {seeds} seeds", "all against `full`")]
    for name, kinds in recorded["rows"].items():
        cells = [f"{100 * kinds['all']['mean']:.1f} ± {100 * kinds['all']['std']:.1f}"]
        cells += [f"{100 * kinds[kind]['mean']:.0f}" for kind in _KINDS[1:]]
        against = recorded["against_full"].get(name)
        cells.append(_difference(against["all"]) if against else "")
        rows.append(f"| {name} | {' | '.join(cells)} |".replace("|  |", "| |"))
    return "\n".join(rows)


def _difference(found: dict[str, Any]) -> str:
    low, high = (100 * end for end in found["interval"])
    return f"{100 * found['mean']:+.1f} ({low:+.1f} to {high:+.1f})"


def _probes_table(recorded: dict[str, Any]) -> str:
    rows = [
        "| probe of the features | stream | linear, mean | linear, by frame | MLP, mean | MLP, by frame |"
    ]
    rows.append("|---" * 6 + "|")
    for name, probe in recorded["probes"].items():
        ways = ("linear", "linear by frame", "mlp", "mlp by frame")
        cells = [f"{100 * probe[way]:.0f}" for way in ways]
        rows.append(f"| {name} | {probe['stream']} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _notes(recorded: dict[str, Any]) -> str:
    found = [
        f"{size}: {count['subject']} of {count['clips']}"
        for size, count in recorded["subjects_chosen_without_boxes"].items()
    ]
    return (
        f"Cue `moment`, read from the most certain frame of a clip: "
        f"{recorded['moment_by_most_certain_frame']:.0%}.\n\n"
        "Clips in which detection and tracking without given boxes choose the subject, by the size of the "
        f"second person: {'; '.join(found)}."
    )


def _heading(first: str, *more: str) -> str:
    columns = (first, *_KINDS, *more)
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"
