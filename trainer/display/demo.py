"""Terminal and JSON form of the demo's result."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.program import command
from trainer.demo import CACHE, CLIPS, FIGURE, RUNS, SHEET, DemoReport
from trainer.evaluation import EvalResult


@to_json_values.register
def _(report: DemoReport) -> dict[str, Any]:
    return {
        **field_values(report, "out", "chance"),
        "face_only_bound": report.bound,
        **field_values(report, "face_found_share", "face_only", "full", "scene_helps", "seconds", "machine"),
    }


@lines.register
def _(report: DemoReport) -> list[str]:
    out = report.out
    verdict = (
        "The full model's interval is above the bound: on these clips it uses the scene."
        if report.scene_helps
        else "The full model's interval is NOT above the bound: no gain by the scene is shown."
    )
    return [
        *(f"!! {banner}" for banner in report.full.info.banners),
        f"{report.full.metrics.num_clips} held-out drawn clips, people unseen in training      WAR",
        f"  {'chance (most frequent class)':<44} {report.chance:7.1%}",
        _row("face-only model", report.face_only),
        f"  {'the most that faces alone can give':<44} {report.bound:7.1%}",
        _row("full model", report.full),
        verdict,
        "(Drawn clips, untrained encoder: only the comparison with the bound is meaningful.)",
        "took      " + ", ".join(f"{name} {value:.0f} s" for name, value in report.seconds.items()),
        f"look at   {out / FIGURE}, {out / SHEET}",
        f"figures   {out / RUNS}/*/curves.png, confusion.png",
        f"clips     {out / CLIPS}/clips/*.mp4, manifest.csv, truth.csv",
        f"cache     {out / CACHE}  ({command('cache', 'info', out / CACHE)})",
    ]


def _row(name: str, result: EvalResult) -> str:
    interval = result.metrics.intervals.war
    shown = "no interval" if interval is None else f"95% {interval[0]:.1%} to {interval[1]:.1%}"
    return f"  {name:<44} {result.metrics.war:7.1%}  ({shown})"
