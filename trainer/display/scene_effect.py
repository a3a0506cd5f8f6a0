"""Terminal and JSON form of the effect of the scene."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.errors import counted
from trainer.scene_effect import Flips, SceneEffect


@to_json_values.register
def _(flips: Flips) -> dict[str, Any]:
    values = field_values(flips)
    del values["nets"]
    values |= field_values(flips, "net", "p_value", "test")
    values["net_interval"] = list(flips.net_interval) if flips.nets is None else None
    return {"gained" if name == "won" else name: value for name, value in values.items()}


@to_json_values.register
def _(found: SceneEffect) -> dict[str, Any]:
    moves = [
        {"label": label, "face": face, "full": full, "clips": count}
        for (label, face, full), count in found.moves
    ]
    return {
        **field_values(found, "overall", "by_class", "by_polarity", "by_entropy", "polarity_of"),
        "moves": moves,
        "gained": to_json_values(found.won),
        "lost": to_json_values(found.lost),
    }


@lines.register
def _(found: SceneEffect) -> list[str]:
    rows = [found.overall, *found.by_class, *found.by_polarity, *found.by_entropy]
    width = max(len(row.kind) for row in rows)
    all_clips = found.overall
    verdict = (
        f"{all_clips.test}: p = {all_clips.p_value:.2g} for {counted(all_clips.won, 'clip')} won and "
        f"{all_clips.lost} lost"
    )
    return [
        f"{'':{width}}  clips  won by the scene  lost  from wrong to wrong    net       p",
        *(
            f"{row.kind:{width}}  {row.num_clips:5d}  {row.won:16d}  {row.lost:4d}  {row.moved:19d}"
            f"  {row.net:+6.1%}  {row.p_value:6.2g}"
            for row in rows
        ),
        *([found.polarity_note] if found.polarity_note else []),
        verdict,
    ]
