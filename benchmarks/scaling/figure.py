"""docs/images/scaling.png: efficiency by number of GPUs."""

from pathlib import Path
from typing import Any


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw efficiency by number of GPUs, one panel for each place of the cache.

    Args:
        result: Document of benchmarks/results/scaling.json.
        path: Image to write.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = result["by_workers"]
    places = list(dict.fromkeys(row["place"] for row in rows))
    sizes = list(dict.fromkeys(row["clips"] for row in rows))
    colours = dict(zip(sizes, ("#999999", "#0072b2", "#d55e00"), strict=True))
    figure, panels = plt.subplots(1, len(places), figsize=(9, 3.6), sharey=True, layout="constrained")
    for panel, place in zip(panels, places, strict=True):
        for size in sizes:
            found = [row for row in rows if row["place"] == place and row["clips"] == size]
            workers = [row["workers"] for row in found]
            whole, blocks = (
                [100 * row[name] for row in found] for name in ("efficiency", "block_efficiency")
            )
            panel.plot(workers, blocks, color=colours[size], linestyle="--", linewidth=1.2)
            panel.plot(workers, whole, color=colours[size], linewidth=2, label=size)
        panel.set_xscale("log")
        ticks = [1, 4, 16, 64, 200, 400]
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        panel.minorticks_off()
        panel.set_xlabel("GPUs")
        panel.set_title(f"cache on {'a' if place == 'shared disk' else 'an'} {place}", fontsize=10)
        panel.grid(color="#dddddd", linewidth=0.6)
        panel.set_ylim(0, 104)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("time of the GPUs alone / time, %")
    handles, labels = panels[0].get_legend_handles_labels()
    dashed = plt.Line2D([], [], color="black", linestyle="--", linewidth=1.2)
    solid = plt.Line2D([], [], color="black", linewidth=2)
    panels[0].legend(
        [*handles, solid, dashed], [*(f"{label} clips" if label[0].isdigit() else label for label in labels),
        "whole command", "while blocks are processed"], fontsize=8, frameon=False, loc="lower left",
    )  # fmt: skip
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
