import pytest

from pipeline.errors import counted, first_line


def test_an_error_of_many_lines_or_of_none_is_one():
    assert first_line(ValueError("\n what it is \n and where")) == "what it is "
    assert first_line(ValueError("")) == "ValueError"


@pytest.mark.parametrize(
    ("number", "thing", "things", "said"),
    [
        (0, "block", "", "0 blocks"),
        (1, "block", "", "1 block"),
        (2, "block", "", "2 blocks"),
        (1, "process", "processes", "1 process"),
        (2, "process", "processes", "2 processes"),
    ],
)
def test_one_is_said_in_the_singular(number, thing, things, said):
    assert counted(number, thing, things) == said
