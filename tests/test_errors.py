import pytest

from pipeline.errors import counted, first_line, printable, some


def test_an_error_of_many_lines_or_of_none_is_one():
    assert first_line(ValueError("\n what it is \n and where")) == "what it is "
    assert first_line(ValueError("")) == "ValueError"
    assert first_line(ValueError("a \x1b[1mbold\x1b[0m advice")) == "a ?[1mbold?[0m advice"


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Überraschung, 驚き, +1", "Überraschung, 驚き, +1"),
        ("joy\r\nfear\tx", "joy??fear?x"),
        ("\x1b[2Jgone\x07\x9b31m", "?[2Jgone??31m"),
        ("\u202etxt.exe\u2028\u200b", "?txt.exe??"),
        ("\ud800", "?"),
        ("e\u0301", "e\u0301"),
        ("a" + "\u0301" * 32, "a" + "\u0301" * 30 + "??"),
    ],
)
def test_a_text_of_other_people_is_one_line_that_prints(text, expected):
    assert printable(text) == expected
    assert printable(text, "\ufffd") == "".join(
        "\ufffd" if new != old else old for old, new in zip(text, expected, strict=True)
    )


def test_a_long_list_of_names_ends_with_their_number():
    assert some(["a", "b", "c"]) == "a, b, c"
    assert some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert some({"a": 1, "b": 2}, shown=1) == "a and 1 more"
    assert some(["a; b", "c", "d"], 2, "; ") == "a; b; c and 1 more"
