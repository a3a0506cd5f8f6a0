"""Folders of runs, grids, reports and demos that come from somebody else: links, pipes, devices and giants.

Nothing outside them is read, written or removed, and nothing blocks.
"""

import os
import resource
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import OusError
from pipeline.own_dir import OwnDir
from tests.command_line import call
from tests.tiny_cache import tiny_cache
from tests.tiny_grid import Heard, outcome, quick_request, quick_spec, stored
from trainer import demo
from trainer.ablate import SweepExecutorOptions, ablate
from trainer.ablate.load_results import read_sweep
from trainer.ablate.sweep_directory import GRID_FILE, OUTCOME_FILE, hold
from trainer.evaluation import evaluate
from trainer.presets import smoke
from trainer.report import report
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

SECONDS = 60
GROWTH_KB = 256 << 10
READ_BY_EVALUATE = ("config.toml", "run.json", "training_clips.json", "best.safetensors")
HOSTILE = {
    "a link": lambda path, victim: path.symlink_to(victim / "file"),
    "a link to nothing": lambda path, victim: path.symlink_to(victim / "none"),
    "a link to zeros": lambda path, victim: path.symlink_to("/dev/zero"),
    "a pipe": lambda path, victim: os.mkfifo(path),
    "a giant": lambda path, victim: (path.touch(), os.truncate(path, 1 << 40)),
    "a directory": lambda path, victim: path.mkdir(),
}
NOT_WRITTEN = {kind: make for kind, make in HOSTILE.items() if kind != "a giant"}
"""A giant of ours is replaced like any file."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    cache = tiny_cache(folder / "feats.zarr")
    config = smoke()
    train(cache, folder / "run", config, device="cpu")
    return folder


@pytest.fixture
def run(made, tmp_path):
    return Path(shutil.copytree(made / "run", tmp_path / "run"))


@pytest.fixture
def victim(tmp_path):
    """A directory elsewhere, with what an attacker would like to change."""
    folder = tmp_path / "victim"
    (folder / ".work.partial").mkdir(parents=True)
    for name in ("file", "outcome.json", ".work.partial/thesis.tex"):
        (folder / name).write_text("precious")
    return folder


@pytest.fixture(autouse=True)
def intact(victim):
    """After every test the directory elsewhere is as it was."""
    before = contents(victim)
    yield
    assert contents(victim) == before


def contents(folder):
    return {path: path.read_text() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def limits():
    """A limit of time, which a read of a pipe would reach, and of memory."""

    def late(*_):
        pytest.fail(f"blocked for {SECONDS} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    handler = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GROWTH_KB


def refused(words, act, *arguments, **options):
    with limits(), pytest.raises(OusError) as caught:
        act(*arguments, **options)
    text = str(caught.value)
    assert text.isprintable(), text
    assert words in text


def replaced(path, make, victim):
    """Put something else where a file or directory was."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    make(path, victim)


# Runs


@pytest.mark.parametrize("name", READ_BY_EVALUATE)
@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_evaluate_reads_plain_files_of_the_run_alone(run, victim, name, make):
    replaced(run / name, make, victim)
    refused(name, evaluate, run, device="cpu")


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_report_reads_a_plain_file_of_epochs_alone(run, victim, tmp_path, make):
    replaced(run / "metrics.jsonl", make, victim)
    refused("metrics.jsonl", report, [run], tmp_path / "out", print, device="cpu")


@pytest.mark.parametrize("name", ["confusion.json", "confusion.png"])
@pytest.mark.parametrize("make", NOT_WRITTEN.values(), ids=NOT_WRITTEN)
def test_evaluate_writes_through_nothing(run, victim, name, make, monkeypatch):
    monkeypatch.setattr("trainer.measurement.load_checkpoint", lambda *_: pytest.fail("measured first"))
    make(run / name, victim)
    refused(f"{name}' is a", evaluate, run, device="cpu")
    assert not {"confusion.json", "confusion.png"} - {name} & {path.name for path in run.iterdir()}


def test_a_name_that_was_once_written_by_way_of_is_left_alone(run, victim):
    for name in (".confusion.json.partial", ".best.safetensors.partial", ".run.json.partial"):
        (run / name).symlink_to(victim / "file")
    evaluate(run, device="cpu")
    assert (run / "confusion.json").is_file()


