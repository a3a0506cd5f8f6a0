"""Figures: confusion matrix, stages of Fig. 4, curves of Fig. 6, results beside bounds, explained windows.

No other module imports matplotlib. Every function writes a PNG to the file `image`, with a `title`, and with
warnings (`banners`) in red above the figure.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.errors import counted, printable
from pipeline.types import Bytes, Floats, Ints
from trainer.metrics import Metrics


@contextmanager
def _without_local_style() -> Iterator[None]:
    """Leave the current directory during the import of matplotlib if it has a ``matplotlibrc``.

    The import would read that file, which may be somebody else's: it could start LaTeX, or be a pipe. The
    user's own settings of matplotlib are read.
    """
    if not os.path.lexists("matplotlibrc"):
        yield
        return
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(Path(__file__).parent)
        yield
    finally:
        os.fchdir(here)
        os.close(here)


with _without_local_style():
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

_COLOURS = 10
_DARK = 0.5
_LETTERS_PER_INCH = 9
_LAYOUT_PASSES = 2
_LONGEST_TEXT = 100
"""Longest name or title, in characters: a line of the widest figure."""

_NO_LOSSES = ("gated_share", "accuracy")
"""Training numbers that are fractions. All others in a record are losses."""

_NARROWEST_IN = 5.0
_SMALLEST_CHANGE = 0.01
"""The strongest colours of an explanation are for this change at least."""

_BOUND_COLOURS = ("tab:gray", "tab:red", "tab:blue", "tab:green")


def plot_confusion(metrics: Metrics, image: BinaryIO, *, title: str, banners: Sequence[str]) -> None:
    """Write the confusion matrix: shades are fractions of the true class, numbers are clips."""
    size = len(metrics.class_names)
    side = 2.5 + 0.75 * size
    heading = wrap(f"{_plain(title)}: {counted(metrics.num_clips, 'clip')}", int(_LETTERS_PER_INCH * side))
    figure = _figure(side, side + 0.2 * (len(heading) - 1), banners)
    axes = figure.add_subplot()
    shares = metrics.confusion / metrics.confusion.sum(axis=1, keepdims=True).clip(min=1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(size):
        for column in range(size):
            colour = "white" if shares[row, column] > _DARK else "black"
            axes.text(
                column, row, str(metrics.confusion[row, column]), ha="center", va="center", color=colour
            )
    names = [_plain(name) for name in metrics.class_names]
    axes.set_xticks(range(size), names, rotation=45, ha="right")
    axes.set_yticks(range(size), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title("\n".join([*heading, f"WAR {metrics.war:.2%}, UAR {metrics.uar:.2%}"]))
    _save(figure, image)


def plot_curves(
    epochs: Sequence[Mapping[str, Any]], image: BinaryIO, *, title: str, banners: Sequence[str]
) -> None:
    """Write loss and accuracy over the epochs, which are records of metrics.jsonl."""
    figure = _figure(10, 4.5, banners)
    numbers = [record["epoch"] for record in epochs]
    losses, accuracies = figure.subplots(1, 2)
    for part in [name for name in epochs[0]["train"] if name not in _NO_LOSSES]:
        values = [record["train"][part] for record in epochs]
        if any(values):
            losses.plot(numbers, values, label=f"training, {part}")
    losses.plot(
        numbers, [record["validation"]["loss"] for record in epochs], "k--", label="validation, contrast"
    )
    losses.set_title(_plain(title))
    losses.set_ylabel("loss")
    accuracies.plot(numbers, [record["train"]["accuracy"] for record in epochs], label="training, accuracy")
    for name in ("war", "uar"):
        values = [record["validation"][name] for record in epochs]
        accuracies.plot(numbers, values, "--", label=f"validation, {name.upper()}")
    accuracies.set_ylim(-0.02, 1.02)
    accuracies.set_ylabel("fraction")
    for axes in (losses, accuracies):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, image)


def plot_bounds(
    results: Mapping[str, Metrics],
    bounds: Mapping[str, float],
    image: BinaryIO,
    *,
    title: str,
    banners: Sequence[str],
) -> None:
    """Write WAR with its 95% interval for each named result, beside known bounds (WAR, 0 to 1) as lines."""
    figure = _figure(8, 1.6 + 0.6 * len(results), banners)
    axes = figure.add_subplot()
    for row, metrics in enumerate(results.values()):
        low, high = metrics.intervals.war or (metrics.war, metrics.war)
        span = [[metrics.war - low], [high - metrics.war]]
        axes.errorbar(metrics.war, row, xerr=span, fmt="o", capsize=5, color="black")
        axes.annotate(
            f"{metrics.war:.1%}", (metrics.war, row), xytext=(0, 8), textcoords="offset points", ha="center"
        )
    for (name, value), colour in zip(bounds.items(), _BOUND_COLOURS, strict=False):
        axes.axvline(value, linestyle="--", color=colour, label=_plain(f"{name}: {value:.1%}"))
    axes.set_yticks(range(len(results)), list(map(_plain, results)))
    axes.set_ylim(len(results) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    over = dict.fromkeys(metrics.interval_basis for metrics in results.values())
    axes.set_xlabel(f"WAR; {', '.join(over)}")
    axes.set_title(_plain(title))
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.3), ncols=max(1, len(bounds)), frameon=False)
    _save(figure, image)


def plot_gains(
    gain_by_name: Mapping[str, float],
    intervals: Sequence[tuple[float, float]] | None,
    image: BinaryIO,
    *,
    title: str,
    banners: Sequence[str],
) -> None:
    """Write a gain, -1 to 1, for each name, with its interval; None for none."""
    figure = _figure(8, 1.4 + 0.4 * len(gain_by_name), banners)
    axes = figure.add_subplot()
    for row, gain in enumerate(gain_by_name.values()):
        low, high = (gain, gain) if intervals is None else intervals[row]
        axes.plot([100 * low, 100 * high], [row, row], color="black")
        axes.plot(100 * gain, row, "o", color="tab:blue" if gain >= 0 else "tab:red")
    axes.axvline(0, linestyle="--", color="gray")
    axes.set_yticks(range(len(gain_by_name)), list(map(_plain, gain_by_name)))
    axes.set_ylim(len(gain_by_name) - 0.5, -0.5)
    axes.set_xlabel("points: clips won minus clips lost, in percent of the clips")
    axes.set_title(_plain(title))
    _save(figure, image)


def plot_stages(
    points: Mapping[str, Floats],
    label_N: Ints,
    class_names: Sequence[str],
    image: BinaryIO,
    *,
    title: str,
    banners: Sequence[str],
) -> None:
    """Write a panel per stage (Fig. 4), with clips as points coloured by class.

    `points` are the positions of the clips in the plane [N, 2], by stage. `title` is that of the legend.
    """
    rows = -(-len(points) // 2)
    figure = _figure(8, 0.8 + 3.8 * rows, banners)
    panels = figure.subplots(rows, 2, squeeze=False).flatten()
    colours = colormaps["tab20" if len(class_names) > _COLOURS else "tab10"]
    for axes, (stage, xy_N2) in zip(panels, points.items(), strict=False):
        for label, name in enumerate(class_names):
            x, y = xy_N2[label_N == label].T
            axes.scatter(x, y, s=9, color=colours(label % colours.N), label=_plain(name), linewidths=0)
        axes.set_title(_plain(stage))
        axes.set_xticks([])
        axes.set_yticks([])
    for axes in panels[len(points) :]:
        axes.set_axis_off()
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, title=_plain(title), markerscale=2)
    _save(figure, image)


@dataclass(frozen=True, kw_only=True)
class ExplainedImages:
    """Images and numbers of an explanation, for N of a window's frames.

    Attributes:
        face_N, scene_N: Face crops and scene images, uint8 [S, S, 3] each; no scenes without a scene stream.
        captions: Text above each face.
        changes: Text between face and scene: the change without this frame.
        cell_GG: Change of the probability without each cell of the scene; None if it was not measured.
        area: The part of the scene image that the cells divide: left, top, right and bottom in pixels.
    """

    face_N: Sequence[Bytes]
    scene_N: Sequence[Bytes]
    captions: Sequence[str]
    changes: Sequence[str]
    cell_GG: npt.NDArray[np.float64] | None
    area: tuple[int, int, int, int]


def plot_explanation(
    shown: ExplainedImages, image: BinaryIO, *, title: str, caption: str, banners: Sequence[str]
) -> None:
    """Write face crops, and below them the scenes, with the changes without each cell as colours.

    Args:
        shown: Images and numbers.
        image: Receives the PNG.
        title: The answer.
        caption: The methods, below the images.
        banners: Warnings.
    """
    columns, rows = len(shown.face_N), 2 if shown.scene_N else 1
    width = max(1.7 * columns + (0.9 if shown.cell_GG is not None else 0), _NARROWEST_IN)
    heading = wrap(_plain(title), int(_LETTERS_PER_INCH * width))
    below = wrap(_without_formula(caption), int(1.5 * _LETTERS_PER_INCH * width))
    figure = _figure(width, 2.0 * rows + 0.3 + 0.22 * len(heading) + 0.17 * len(below), banners)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes, face, above, change in zip(panels[0], shown.face_N, shown.captions, shown.changes, strict=True):
        axes.imshow(face)
        axes.set_title("\n" * len(heading) + _plain(above), fontsize=9)
        axes.set_xlabel(_plain(change), fontsize=9)
    panels[0][0].annotate(
        "\n".join(heading), (0, 1), xytext=(0, 20), xycoords="axes fraction", textcoords="offset points",
        fontsize=10, ha="left", va="bottom",
    ).set_in_layout(False)  # fmt: skip
    drawn = None
    for axes, scene in zip(panels[-1], shown.scene_N, strict=False):
        if shown.cell_GG is None:
            axes.imshow(scene)
        else:
            axes.imshow(scene.mean(axis=2), cmap="gray", vmin=0, vmax=255)  # colours are those of the cells
            left, top, right, bottom = shown.area
            largest = max(float(np.abs(shown.cell_GG).max()), _SMALLEST_CHANGE)
            drawn = axes.imshow(
                shown.cell_GG, cmap="RdBu", vmin=-largest, vmax=largest, alpha=0.55,
                extent=(left - 0.5, right - 0.5, bottom - 0.5, top - 0.5),
            )  # fmt: skip
            axes.set_xlim(-0.5, scene.shape[1] - 0.5)
            axes.set_ylim(scene.shape[0] - 0.5, -0.5)
    for axes in panels.flatten():
        axes.set_xticks([])
        axes.set_yticks([])
    panels[0][0].set_ylabel("face")
    if rows > 1:
        panels[1][0].set_ylabel("scene")
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=panels[-1].tolist(), fraction=0.04, pad=0.01)
        bar.set_label("change without the cell", fontsize=8)
        bar.ax.tick_params(labelsize=8)
    figure.supxlabel("\n".join(below), fontsize=8)
    _save(figure, image)


def _plain(text: str) -> str:
    """Escape a text: matplotlib reads formulas between dollars, and hides names that begin with "_"."""
    text = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
    return (" " if text.startswith("_") else "") + _without_formula(text)


def _without_formula(text: str) -> str:
    return printable(text).replace("$", r"\$")


def _save(figure: Figure, image: BinaryIO) -> None:
    """Write a figure as a PNG. A second pass of the layout keeps many banners from overlapping the title."""
    if layout := figure.get_layout_engine():
        for _ in range(_LAYOUT_PASSES):
            layout.execute(figure)
    figure.savefig(image, dpi=120, format="png")


def _figure(width_in: float, height_in: float, banners: Sequence[str]) -> Figure:
    lines = [line for banner in banners for line in wrap(banner, int(_LETTERS_PER_INCH * width_in))]
    figure = Figure(figsize=(width_in, height_in + 0.2 * len(lines)), layout="constrained")
    FigureCanvasAgg(figure)
    if lines:
        figure.suptitle("\n".join(map(_without_formula, lines)), color="red", weight="bold", fontsize=10)
    return figure
