"""Tables of pages in docs (`PAGES`), from the JSON files in benchmarks/results.

    python -m benchmarks.page

It replaces the text between the two marks of each table. A test fails while page and JSON differ.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu_steps.summary import flatten_numbers, format_number
from benchmarks.harder.tables import harder_tables
from benchmarks.scale_table import scale_table
from pipeline.errors import counted

ROOT = Path(__file__).parents[1]
_NAMES = ("performance", "findings", "tracks", "baselines", "long-tail", "comparisons", "combined-cues")
PAGES = tuple(ROOT / "docs" / f"{name}.md" for name in _NAMES)
RESULTS = ROOT / "benchmarks" / "results"


def goals_table(recorded: dict[str, Any]) -> str:
    """Return the goals of a bench with the measured numbers and the machine."""
    rows = ["| what | found | at least | aim | met |", "|---|---|---|---|---|"]
    for goal in recorded["goals"]:
        limit = f"at most {goal['below']:g}" if "below" in goal else f"{goal['at_least']:g}"
        rows.append(f"| {goal['what']} | {goal['value']:.3g} | {limit} | {goal['aim']:g} | {goal['met']} |")
    more = [*_extraction_speed(recorded), *_at_the_ceiling(recorded)]
    return "\n".join([_about(recorded), "", *rows, *more])


def _extraction_speed(recorded: dict[str, Any]) -> list[str]:
    """Return the measured speed of `extract` with the ResNet-50 detector, if it was measured."""
    found = recorded.get("parts", {}).get("pipeline", {}).get("retinaface-resnet50, untrained", {})
    if "clips_per_second" not in found:
        return []
    encoder, num_frames = recorded["config"]["encoder"]["name"], recorded["config"]["frames"]["num_frames"]
    return [
        "",
        f"`extract` with {encoder} and RetinaFace ResNet-50, {num_frames} frames per clip: "
        f"{found['clips_per_second']:.3f} clips/s. The detector had random weights, which find no faces.",
    ]


def _at_the_ceiling(recorded: dict[str, Any]) -> list[str]:
    """Return the largest possible speed over the baseline script on that machine, if both were measured."""
    parts = recorded.get("parts", {})
    if "encode" not in parts or "baseline_clips_per_second" not in parts.get("baseline", {}):
        return []
    encode, frames = parts["encode"], recorded["config"]["frames"]
    ceiling = encode["matmul_ceiling_gflops"] / encode["gflop_per_picture"]
    pictures = 2 * frames["num_frames"] * frames["num_views"]
    most = ceiling / (parts["baseline"]["baseline_clips_per_second"] * pictures)
    return [
        "",
        f"The upper limit on this machine is {ceiling:.2f} images/s: the encoder alone, at the measured "
        f"speed of matrix products ({encode['matmul_ceiling_gflops']:.0f} GFLOP/s in {encode['precision']}). "
        f"This is {most:.1f} times the speed of the baseline script.",
    ]


def text_table(recorded: dict[str, Any]) -> str:
    """Return the table of the text branch of a step, by computed positions and precision."""
    rows = ["| M | text encoder | ms | times faster | error of features | of gradient | safe |"]
    rows.append("|---|---|---|---|---|---|---|")
    for row in recorded["rows"]:
        errors = f"{row['feature_error']:.1e} | {row['gradient_error']:.1e}"
        safe = "yes" if row["safe"] else "no"
        numbers = f"{1e3 * row['seconds']:.0f} | {row['times_faster']:.1f} | {errors} | {safe}"
        rows.append(f"| {row['length']} | {row['way']} | {numbers} |")
    exact = [
        f"M = {row['length']}: cut {row['cut_feature_error']:.0e} and {row['cut_gradient_error']:.0e}, "
        f"shared {row['shared_feature_error']:.0e} and {row['shared_gradient_error']:.0e}"
        for row in recorded["exactness"]
    ]
    options = recorded["options"]
    threads = counted(options["threads"], "thread") + (f" ({options['note']})" if options["note"] else "")
    errors = f"Errors of features and gradient in float64: {'; '.join(exact)}."
    return "\n".join([_about(recorded, threads), "", *rows, "", errors])


def epoch_table(recorded: dict[str, Any]) -> str:
    """Return the table of a step on the cache, compared with one with the encoder."""
    step, hours = recorded["step_on_the_cache_seconds"], recorded["epoch_of_dfew_hours"]
    alone, video = recorded["encoder_alone"], recorded["from_video"]
    return "\n".join(
        [
            _about(recorded, counted(recorded["threads"], "thread")),
            "",
            f"| a step of {recorded['options']['batch']} clips, M = {recorded['prompt_vectors']} | s | "
            f"times the cached step | {hours['clips']:,} clips, hours |",
            "|---|---|---|---|",
            f"| on the cache | {step:.2f} | 1 | {hours['on_the_cache']:.2f} |",
            f"| with the encoder on ready crops | {alone['seconds_of_a_step'] + step:.0f} | "
            f"{alone['times_cheaper']:.0f} | {hours['with_the_encoder']:.0f} |",
            f"| from the videos | {video['seconds_of_a_step'] + step:.0f} | {video['times_cheaper']:.0f} | "
            f"{hours['from_video']:.0f} |",
        ]
    )


def grid_table(recorded: dict[str, Any]) -> str:
    """Return the table of runs side by side, and of a whole table of the paper."""
    both, table = recorded["side_by_side"], recorded["table"]
    return "\n".join(
        [
            _about(recorded),
            "",
            "| what | s |",
            "|---|---|",
            f"| {both['runs']} runs one after the other, all cores each | "
            f"{both['one_after_the_other_seconds']:.0f} |",
            f"| the same, two side by side, half of the cores each | {both['two_side_by_side_seconds']:.0f} "
            f"({both['times_faster']:.2f} times faster) |",
            f"| `ablate --table {table['table']} --preset {recorded['options']['preset']}`, {table['runs']} "
            f"runs | {table['seconds']:.0f} |",
        ]
    )


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
    about = _about(recorded, f"preset {recorded['preset']}, {seeds} seeds, {clips} test clips") + warned
    return "\n".join([about, "", *rows, "", *_pairs(recorded)])


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
    return "\n".join([_about(recorded, f"{seeds} seeds, {recorded['clips']} test clips") + warned, "", *rows])


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


def steps_table(recorded: dict[str, Any]) -> str:
    """Return the table of plain and graphed steps on a cache of DFEW's size."""
    rows = ["| steps | ms | epoch, s | 90 epochs, min | GPU waits for Python |", "|---|---|---|---|---|"]
    for name, row in recorded["ways"].items():
        waits = f"{row['launch_share']:.0%}" if "launch_share" in row else "-"
        rows.append(
            f"| {name} | {row['step_ms']:.1f} | {row['epoch_seconds']:.1f} | {row['90_epochs_minutes']:.1f} "
            f"| {waits} |"
        )
    return "\n".join([_about(recorded), "", *rows])