def test_a_run_that_the_user_reaches_by_a_link_is_evaluated(run, tmp_path):
    (tmp_path / "runs").symlink_to(run.parent)
    (tmp_path / "same").symlink_to(run)
    evaluate(tmp_path / "runs" / "run", device="cpu")
    evaluate(tmp_path / "same", device="cpu")
    assert (run / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_no_run_is_made_at_the_end_of_a_link_to_nothing(made, tmp_path, victim):
    (tmp_path / "new").symlink_to(victim / "none")
    refused("new' exists already", train, made / "feats.zarr", tmp_path / "new", smoke(), device="cpu")


def test_the_command_line_ends_in_one_line(run, victim, monkeypatch, capsys):
    (run / "confusion.json").symlink_to(victim / "file")
    code, out, err = call(monkeypatch, capsys, "evaluate", run, "--device", "cpu")
    assert (code, out) == (1, "")
    assert err == (
        f"error: '{run}/confusion.json' is a link to '{victim}/file'; a regular file is needed. Remove it, "
        "or put a regular file there.\n"
    )


# Grids


@pytest.fixture
def grid(tmp_path):
    return stored(tmp_path / "grid", quick_request(), [outcome("L_ce", "1", 0, (8, 4))])


def enter(out):
    with hold(out, {"cache": {"fingerprint": "f" * 64}, "table": "Quick table"}, {}, {}):
        pass


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_a_grid_reads_plain_files_alone(grid, victim, make):
    path = grid / "l-ce" / "fold1-seed0" / OUTCOME_FILE
    replaced(path, make, victim)
    refused("outcome.json", read_sweep, grid)
    replaced(grid / GRID_FILE, make, victim)
    refused("grid.json", read_sweep, grid)
    refused("grid.json", enter, grid)


@pytest.mark.parametrize("make", NOT_WRITTEN.values(), ids=NOT_WRITTEN)
def test_the_lock_of_a_grid_is_a_plain_file(grid, victim, make):
    replaced(grid / ".lock", make, victim)
    refused(".lock' is a", enter, grid)


@pytest.mark.parametrize("level", ["l-ce", "l-ce/fold1-seed0"])
def test_a_link_in_place_of_a_row_or_a_run_is_not_followed(grid, victim, level):
    replaced(grid / level, lambda path, victim: path.symlink_to(victim), victim)
    refused(f"{level}' is a link to '{victim}'", read_sweep, grid)


def test_leftovers_behind_a_link_are_not_removed(grid, victim):
    (grid / "evil").symlink_to(victim)
    (grid / "l-ce" / ".evil.partial").symlink_to(victim)
    (grid / ".grid.json.partial").symlink_to(victim / "file")
    (grid / "l-ce" / ".killed.partial").mkdir()
    (grid / "l-ce" / ".killed.partial" / "link").symlink_to(victim)
    enter(grid)
    assert not (grid / "l-ce" / ".killed.partial").exists()


@pytest.mark.parametrize("name", ["results.json", "table.md"])
def test_ablate_writes_its_table_through_nothing(made, tmp_path, victim, name, monkeypatch):
    monkeypatch.setattr("trainer.ablate.run_one.do_run", lambda task, _: outcome(task.row, "1", 0, (8, 4)))
    monkeypatch.setattr("trainer.ablate.run._require_visible", lambda *_: None)
    options = SweepExecutorOptions(scheduler="sync")
    ablate(made / "feats.zarr", quick_spec(), tmp_path / "out", Heard(), num_seeds=1, options=options)
    replaced(tmp_path / "out" / name, lambda path, victim: path.symlink_to(victim / "file"), victim)
    refused(
        f"{name}' is a link",
        ablate, made / "feats.zarr", quick_spec(), tmp_path / "out", Heard(), num_seeds=1, options=options,
    )  # fmt: skip


# Reports and the demo


@pytest.mark.parametrize("name", ["report.html", "report.md", "report.json"])
@pytest.mark.parametrize("make", NOT_WRITTEN.values(), ids=NOT_WRITTEN)
def test_a_report_is_written_through_nothing(run, tmp_path, victim, name, make, monkeypatch):
    monkeypatch.setattr("trainer.measurement.load_checkpoint", lambda *_: pytest.fail("measured first"))
    (tmp_path / "out").mkdir()
    make(tmp_path / "out" / name, victim)
    refused(f"{name}' is a", report, [run], tmp_path / "out", print, device="cpu")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


def test_a_report_uses_no_name_that_can_be_known_beforehand(run, tmp_path, victim):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".report.html.partial").symlink_to(victim / "file")
    report([run], tmp_path / "out", print, device="cpu")
    assert (tmp_path / "out" / "report.html").is_file()


def demo_in(out):
    return demo.run_demo(out, say=print, bar=lambda *_: lambda _: None, on_epoch=print)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """The folder of a demo, before its runs are trained."""
    for name in ("_draw", "_extract", "_draw_twins", "load_models"):
        monkeypatch.setattr(demo, name, lambda *_: type("Index", (), {"clips": ()}))
    monkeypatch.setattr(demo, "train", lambda *_, **__: pytest.fail("trained"))
    (tmp_path / "out" / "clips").mkdir(parents=True)
    (tmp_path / "out" / "clips" / demo.DESCRIPTION).write_text("{}")
    (tmp_path / "out" / "runs").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("name", ["runs", "feats.zarr", "demo.png", "demo.json", "clips.png", "clips"])
def test_a_demo_refuses_links_at_its_names(drawn, victim, name):
    replaced(drawn / name, lambda path, victim: path.symlink_to(victim), victim)
    refused(f"holds '{name}', which no demo has made", demo_in, drawn)


def test_a_demo_removes_no_run_behind_a_link(drawn, victim):
    (drawn / "runs" / "face-only").symlink_to(victim)
    refused(f"runs/face-only' is a link to '{victim}'", demo_in, drawn)


def test_a_demo_removes_no_leftover_behind_a_link(drawn, victim):
    (drawn / ".clips.x.partial").symlink_to(victim)
    (drawn / ".feats.zarr.creating").symlink_to(victim)
    refused("which no demo has made", demo_in, drawn)


def test_what_a_killed_demo_left_is_removed(drawn, victim):
    (drawn / ".clips.x.partial").mkdir()
    (drawn / ".clips.x.partial" / "link").symlink_to(victim)
    (drawn / ".0011223344556677.partial").write_text("half")
    demo._require_own_files(OwnDir.of(drawn))
    assert sorted(path.name for path in drawn.iterdir()) == ["clips", "runs"]
