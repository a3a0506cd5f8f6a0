"""Tables of docs/tracks.md."""

from typing import Any

from benchmarks.tables.cells import about
from pipeline.errors import counted


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
    return "\n".join([about(recorded), "", *rows])


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
            about(recorded),
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
    more = f"{recorded['config']['encoder']['name']}, {clips} clips, medians of {turns} turns"
    return "\n".join([about(recorded, more), "", *rows])