def gpu_table(recorded: dict[str, Any]) -> str:
    """Return the table of `benchmarks.gpu` on one card, and the steps that are not done."""
    rows = ["| step | measurement | settings | numbers |", "|---|---|---|---|"]
    for name, step in recorded["steps"].items():
        for result in step["results"]:
            settings = ", ".join(
                f"{key} {format_number(value)}" for key, value in result.get("settings", {}).items()
            )
            row = f"| {name} | {result['measurement']} | {settings} | {_numbers_cell(result)} |"
            rows.append(row.replace("|  |", "| |"))
    missing = [
        f"{name} ({step['state']})" for name, step in recorded["steps"].items() if step["state"] != "done"
    ]
    note = ["", f"Steps without all their numbers: {', '.join(missing)}."] if missing else []
    return "\n".join([_about(recorded), "", *rows, *note])


def _numbers_cell(result: dict[str, Any]) -> str:
    """Return the numbers of a row, or the reason why there are none."""
    if "numbers" not in result:
        return f"not measured: {result.get('error', result.get('skipped', ''))}".replace("|", "\\|")
    return ", ".join(f"{key} {format_number(value)}" for key, value in flatten_numbers(result["numbers"]))


def _about(recorded: dict[str, Any], more: str = "") -> str:
    """Return the machine, the versions and the date of a measurement."""
    machine, versions = recorded["machine"], recorded["versions"]
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    where = f"{machine['cpu']}, {counted(machine['cores'], 'core')}{gpu}"
    about = f"{where}{f', {more}' if more else ''}; torch {versions['torch']}, Python {versions['python']}"
    return f"{about}; commit {recorded['commit']}, {recorded['date'][:10]}."


