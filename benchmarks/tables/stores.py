"""Table of stores, of docs/performance.md."""

from statistics import median
from typing import Any

from benchmarks.tables.cells import about
from pipeline.errors import counted

_FEW = 0.01
"""Share of pages in memory that does not matter."""
_PATTERNS = {"clip": "a clip", "batch": "of 16 random clips", "blocks": "of an epoch in blocks"}


def stores_table(recorded: dict[str, Any]) -> str:
    """Return the times of each store, cold and warm, and the requests in a bucket."""
    options, clips = recorded["options"], recorded["options"]["clips"]
    heads = [f"{text}, {state}" for text in _PATTERNS.values() for state in ("cold", "warm")]
    rows = [f"| store, ms for each clip | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for name, found in recorded["local"].items():
        cells = [
            f"{1e3 * median(found['seconds_per_clip'][pattern][state]):.3g}"
            for pattern in _PATTERNS
            for state in ("cold", "warm")
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    kept = {name: found["resident_after_drop"] for name, found in recorded["local"].items()}
    still = ", ".join(f"{share:.0%} of {name}" for name, share in kept.items() if share > _FEW)
    versions = [
        f"{name.removeprefix('peers: ')} {version}"
        for name, version in recorded["versions"].items()
        if name.startswith("peers: ")
    ]
    size = clips * recorded["clip_bytes"] / 1e9
    notes = (
        f"{clips:,} clips, {size:.1f} GB; medians of {counted(options['turns'], 'turn')}. Pages still in "
        f"memory after their drop, so that cold is not cold: {still or 'none'}. {', '.join(versions)}."
    )
    text = [about(recorded), "", *rows, "", notes]
    if "bucket" in recorded:
        text += ["", *_bucket_rows(recorded["bucket"])]
    return "\n".join(text)


def _bucket_rows(recorded: dict[str, Any]) -> list[str]:
    heads = ["requests to open"]
    heads += [f"{what} for a {unit}" for unit in ("clip", "block") for what in ("requests", "MB")]
    rows = [f"| store in a bucket | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    blocks = -(-recorded["clips"] // 64)
    for name, found in recorded["stores"].items():
        clip, epoch = found["clip"], found["blocks"]
        cells = [
            f"{found['open']['reads']}",
            f"{clip['reads'] / recorded['single']:.1f}",
            f"{clip['answer_bytes'] / recorded['single'] / 1e6:.2f}",
            f"{epoch['reads'] / blocks:.1f}",
            f"{epoch['answer_bytes'] / blocks / 1e6:.1f}",
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows
