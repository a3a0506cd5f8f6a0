"""A GPU that is demanded and missing fails; missing material skips, and a wrong path to it fails."""

from pathlib import Path

import pytest
import torch

pytest_plugins = ["pytester"]

CONFTEST = (Path(__file__).parent / "conftest.py").read_text(encoding="utf-8")
MARKED = """
import pytest
@pytest.mark.gpu
def test_it():
    assert True
"""
USES_DATA = """
def test_it(test_data):
    assert (test_data / "clip.mp4").exists()
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\nmarkers = gpu: needs a CUDA device")
    return pytester


def test_a_gpu_test_without_a_gpu_is_skipped_with_its_reason(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    project.makepyfile(MARKED)
    result = project.runpytest_inprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*needs a CUDA device; --require-gpu makes this a failure*"])


def test_a_demanded_gpu_that_is_missing_is_a_failure(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    project.makepyfile(MARKED)
    result = project.runpytest_inprocess("--require-gpu")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*--require-gpu was given, and torch finds no CUDA device*"])


def test_a_gpu_test_runs_where_there_is_a_gpu(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    project.makepyfile(MARKED)
    project.runpytest_inprocess("--require-gpu").assert_outcomes(passed=1)


def test_without_the_material_its_tests_are_skipped_with_the_reason(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OUS_TEST_DATA", raising=False)
    project.makepyfile(USES_DATA)
    result = project.runpytest_inprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*OUS_TEST_DATA is not set*"])


def test_a_path_to_the_material_that_is_wrong_is_no_skip(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUS_TEST_DATA", str(project.path / "nowhere"))
    project.makepyfile(USES_DATA)
    result = project.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*nowhere', which is no folder; mend or unset it*"])


def test_the_material_is_found_where_the_variable_points(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.path / "material").mkdir()
    (project.path / "material" / "clip.mp4").touch()
    monkeypatch.setenv("OUS_TEST_DATA", str(project.path / "material"))
    project.makepyfile(USES_DATA)
    project.runpytest_inprocess().assert_outcomes(passed=1)