def box_table(recorded: dict[str, Any]) -> str:
    """Return the table of the subject's boxes by long side, stride and precision."""
    rows = [
        "| long side | every | precision | IoU mean | 5th percentile | frames below 0.8 | clips that agree |"
    ]
    rows.append("|---|---|---|---|---|---|---|")
    for row in recorded["rows"]:
        fractions = f"{row['frames_below_0.8']:.1%} | {row['clips_that_agree']:.0%}"
        quality = f"{row['iou_mean']:.3f} | {row['iou_5th_percentile']:.3f} | {fractions}"
        rows.append(f"| {row['long_side']} | {row['every']} | {row['precision']} | {quality} |")
    return "\n".join(rows)


def tracking_table(recorded: dict[str, Any]) -> str:
    """Return the table of everyone's and the subject's tracks, by tracker, set of clips and rate."""
    rows = ["| tracks | clips | frames | subject changes person | marked found, on nobody | IDF1 | at best |"]
    rows.append("|---|---|---|---|---|---|---|")
    for tracker, scenes in recorded["trackers"].items():
        for scene in scenes:
            name = scene["scene"]
            if name != "all" and not name.endswith(": all"):
                continue
            for frames, found in scene["on"].items():
                changes = f"{found['clips_that_change_person']} of {scene['clips']}"
                numbers = f"{found['frames_on_nobody']} | {found['idf1']:.3f} | {found['best_idf1']:.3f}"
                rows.append(
                    f"| {tracker} | {name.removesuffix(': all')} | {frames} | {changes} | {numbers} |"
                )
    return "\n".join([_about(recorded), "", *rows])


def cuts_table(recorded: dict[str, Any]) -> str:
    """Return the table of cuts that are found and invented in drawn scenes, and the time of the search."""
    finders = list(recorded["scenes"][0]["found"])
    names = ["this program" if finder == "ours" else finder for finder in finders]
    columns = [column for name in names for column in (f"{name}: found", "invented")]
    rows = [f"| scene | cuts | {' | '.join(columns)} |", "|---" * (2 + len(columns)) + "|"]
    for scene in recorded["scenes"]:
        numbers = [str(number) for finder in finders for number in scene["found"][finder]]
        rows.append(f"| {scene['scene']} | {scene['cuts']} | {' | '.join(numbers)} |")
    times = [
        f"{size}: {cost['ratio']:.2f} (single repeats {cost['ratio_of_repeats_min']:.2f} to "
        f"{cost['ratio_of_repeats_max']:.2f}), aim at most {cost['goal']:.2f}"
        for size, cost in recorded["cost"].items()
    ]
    real = sum(len(cuts) for cuts in recorded["real"].values())
    return "\n".join(
        [
            _about(recorded),
            "",
            *rows,
            "",
            f"Time of decoding with the search, as a multiple of decoding: {'; '.join(times)}.",
            f"In {counted(len(recorded['real']), 'recording')} of people: {counted(real, 'cut')}.",
        ]
    )


def cost_table(recorded: dict[str, Any]) -> str:
    """Return the table of encoder and detector alone as a fraction of `extract`, before and after."""
    rows = ["| shots and tracks | by processor time | by elapsed time |", "|---|---|---|"]
    for name, shown in (("before", "no cuts, `nearest`"), ("after", "the defaults")):
        by_processor = recorded["of_encoder_and_detector_alone_processor"][name]
        by_clock = recorded["of_encoder_and_detector_alone_elapsed"][name]
        rows.append(f"| {shown} | {by_processor:.3f} | {by_clock:.3f} |")
    turns, clips = len(recorded["elapsed_seconds_of_turns"]["after"]), recorded["clips"]
    about = f"{recorded['config']['encoder']['name']}, {clips} clips, medians of {turns} turns"
    return "\n".join([_about(recorded, about), "", *rows])


def harder_table(recorded: dict[str, Any]) -> str:
    """Return the tables of the version combined of the synthetic set."""
    return harder_tables(recorded, _about(recorded, f"{recorded['clips']['test']} test clips"))


