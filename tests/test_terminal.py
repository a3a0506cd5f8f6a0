"""What commands print is printable, whatever a data set, a cache or a run of other people holds."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline import terminal
from pipeline.config import to_dict
from pipeline.display.text import lines as lines_of
from pipeline.errors import CacheError
from pipeline.terminal import answer, progress_bar, say, show_error
from pipeline.types import Status
from tests.command_line import call
from tests.tiny_cache import tiny_cache, tiny_meta
from tests.tiny_clip import modest_clip

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

HOSTILE = "\x1b[2J\x1b]0;mine\x07\r\n\u202eerror: none\x9b31m"
SHOWN = "?[2J?]0;mine????error: none?31m"


@dataclass(frozen=True)
class Answer:
    name: str = HOSTILE


@lines_of.register
def _(result: Answer) -> list[str]:
    return [result.name, "next"]


def test_an_answer_has_the_lines_of_the_command_alone(capsys: pytest.CaptureFixture[str]) -> None:
    answer(Answer(), as_json=False)
    assert capsys.readouterr().out == f"{SHOWN}\nnext\n"
    answer(Answer(), as_json=True)
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert json.loads(out) == {"name": HOSTILE}


def test_a_remark_and_an_error_are_one_printable_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"[bold]{HOSTILE}")
    assert capsys.readouterr().err == f"[bold]{SHOWN}\n"
    show_error(CacheError(HOSTILE))
    assert capsys.readouterr().err == "error: ?[2J?]0;mine? ?error: none?31m\n"


def test_a_name_of_megabytes_does_not_fill_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "x" * 10_000_000
    say(f"clip '{name}' fails")
    show_error(CacheError(f"no class '{name}'"))
    err = capsys.readouterr().err
    assert err.count("\n") == 2
    assert len(err) < 25_000
    assert "(9990013 characters more)" in err


def test_a_text_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    say(":smile: [bold]joy[/] \\")
    show_error(CacheError("run `cli.py evaluate 'my  run'` :smile:"))
    expected = ":smile: [bold]joy[/] \\\nerror: run `cli.py evaluate 'my  run'` :smile:\n"
    assert capsys.readouterr().err == expected


def test_a_progress_bar_shows_foreign_names_so_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal._people, "_force_terminal", True)
    with progress_bar(f"fetching [red]{HOSTILE}", "MB") as (start, advance):
        start(2.0)
        advance(1.0, HOSTILE)
    err = capsys.readouterr().err
    own = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", err)  # what rich draws the bar with
    assert [line for line in own.replace("\r", "\n").splitlines() if not line.isprintable()] == []
    assert "]0;mine?" in own


def test_json_is_printable_to_its_last_character(capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x7f\x9b\u202e"
    answer(Answer(name), as_json=True)
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert json.loads(out) == {"name": name}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that can be trained on, whose every free text is hostile."""
    meta = tiny_meta(
        dataset=HOSTILE,
        class_names=tuple(f"{HOSTILE}{number}" for number in range(3)),
        fold_names=(HOSTILE,),
        identity={
            "features": {"precision": HOSTILE},
            "detector": {"precision": HOSTILE},
            "track": {"version": HOSTILE},
        },
        config={
            "encoder": to_dict(modest_clip().config),
            "detector": {"name": HOSTILE},
            "streams": {"scene": HOSTILE, "scene_fit": HOSTILE},
        },
        warnings=(HOSTILE,),
    )
    status = np.full(meta.num_clips, Status.DONE, dtype=np.uint8)
    status[5] = Status.FAILED
    texts = np.array([f"{HOSTILE}{number}" for number in range(meta.num_clips)], dtype=object)
    polarity = (np.arange(meta.num_clips) % 3).astype(np.int8)
    path = tmp_path_factory.mktemp("foreign") / "feats.zarr"
    tiny_cache(path, meta, status=status, clip_id=texts, polarity=polarity)
    return path


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return partial(call, monkeypatch, capsys)


def require_printable(*texts: str) -> None:
    for text in texts:
        assert [line for line in text.splitlines() if not line.isprintable()] == []
        assert "\x1b" not in text
        assert not any(line.startswith("error: none") for line in text.splitlines())


def test_a_cache_of_other_people_is_shown_without_its_control_sequences(cache: Path, run: Run) -> None:
    code, out, err = run("cache", "info", cache, "--all-clips")
    assert code == 0, err
    require_printable(out, err)
    assert SHOWN in out
    code, out, err = run("cache", "verify", cache, "--sample", "0")
    assert code == 3, err
    require_printable(out, err)
    assert SHOWN in out


def test_a_run_on_it_is_trained_measured_and_reported_so(cache: Path, run: Run, tmp_path: Path) -> None:
    quick = ["--preset", "smoke", "--set", "schedule.max_epochs=1", "--set", "data.validation=train"]
    trained = tmp_path / "run"
    for arguments in (
        ["train", "--cache", cache, "--run", trained, *quick, "--device", "cpu"],
        ["evaluate", trained, "--device", "cpu"],
        ["report", trained, "--out", tmp_path / "report", "--clips", "0", "--device", "cpu"],
    ):
        code, out, err = run(*arguments)
        assert code == 0, err
        require_printable(out, err)
    for name in ("report.html", "report.md"):
        require_printable((tmp_path / "report" / name).read_text())
