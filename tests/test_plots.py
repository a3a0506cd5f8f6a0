import os
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest

from pipeline.children import environment
from trainer import plots
from trainer.metrics import Metrics
from trainer.plots import plot_bounds, plot_confusion, plot_curves, plot_stages

METRICS = Metrics(class_names=("happiness", "sadness"), confusion=np.array([[30, 0], [5, 15]]))
BANNER = "RANDOM ENCODER WEIGHTS: these numbers say nothing about the method"


@pytest.fixture(scope="module")
def no_drawing():
    """Figures are drawn here."""


def epoch(number):
    train = {"loss": 1.0, "contrast": 0.5, "similarity": 0.3, "polarity": 0.2, "accuracy": 0.6}
    return {"epoch": number, "train": train, "validation": {"loss": 1 / number, "war": 0.5, "uar": 0.4}}


def draw(kind, path, banners):
    if kind == "confusion":
        plot_confusion(METRICS, path, title="tiny", banners=banners)
    elif kind == "bounds":
        plot_bounds({"full": METRICS}, {"chance": 0.5, "bound": 0.7}, path, title="tiny", banners=banners)
    elif kind == "stages":
        points = {stage: np.eye(2, dtype=np.float32) for stage in ("encoder", "TFE", "third")}
        plot_stages(points, np.array([0, 1]), ("joy", "fear"), path, title="tiny", banners=banners)
    else:
        plot_curves([epoch(1), epoch(2)], path, title="tiny", banners=banners)
    return matplotlib.image.imread(path)[:, :, :3]


def shown(num_frames=6, *, has_scene=True, cell=0.0):
    """An explanation of grey images with a change without the first cell."""
    grey, cells = np.full((64, 64, 3), 128, np.uint8), np.zeros((4, 4))
    cells[0, 0] = cell
    return plots.ExplainedImages(
        face_N=[grey] * num_frames,
        scene_N=[grey] * num_frames if has_scene else [],
        captions=["1.20 s"] * num_frames,
        changes=["-0.031"] * num_frames,
        cell_GG=cells if has_scene else None,
        area=(0, 16, 64, 48),
    )


def explained(path, banners=(), **settings):
    plots.plot_explanation(shown(**settings), path, title="P1: joy 0.72", caption="methods", banners=banners)
    return matplotlib.image.imread(path)[:, :, :3]


def is_reddish(picture):
    return (picture[..., 0] > picture[..., 2] + 0.15).sum()


def test_an_explanation_is_red_where_a_cell_supports_the_answer(tmp_path):
    (red, blue, alone, one) = (
        explained(tmp_path / f"{n}.png", **settings)
        for n, settings in enumerate(
            [{"cell": -0.5}, {"cell": 0.5}, {"has_scene": False}, {"num_frames": 1, "has_scene": False}]
        )
    )
    assert is_reddish(red) > 2 * is_reddish(blue) > 0, "the colour bar has both colours"
    assert is_reddish(alone) == 0, "no scene, no colours"
    assert alone.shape[0] < 0.7 * red.shape[0]
    assert one.shape[1] >= 600
    assert red_share(explained(tmp_path / "b.png", [BANNER])) > 0.01 > red_share(red)


