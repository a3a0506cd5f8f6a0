import pytest

from pipeline.errors import counted, first_line, some


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


def test_a_long_list_of_names_ends_with_their_number():
    assert some(["a", "b", "c"]) == "a, b, c"
    assert some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert some({"a": 1, "b": 2}, shown=1) == "a and 1 more"
