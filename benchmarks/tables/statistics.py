"""Table of docs/comparisons.md."""

from typing import Any

from benchmarks.tables.cells import about


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
    return "\n".join([about(recorded), "", *rows])
