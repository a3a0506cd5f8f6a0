"""Misuse of the GPU benchmark's command line is one line and exit code 2."""

import pytest

from benchmarks.gpu_steps.arguments import parse_arguments

STEPS = "setup, environment, gpu-tests, encoder,"


def test_only_is_a_list_of_steps() -> None:
    assert parse_arguments(["--only", " encoder,, sweep "]).only == ("encoder", "sweep")
    assert parse_arguments([]).only == ()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--only", ",", f"',' names no step; allowed: {STEPS}"),
        ("--only", "", f"'' names no step; allowed: {STEPS}"),
        ("--only", "encoder,speed,\x1bx", f"'speed', '\\x1bx' is not a step; allowed: {STEPS}"),
        ("--clips", "/no/such", "'/no/such' is not a directory; give a directory of videos"),
        ("--wheels", "/no/such", "'/no/such' is not a directory; give a directory of wheels"),
        ("--detector-weights", "/no/such", "'/no/such' is not a file; give the weights of RetinaFace"),
        *(
            (option, value, f"'{value}' is not a number above 0")
            for option in ("--seconds", "--patience")
            for value in ("0", "-1", "nan", "inf", "long")
        ),
    ],
)
def test_misuse_is_one_line(
    option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments([option, value])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: argument {option}: {message}")
