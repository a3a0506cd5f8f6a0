"""Tables of findings, baselines, the long tail, votes and harder cues."""

from typing import Any

import numpy as np

from benchmarks.harder.tables import harder_tables
from benchmarks.tables.cells import about, against, seeds_of, spread


def findings_table(recorded: dict[str, Any]) -> str:
    """Return the table of differences between rows of a grid, within seeds."""
    rows = [
        "| rows | WAR of the first | of the second | difference (95% over seeds) | shown |",
        "|---|---|---|---|---|",
    ]
    for pair in recorded["pairs"]:
        both = (recorded["rows"][pair[name]] for name in ("first", "second"))
        rates = " | ".join(f"{100 * row['mean']:.1f} ± {100 * row['std']:.1f}" for row in both)
        rows.append(f"| {pair['first']} against {pair['second']} | {rates} | {_pair(pair)} |")
    seeds = len(recorded["pairs"][0]["seeds"])
    warned = "".join(f" {banner.partition(':')[0]}." for banner in recorded["banners"])
    return "\n".join([about(recorded, f"{seeds} seeds, {recorded['clips']} test clips") + warned, "", *rows])


def _pairs(recorded: dict[str, Any]) -> list[str]:
    """Return the lines of a table of differences of WAR, without the numbers of each row."""
    rows = ["| rows | difference of WAR (95% over seeds) | shown |", "|---|---|---|"]
    return [
        *rows,
        *(f"| {pair['first']} against {pair['second']} | {_pair(pair)} |" for pair in recorded["pairs"]),
    ]


def _pair(pair: dict[str, Any]) -> str:
    """Return the cells of a difference: its mean with the interval, and the verdict."""
    low, high = (100 * end for end in pair["interval"])
    return f"{100 * pair['mean']:+.1f} ({low:+.1f} to {high:+.1f}) | {pair['shown']}"


def baselines_table(recorded: dict[str, Any]) -> str:
    """Return the table of baselines with the bound of the faces, and that of differences within seeds."""
    rows = ["| row | WAR | UAR | seeds above the bound | chosen |", "|---|---|---|---|---|"]
    for name, row in recorded["rows"].items():
        rates = " | ".join(
            f"{100 * row[f'{rate}_mean']:.1f} ± {100 * row[f'{rate}_std']:.1f}" for rate in ("war", "uar")
        )
        chosen = "; ".join(row["facts"]) if row["method"] == "linear_probe" else "-"
        rows.append(f"| {name} | {rates} | {row['seeds_above_the_bound']} of {len(row['war'])} | {chosen} |")
    bound, chance = 100 * recorded["face_only_bound"], 100 * recorded["chance"]
    rows.append(f"| **best possible from faces alone** | **{bound:.1f}** | **{bound:.1f}** | | |")
    rows.append(f"| chance | {chance:.1f} | {chance:.1f} | | |")
    seeds, clips = len(recorded["seeds"]), recorded["clips"]
    warned = "".join(f" {banner.partition(':')[0]}." for banner in recorded["banners"])
    origin = about(recorded, f"preset {recorded['preset']}, {seeds} seeds, {clips} test clips") + warned
    return "\n".join([origin, "", *rows, "", *_pairs(recorded)])


def tail_table(recorded: dict[str, Any]) -> str:
    """Return the table of the rows of a long tail, with differences from the plain row within seeds."""
    rows = [
        "| row | UAR | against plain (95% over seeds) | WAR | against plain (95% over seeds) | recall of "
        "frequent, rare, rarest classes |",
        "|---|---|---|---|---|---|",
    ]
    clips, base = recorded["training_clips"], recorded["base"]
    for name, row in recorded["rows"].items():
        numbers = " | ".join(f"{spread(row[key], 100)} | {against(row[key], 100)}" for key in ("uar", "war"))
        by_count = [
            [row["recall"][one] for one, count in clips.items() if count == wanted]
            for wanted in sorted(set(clips.values()), reverse=True)
        ]
        recalls = ", ".join(f"{100 * sum(of) / len(of):.0f}" for of in by_count)
        rows.append(f"| {name}{' (base)' * (name == base)} | {numbers} | {recalls} |")
    return "\n".join([about(recorded, seeds_of(recorded)), "", *rows])


def votes_table(recorded: dict[str, Any]) -> str:
    """Return the table of targets, with differences from the labels within seeds."""
    rows = [
        "| targets | accuracy | ECE, percent | against the label (95% over seeds) | KL, nats | against the "
        "label | total variation | against the label |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in recorded["rows"].items():
        rows.append(
            f"| {name} | {spread(row['accuracy'], 100)} | {spread(row['ece'], 100)} | "
            f"{against(row['ece'], 100)} | {spread(row['kl'], 1, 2)} | {against(row['kl'], 1, 2)} | "
            f"{spread(row['total_variation'], 1, 2)} | {against(row['total_variation'], 1, 2)} |"
        )
    return "\n".join([about(recorded, seeds_of(recorded)), "", *rows])


def harder_table(recorded: dict[str, Any]) -> str:
    """Return the tables of the version combined of the synthetic set."""
    return harder_tables(recorded, about(recorded, f"{recorded['clips']['test']} test clips"))


def verdicts_table(recorded: dict[str, Any]) -> str:
    """Return the differences of judged rows from the base row, with their verdicts."""
    found = recorded["comparisons"]
    points = 100
    rows = [
        f"| row less '{found['base']}' | difference, points of {found['metric'].upper()} | 95% t "
        "| 95% over clips | p | p Holm | p equal | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found["differences"][found["metric"]]:
        over, clips = one["over_seeds"], found["clips"][one["row"]][f"{found['metric']}_interval"]
        low, high = (points * value for value in over["t_interval"])
        least, most = (points * value for value in clips)
        rows.append(
            f"| {one['row']} | {points * over['mean']:+.1f} | {low:+.1f} to {high:+.1f} "
            f"| {least:+.1f} to {most:+.1f} | {over['p_value']:.2g} | {one['adjusted_p']:.2g} "
            f"| {one['equivalence_p']:.2g} | {one['verdict']} |"
        )
    more = f"{len(recorded['seeds'])} seeds, margin {points * found['margin']:g} points"
    return "\n".join([f"{about(recorded, more)} RANDOM ENCODER WEIGHTS.", "", *rows])


_BOTH_STREAMS = "face and scene"
"""Name of the row `full`, which has average pooling and is not the full model."""


def transfer_table(recorded: dict[str, Any]) -> str:
    """Return the accuracy of each row on each domain: mean and deviation over seeds, in percent."""
    names = list(recorded["face_only_bound"])
    bounds = [f"{100 * recorded['face_only_bound'][name]:.0f}" for name in names]
    rows = [
        f"| trained on | model | {' | '.join(names)} |",
        f"|---|---|{'---|' * len(names)}",
        f"| the face alone | best possible | {' | '.join(bounds)} |",
    ]
    for one in recorded["rows"]:
        values = {name: np.array([100 * run[name] for run in one["war"]]) for name in names}
        cells = [f"{value.mean():.1f} ± {value.std(ddof=1):.1f}" for value in values.values()]
        model = {"full": _BOTH_STREAMS}.get(one["row"], one["row"])
        rows.append(f"| {' and '.join(one['trained_on'])} | {model} | {' | '.join(cells)} |")
    options = recorded["options"]
    changes = ", ".join(f"`{setting}`" for setting in options["settings"])
    more = f"{options['seeds']} seeds, preset {options['preset']} with {changes}"
    return "\n".join([f"{about(recorded, more)} RANDOM ENCODER WEIGHTS.", "", *rows])
