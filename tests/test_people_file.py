import math

import pytest

from pipeline.errors import ConfigError, FileError
from tests.small_predictions import face, prediction, window
from trainer.prediction.documents import prediction_values
from trainer.prediction.people_file import (
    MAX_BYTES,
    of_kept_windows,
    parse_people,
    read_people_file,
    with_people,
)
from trainer.prediction.results import UNKNOWN

TRACKS = {"P1": ["s00p1", "s02p1"], "P2": ["s01p1"], "P3": ["s01p2", "s03p1"], UNKNOWN: ["s04p1"]}


def people(text):
    answers = [
        window(2.0 * number, "happiness", track=track, shot=number)
        for number, track in enumerate(["s00p1", "s01p1", "s02p1", "s03p1", "s04p1"])
    ]
    made = with_people(prediction(answers, TRACKS, faces=[face(60, "s01p2")]), parse_people(text, "p.txt"))
    return {person.name: (person.tracks, person.margin) for person in made.people}


def test_people_are_renamed_and_the_others_stay():
    assert people("P1 = Anna\n") == {
        "Anna": (("s00p1", "s02p1"), 2.5),
        "P2": (("s01p1",), math.inf),
        "P3": (("s01p2", "s03p1"), 2.5),
        UNKNOWN: (("s04p1",), math.inf),
    }


def test_equal_names_are_one_person_with_tracks_in_order_of_time():
    found = people("P3 = Anna\nP1 = Anna\n")
    assert found["Anna"] == (("s00p1", "s01p2", "s02p1", "s03p1"), 2.5)
    assert list(found) == ["Anna", "P2", UNKNOWN]


def test_a_track_has_its_own_name_before_its_persons():
    found = people("P1 = Anna\ns02p1 = Berta\ns04p1 = Berta\n")
    assert found["Anna"] == (("s00p1",), math.inf)
    assert found["Berta"] == (("s02p1", "s04p1"), math.inf)
    assert UNKNOWN not in found


def test_tracks_become_unknown_and_unknown_is_last():
    found = people("P1 = unknown")
    assert found == {
        "P2": (("s01p1",), math.inf),
        "P3": (("s01p2", "s03p1"), 2.5),
        UNKNOWN: (("s00p1", "s02p1", "s04p1"), 2.5),
    }


def test_names_may_be_swapped_or_merged_into_each_other():
    found = people("P1 = P2\nP2 = P1")
    assert (found["P2"][0], found["P1"][0]) == (("s00p1", "s02p1"), ("s01p1",))
    assert people("P1 = P2")["P2"][0] == ("s00p1", "s01p1", "s02p1")


def test_comments_blanks_and_a_byte_order_mark_are_no_lines(tmp_path):
    path = tmp_path / "people.txt"
    path.write_bytes("\ufeff# who is it\r\n\r\n  P1=Anna Müller  # left\r\n".encode())
    assert read_people_file(path) == {"P1": (3, "Anna Müller")}


def test_every_track_has_one_person_afterwards():
    made = prediction([], TRACKS)
    for text in ("", "P1=A\nP2=A\ns03p1=A\ns02p1=unknown"):
        renamed = with_people(made, parse_people(text, "p"))
        tracks = [track for person in renamed.people for track in person.tracks]
        assert sorted(tracks) == sorted(track for own in TRACKS.values() for track in own)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("P1 = A\nP9 = B", r"line 2: there is no person or track 'P9'; there are the people P1, P2, P3, "
                           r"unknown, and the tracks s00p1, s02p1, s01p1, s01p2, s03p1, s04p1\."),
        ("s00p1 = A\n\ns00p1 = B", r"line 3: 's00p1' has a name already, in line 1; remove one of them\."),
        ("P1 Anna", r"line 1: 'P1 Anna' is not of the form 'P2 = Anna' or 's03p1 = Anna'\."),
        ("P1 =", r"line 1: 'P1 =' is not of the form"),
        ("= Anna", r"line 1: '= Anna' is not of the form"),
        ("P1 = # Anna", r"line 1: 'P1 =' is not of the form"),
        ("P1 = A\u202eB", r"line 1: the name 'A\?B' needs at most 80 characters that print\."),
        ("P1 = " + "x" * 81, r"line 1: the name 'x{80}\.\.\.' needs at most 80"),
    ],
)  # fmt: skip
def test_other_lines_are_rejected_in_one_line(text, message):
    with pytest.raises(ConfigError, match=rf"^People file 'p.txt', {message}") as caught:
        with_people(prediction([], TRACKS), parse_people(text, "p.txt"), "p.txt")
    assert str(caught.value).isprintable()


def test_a_file_that_is_no_text_or_too_large_is_rejected(tmp_path):
    path = tmp_path / "people.txt"
    path.write_bytes(b"P1 = A\n\xff\n")
    with pytest.raises(FileError, match=r"people.txt' is not UTF-8 text \(byte 7\)"):
        read_people_file(path)
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(FileError, match="people.txt"):
        read_people_file(path)
    with pytest.raises(FileError, match="none.txt"):
        read_people_file(tmp_path / "none.txt")


def test_a_video_without_people_names_nobody():
    made = prediction([], {})
    with pytest.raises(ConfigError, match="there are no people in this video"):
        with_people(made, parse_people("P1 = A", "p"))


def test_people_and_tracks_are_left_out_with_their_windows_and_faces():
    answers = [
        window(2.0 * number, "happiness", track=track, shot=number)
        for number, track in enumerate(["s00p1", "s01p1", "s02p1", "s03p1", "s04p1"])
    ]
    made = prediction(answers, TRACKS, faces=[face(60, "s01p2"), face(70, "s00p1")])
    found = with_people(made, parse_people("P3 = drop\ns02p1 = drop\nP1 = Anna", "p.txt"), "dir/p.txt")
    assert [person.name for person in found.people] == ["Anna", "P2", UNKNOWN]
    assert [one.track for one in found.windows] == ["s00p1", "s01p1", "s04p1"]
    assert [one.track for one in found.faces] == ["s00p1"]
    assert sorted(found.dropped) == ["s01p2", "s02p1", "s03p1"]
    assert found.notes == ("left out by people file 'p.txt': P3, s02p1 (3 tracks)",)
    values = prediction_values(found)
    assert (values["dropped_tracks"], values["num_windows"]) == (list(found.dropped), 3)
    assert of_kept_windows({0: "a", 2: "b", 4: "c"}, made, found) == {0: "a", 2: "c"}
    assert with_people(made, parse_people("P1 = Anna", "p.txt")).dropped == ()