def predict_table(recorded: dict[str, Any]) -> str:
    """Return the table of the measurements of `predict`; a part that is not measured has no row."""
    rows = ["| what | measured | date |", "|---|---|---|"]
    for part, describe in _PREDICT_ROWS.items():
        if part in recorded:
            for what, measured in describe(recorded[part]["result"]):
                rows.append(f"| {what} | {measured} | {recorded[part]['date'][:10]} |")
    machine = next(iter(recorded.values()))["machine"]
    return "\n".join([f"{machine['cpu']}, {machine['cores']} cores.", "", *rows])


def tail_table(recorded: dict[str, Any]) -> str:
    """Return the table of the rows of a long tail, with differences from the plain row within seeds."""
    rows = [
        "| row | UAR | against plain (95% over seeds) | WAR | against plain (95% over seeds) | recall of "
        "frequent, rare, rarest classes |",
        "|---|---|---|---|---|---|",
    ]
    clips, base = recorded["training_clips"], recorded["base"]
    for name, row in recorded["rows"].items():
        numbers = " | ".join(
            f"{_spread(row[key], 100)} | {_against(row[key], 100)}" for key in ("uar", "war")
        )
        by_count = [
            [row["recall"][one] for one, count in clips.items() if count == wanted]
            for wanted in sorted(set(clips.values()), reverse=True)
        ]
        recalls = ", ".join(f"{100 * sum(of) / len(of):.0f}" for of in by_count)
        rows.append(f"| {name}{' (base)' * (name == base)} | {numbers} | {recalls} |")
    return "\n".join([_about(recorded, _seeds_of(recorded)), "", *rows])


