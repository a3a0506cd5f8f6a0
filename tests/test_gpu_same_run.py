"""Results of another machine, code, input or set of options are not mixed."""

import json
import sys
import time
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.gpu_steps import same_run, setup
from benchmarks.gpu_steps.child import RESULTS
from benchmarks.gpu_steps.records import Recorder
from tests.stub_gpu_steps import context_of


@pytest.fixture
def out_with_results(tmp_path: Path) -> Path:
    about = setup.about_of(context_of(tmp_path, commit="abc"))
    about["machine"]["gpu"] = "NVIDIA X"
    (tmp_path / "about.json").write_text(json.dumps(about))
    Recorder(tmp_path / RESULTS, "encoder", time.time()).numbers("pass", {"value": 1})
    return tmp_path


def test_results_are_compared_with_this_machine_code_and_options(
    out_with_results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = out_with_results / "options.json"
    monkeypatch.setattr(sys, "argv", ["same_run", str(options)])
    context_of(out_with_results, commit="def", is_tiny=True).options.write(options)
    same_run.main()
    assert capsys.readouterr().out == "commit is 'def', was 'abc'; machine.gpu is '', was 'NVIDIA X'"
    about = out_with_results / "about.json"
    about.write_text(about.read_text().replace("NVIDIA X", "").replace("abc", "def"))
    same_run.main()
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_results_of_another_run_are_not_mixed_in(
    out_with_results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (out_with_results / RESULTS).read_bytes()
    assert gpu.main(["--device", "cpu", "--tiny", "--commit", "abc", "--out", str(out_with_results)]) == 1
    assert capsys.readouterr().err == (
        f"'{out_with_results}' has results of another run (machine.gpu is '', was 'NVIDIA X'); "
        "give another --out.\n"
    )
    assert (out_with_results / RESULTS).read_bytes() == before


def options_of(tmp_path: Path) -> dict[str, object]:
    context = context_of(tmp_path, clips=tmp_path / "clips", detector_weights=tmp_path / "weights.pth")
    options: dict[str, object] = setup.about_of(context)["options"]
    return options


def test_other_inputs_of_the_same_name_are_another_run(tmp_path: Path) -> None:
    clips, weights = tmp_path / "clips", tmp_path / "weights.pth"
    clips.mkdir()
    (clips / "a.mp4").write_bytes(b"1")
    (clips / "gone.mp4").symlink_to("nowhere")
    weights.write_bytes(b"1")
    before = options_of(tmp_path)
    assert (before["clips"], before["detector_weights"]) == ("clips", "weights.pth")
    weights.write_bytes(b"2")
    other_weights = options_of(tmp_path)
    (clips / "a.mp4").write_bytes(b"12")
    longer = options_of(tmp_path)
    (clips / "a.mp4").rename(clips / "b.mp4")
    renamed = options_of(tmp_path)
    found = [
        [text.split()[0] for text in same_run.list_differences(one, other)]
        for one, other in ((before, other_weights), (other_weights, longer), (longer, renamed))
    ]
    assert found == [["detector_weights_sha256"], ["clips_names_and_sizes"], ["clips_names_and_sizes"]]


def test_a_stale_description_without_results_is_removed(tmp_path: Path) -> None:
    (tmp_path / "about.json").write_text("{}")
    Recorder(tmp_path / RESULTS, "setup", time.time()).numbers("clips", {"clips": 4})
    assert not same_run.has_earlier_results(tmp_path)
    assert not (tmp_path / "about.json").exists()