def red_share(picture):
    """The share of pure red among a picture's top tenth."""
    top = picture[: len(picture) // 10]
    return float(((top[..., 0] > 0.9) & (top[..., 1] < 0.2) & (top[..., 2] < 0.2)).mean())


@pytest.mark.parametrize("kind", ["confusion", "curves", "bounds", "stages"])
def test_banners_stand_in_red_across_the_top(kind, tmp_path):
    assert red_share(draw(kind, tmp_path / "plain.png", ())) == 0
    assert red_share(draw(kind, tmp_path / "loud.png", (BANNER,))) > 0.01


@pytest.mark.parametrize("kind", ["confusion", "curves", "bounds", "stages"])
def test_banners_do_not_run_off_the_picture(kind, tmp_path):
    picture = draw(kind, tmp_path / "loud.png", (BANNER, "SELECTED ON TEST"))
    edges = np.concatenate([picture[:, :3], picture[:, -3:]], axis=1)
    assert (edges == 1).all()


def test_two_banners_leave_room_for_the_title_and_the_labels_of_a_small_matrix(tmp_path):
    metrics = Metrics(class_names=("fear", "happiness", "sadness"), confusion=np.eye(3, dtype=int))
    banners = (BANNER, "UNFINISHED CACHE: trained while 20 clips of the fold had no features yet")
    plot_confusion(metrics, tmp_path / "plot.png", title="manifest, fold 1, test split", banners=banners)
    picture = matplotlib.image.imread(tmp_path / "plot.png")[:, :, :3]
    assert (picture[-3:] == 1).all()
    red = (picture[..., 0] > 0.9) & (picture[..., 1] < 0.2)
    black = (picture < 0.2).all(axis=-1)
    assert np.flatnonzero(red.any(axis=1)).max() < np.flatnonzero(black.any(axis=1)).min()


def test_the_title_of_another_fold_does_not_run_off_a_small_matrix(tmp_path):
    metrics = Metrics(class_names=("fear", "happiness", "sadness"), confusion=np.eye(3, dtype=int))
    title = "clips of films, fold 1 (trained on fold 2 of other films), test split"
    with (tmp_path / "plot.png").open("wb") as image:
        plot_confusion(metrics, image, title=title, banners=())
    picture = matplotlib.image.imread(tmp_path / "plot.png")[:, :, :3]
    edges = np.concatenate([picture[:, 0], picture[:, -1], picture[0], picture[-1]])
    assert (edges == 1).all()


@pytest.mark.parametrize("kind", ["text", "pipe"])
def test_a_style_file_in_the_current_directory_is_not_read(tmp_path, kind):
    style = tmp_path / "matplotlibrc"
    if kind == "pipe":
        os.mkfifo(style)
    else:
        style.write_text("text.usetex: True\n")
    code = (
        "import os; from trainer import plots; import matplotlib; "
        "print(matplotlib.rcParams['text.usetex'], os.getcwd())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True,
        check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.split() == ["False", str(tmp_path.resolve())]


def test_confusion_is_shaded_by_the_share_of_the_true_class(tmp_path):
    picture = draw("confusion", tmp_path / "confusion.png", ())
    colours = {tuple(colour) for colour in picture[::7, ::7].reshape(-1, 3).round(2)}
    blues = [colour for colour in colours if colour[2] > colour[0] + 0.2]
    assert len(blues) >= 3  # shares 1, 0.25 and 0.75; share 0 is nearly white


def test_curves_of_one_epoch_can_be_drawn(tmp_path):
    plot_curves([epoch(1)], tmp_path / "curves.png", title="tiny", banners=())
    assert (tmp_path / "curves.png").stat().st_size > 0


def test_names_are_no_formulas_and_none_is_hidden(tmp_path):
    names = ("$\\frac$", "_hidden")
    metrics = Metrics(class_names=names, confusion=METRICS.confusion)
    plot_confusion(metrics, tmp_path / "confusion.png", title="$\\nope$", banners=())
    plot_curves([epoch(1)], tmp_path / "curves.png", title="$\\nope$", banners=())
    drawn = []
    for second in ("_hidden", "hidden"):
        points = {"one": np.eye(2, dtype=np.float32)}
        path = tmp_path / f"{second}.png"
        plot_stages(points, np.array([0, 1]), (names[0], second), path, title="$x", banners=())
        drawn.append(matplotlib.image.imread(path)[-100:, :, :3])
    orange = [int(((p[..., 0] > 0.9) & (p[..., 2] < 0.2)).sum()) for p in drawn]
    assert orange[0] == orange[1] > 0


def test_texts_of_other_people_neither_fill_nor_control_a_figure(tmp_path):
    """Names of megabytes would take minutes and memory; control characters have no glyph."""
    drawn = plots._plain("\x1b[1m" + "x" * 5_000_000)
    assert drawn == f"?[1m{'x' * 96}..."
    figure = plots._figure(6, 4, ["A \x9b$banner_1$"])
    assert figure.get_suptitle() == r"A ?\$banner_1\$"