def votes_table(recorded: dict[str, Any]) -> str:
    """Return the table of targets, with differences from the labels within seeds."""
    rows = [
        "| targets | accuracy | ECE, percent | against the label (95% over seeds) | KL, nats | against the "
        "label | total variation | against the label |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in recorded["rows"].items():
        rows.append(
            f"| {name} | {_spread(row['accuracy'], 100)} | {_spread(row['ece'], 100)} | "
            f"{_against(row['ece'], 100)} | {_spread(row['kl'], 1, 2)} | {_against(row['kl'], 1, 2)} | "
            f"{_spread(row['total_variation'], 1, 2)} | {_against(row['total_variation'], 1, 2)} |"
        )
    return "\n".join([_about(recorded, _seeds_of(recorded)), "", *rows])


def _seeds_of(recorded: dict[str, Any]) -> str:
    clips = f"{recorded['train']} training and {recorded['validation']} validation clips"
    return f"{recorded['options']['seeds']} seeds, {clips}"


def _spread(value: dict[str, Any], scale: float, digits: int = 1) -> str:
    """Return mean and standard deviation over seeds."""
    return f"{scale * value['mean']:.{digits}f} ± {scale * value['std']:.{digits}f}"


def _against(value: dict[str, Any], scale: float, digits: int = 1) -> str:
    """Return the difference from the base within seeds, with its interval; empty for the base."""
    if "against" not in value:
        return ""
    low, high = (scale * end for end in value["against"]["interval"])
    mean = scale * value["against"]["mean"]
    return f"{mean:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def _parity_rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    shown = {"main": "`--people main`", "all": "everyone, where `extract` counts as many people"}
    return [
        (
            f"windows whose features differ from those of `extract` for the same times, {shown[name]}",
            f"{sums['differ']} of {sums['compared']}",
        )
        for name, sums in result["sums"].items()
    ]


def _speed_rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    by_processor = result["of_encoder_and_detector_alone_processor"]
    rounds = counted(len(result["ratio_of_rounds"]), "round")
    parts = f"{result['encoder']}, {result['precision']}, {result['detector']}, {rounds}"
    return [
        (
            f"encoder and detector alone / `predict` ({parts}; by processor time, by the clock)",
            f"{by_processor:.2f}, {result['of_encoder_and_detector_alone']:.2f}",
        )
    ]


def _memory_rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    video = f"{result['video_minutes']:.0f} min of 1080p with {counted(result['people'], 'person', 'people')}"
    most = max(result["peak_above_models_mb"].values())
    slope = result["slope_mb_per_minute_of_video"]
    return [
        (f"{video}: most memory of all processes above the models", f"{most:,.0f} MB"),
        (f"{video}: growth over the last 80% of the windows", f"{slope:+.2f} MB per minute of video"),
    ]


_PREDICT_ROWS: dict[str, Callable[[dict[str, Any]], list[tuple[str, str]]]] = {
    "parity": _parity_rows,
    "sharing": lambda result: [
        ("images encoded / (windows x 32), windows of 2 s every 0.5 s", f"{result['ratio']:.2f}")
    ],
    "speed": _speed_rows,
    "speed-large": _speed_rows,
    "memory": _memory_rows,
    "kills": lambda result: [
        ("predictions after a SIGKILL with equal bytes", f"{result['equal']} of {result['kills']}")
    ],
    "clips": lambda result: [
        (
            "clips of the demo with the answer of `evaluate`, predicted as one window each",
            f"{result['same_class']} of {result['clips']}",
        )
    ],
    "film": lambda result: [
        (
            "drawn film whose scene changes the true class every 10 s: time with the right answer; of the "
            "face-only run",
            f"{result['full']['share_of_time_right']:.1%}; {result['face-only']['share_of_time_right']:.1%}",
        )
    ],
}
"""Parts of `benchmarks.prediction` -> rows of the table."""


def statistics_table(recorded: dict[str, Any]) -> str:
    """Return the measured coverage of 95% intervals, and the shares of false verdicts."""
    runs = recorded["coverage_over_runs"]
    rows = ["| differences of runs | Student's t covers | BCa covers |", "|---|---|---|"]
    rows += [f"| {num} | {found['t']:.1%} | {found['bca']:.1%} |" for num, found in runs.items()]
    rows += ["", "| test clips | interval of WAR covers | of UAR |", "|---|---|---|"]
    clips = recorded["coverage_over_clips"].items()
    rows += [f"| {name} | {one['war']:.1%} | {one['uar']:.1%} |" for name, one in clips if name != "truth"]
    rows += [
        "",
        "| tables of five rows | false difference | false equality | rows of +1 point found higher |",
        "|---|---|---|---|",
    ]
    rows += [
        f"| {name} | {one['tables_with_a_false_difference']:.1%} "
        f"| {one['tables_with_a_false_equality']:.1%} | "
        f"{one['rows_found_higher_at_one_point']:.0%} |"
        for name, one in recorded["false_verdicts"].items()
    ]
    return "\n".join([_about(recorded), "", *rows])


TABLES = {
    "statistics": statistics_table,
    "bench-cpu": goals_table,
    "bench-gpu": goals_table,
    "gpu": gpu_table,
    "box-quality": box_table,
    "text-branch-cpu": text_table,
    "epoch-cpu": epoch_table,
    "ablate-cpu": grid_table,
    "steps-gpu": steps_table,
    "findings": findings_table,
    "baselines": baselines_table,
    "harder": harder_table,
    "scale": lambda recorded: scale_table(recorded, _about(recorded)),
    "tracking": tracking_table,
    "cuts": cuts_table,
    "tracking-cost": cost_table,
    "predict": predict_table,
    "longtail": tail_table,
    "votes": votes_table,
}


_OF_A_MACHINE = ("bench-cpu", "bench-gpu", "gpu", "steps-gpu")
"""Tables that may have a recording NAME-MACHINE.json for each machine, beside NAME.json."""


def recordings(name: str) -> list[Path]:
    """Return the files of a table: NAME.json, then those of single machines in the order of their names."""
    one = RESULTS / f"{name}.json"
    more = sorted(RESULTS.glob(f"{name}-*.json")) if name in _OF_A_MACHINE else []
    return [*([one] if one.is_file() else []), *more]


def rendered(page: str) -> str:
    """Return the page with each table from its JSON file, or a note if there is no file."""
    for name, table in TABLES.items():
        tables = [table(json.loads(source.read_text())) for source in recordings(name)]
        text = "\n\n".join(tables) or "Not recorded yet."
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = marks.sub(lambda found, text=text: f"{found[1]}\n{text}\n\n{found[2]}", page)
    return page


if __name__ == "__main__":
    for written in PAGES:
        written.write_text(rendered(written.read_text()))
        sys.stdout.write(f"{written}\n")
