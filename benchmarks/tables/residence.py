"""Table of a training epoch on features that stay on disk."""

from typing import Any

from benchmarks.tables.cells import about
from pipeline.errors import counted

_FORMS = {
    "memory": "features in memory",
    "warm": "on disk, files in the page cache",
    "cold": "on disk, page cache dropped before each epoch",
}


def residence_table(recorded: dict[str, Any]) -> str:
    """Return the time of an epoch and the peak memory by place of the features."""
    rows = ["| preset | features | epoch, s | times memory | peak memory, GB |", "|---|---|---|---|---|"]
    for preset, found in recorded["training"].items():
        for form, words in _FORMS.items():
            row, ratio = found[form], found[form]["times_memory"]
            times = "1" if form == "memory" else f"{ratio['median']:.2f} {_range(ratio)}"
            rows.append(
                f"| {preset}, {found['steps'] // int(recorded['options']['epochs'])} steps | {words} | "
                f"{row['epoch_seconds']['median']:.1f} | {times} | {row['peak_mb'] / 1e3:.2f} |"
            )
    read = recorded["reading"]
    for form, words in _FORMS.items():
        row = read[form]
        rows.append(
            f"| batches alone | {words} | {row['epoch_seconds']['median']:.1f} | | "
            f"{row['peak_mb'] / 1e3:.2f} |"
        )
    equal = all(found["equal_losses"] for found in recorded["training"].values())
    more = f"{counted(recorded['threads'], 'thread')}, {counted(recorded['epochs'], 'epoch')} each"
    return "\n".join(
        [
            about(recorded, more),
            "",
            *rows,
            "",
            f"The cache has {recorded['clips']:,} clips in {recorded['cache_gb']:.1f} GB, the pool "
            f"{recorded['pool_gb']:g} GB, and the window {recorded['shuffle_blocks']} blocks. The losses of "
            f"all trainings of a preset are {'equal to the bit' if equal else 'NOT EQUAL'}.",
            "",
            "Batches of 16 clips from a cache that lists its clips by class, in blocks of 51 training clips:",
            "",
            "| `data.shuffle_blocks` | blocks in a batch | distance of its classes from those of all clips |",
            "|---|---|---|",
            *(
                f"| {row['window'] or 'full shuffle'} | {row['blocks_of_a_batch']:.1f} | "
                f"{row['distance']:.2f} |"
                for row in recorded["mixing"]
            ),
        ]
    )


def _range(found: dict[str, float]) -> str:
    return f"({found['lowest']:.2f} to {found['highest']:.2f})"
