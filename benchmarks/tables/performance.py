"""Tables of docs/performance.md, but those of GPUs and of prediction."""

from typing import Any

from benchmarks.tables.cells import about
from pipeline.errors import counted

_SIZES = {"clips": "clip", "blocks": "block", "rounds": "round"}
"""Numbers of the part `pipeline` -> singular of what they count."""

_INVALID = ("trainer's load / reading the same bytes raw",)
"""Numbers of earlier records that do not compare what they name; docs/performance.md has the reason."""


def goals_table(recorded: dict[str, Any]) -> str:
    """Return the goals of a bench with the measured numbers and the machine."""
    rows = ["| what | found | rounds | at least | aim | met |", "|---|---|---|---|---|---|"]
    for goal in recorded["goals"]:
        limit = f"at most {goal['below']:g}" if "below" in goal else f"{goal['at_least']:g}"
        rounds = _rounds_cell(goal, recorded)
        met = "not valid" if goal["what"] in _INVALID else goal["met"]
        rows.append(
            f"| {goal['what']} | {goal['value']:.3g} | {rounds} | {limit} | {goal['aim']:g} | {met} |"
        )
    more = [*_missed_goals(recorded), *_extraction_speed(recorded), *_at_the_ceiling(recorded)]
    return "\n".join([about(recorded), "", *rows, *more])


def _rounds_cell(goal: dict[str, Any], recorded: dict[str, Any]) -> str:
    """Return the number of rounds and their range; earlier records have one number for the pipeline only."""
    if each := goal.get("rounds"):
        return f"{len(each)}: {min(each):.3g} to {max(each):.3g}"
    of_pipeline = recorded.get("parts", {}).get("pipeline", {}).get("rounds")
    return f"{of_pipeline}" if of_pipeline and goal["what"].startswith("whole pipeline") else "not recorded"


def _missed_goals(recorded: dict[str, Any]) -> list[str]:
    """Return a sentence that names the goals that are not met, if any."""
    missed = [
        f"{goal['what']}: {goal['value']:.3g}"
        for goal in recorded["goals"]
        if goal["met"] == "no" and goal["what"] not in _INVALID
    ]
    return ["", f"Not met: {'; '.join(missed)}."] if missed else []


def _extraction_speed(recorded: dict[str, Any]) -> list[str]:
    """Return the measured speed of `extract` with the ResNet-50 detector, if it was measured."""
    pipeline = recorded.get("parts", {}).get("pipeline", {})
    found = pipeline.get("retinaface-resnet50, untrained", {})
    if "clips_per_second" not in found:
        return []
    parts = [counted(pipeline[key], one) for key, one in _SIZES.items() if isinstance(pipeline.get(key), int)]
    if "encode" in recorded["parts"]:
        parts.append(recorded["parts"]["encode"]["precision"])
    size = f" ({', '.join(parts)})" if parts else ""
    encoder, num_frames = recorded["config"]["encoder"]["name"], recorded["config"]["frames"]["num_frames"]
    return [
        "",
        f"`extract` with {encoder} and RetinaFace ResNet-50, {num_frames} frames per clip{size}: "
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
    return "\n".join([about(recorded, threads), "", *rows, "", errors])


def epoch_table(recorded: dict[str, Any]) -> str:
    """Return the table of a step on the cache, compared with one with the encoder."""
    step, hours = recorded["step_on_the_cache_seconds"], recorded["epoch_of_dfew_hours"]
    alone, video = recorded["encoder_alone"], recorded["from_video"]
    return "\n".join(
        [
            about(recorded, counted(recorded["threads"], "thread")),
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
            about(recorded),
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
    clips = counted(len(recorded["options"]["clips"]), "clip")
    return "\n".join([about(recorded, clips), "", *rows])


def training_step_table(recorded: dict[str, Any]) -> str:
    """Return the times of a training step in each form, and of a start."""
    step = recorded["step"]
    parts = list(dict.fromkeys(part for found in step["parts_ms"].values() for part in found))
    rows = [
        f"| form | step, ms | {' | '.join(parts)} | times faster |",
        f"|---|---|{'---|' * len(parts)}---|",
    ]
    for form, found in step["ms"].items():
        faster = step["times_faster"].get(form)
        ratio = (
            f"{faster['median']:.2f} ({faster['lowest']:.2f} to {faster['highest']:.2f})" if faster else "1"
        )
        cells = [f"{step['parts_ms'][form][part]:.0f}" for part in parts]
        rows.append(f"| {form} | {found['median']:.0f} | {' | '.join(cells)} | {ratio} |")
    options = recorded["options"]
    more = f"{counted(recorded['threads'], 'thread')}, {counted(step['turns'], 'turn')}"
    model = f"preset {options['preset']}, {options['encoder']}"
    text = [about(recorded, f"{model}, {more}"), "", *rows]
    if "start" in recorded:
        start = recorded["start"]
        seconds = start["seconds"]
        text += [
            "",
            f"From the command `train` to the end of the first step, with {start['clips']:,} clips in the "
            f"page cache: {seconds['median']:.1f} s {_range(seconds, 1)} in {start['turns']} starts.",
        ]
    return "\n".join([*text, *_accuracy(recorded)])


def _accuracy(recorded: dict[str, Any]) -> list[str]:
    """Return a sentence on the accuracy in bfloat16, if it was measured."""
    if "accuracy" not in recorded:
        return []
    war, found = recorded["accuracy"]["war"], recorded["accuracy"]["difference"]
    means = {precision: 100 * sum(values) / len(values) for precision, values in war.items()}
    low, high = (100 * value for value in found["interval"])
    return [
        "",
        f"WAR of the demo's full model (preset smoke), {len(war['fp32'])} seeds: {means['fp32']:.1f}% in "
        f"fp32, {means['bf16']:.1f}% in bf16 (difference {100 * found['mean']:+.1f}, 95% interval "
        f"{low:+.1f} to {high:+.1f}).",
    ]


def _range(found: dict[str, float], digits: int) -> str:
    return f"({found['lowest']:.{digits}f} to {found['highest']:.{digits}f})"


def short_runs_table(recorded: dict[str, Any]) -> str:
    """Return the speed of a grid of short runs in two versions, and the parts of a run."""
    rows = ["| version | runs | runs per minute, each round |", "|---|---|---|"]
    for name in recorded["rounds"][0]:
        each = [one[name] for one in recorded["rounds"]]
        speeds = ", ".join(f"{one['runs_per_minute']:.1f}" for one in each)
        rows.append(f"| {name}, {each[0]['commit']} | {each[0]['runs']} | {speeds} |")
    parts = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in recorded["parts_seconds"].items())
    return "\n".join([about(recorded), "", *rows, "", f"One run on one thread: {parts}."])
