import pytest

from pipeline.datasets.emotions import SPELLINGS
from pipeline.datasets.mafw import SET as MAFW
from pipeline.datasets.near_names import near_names
from pipeline.datasets.spelling import fold_meaning_of, one_spelling

OTHER_CLASSES = [
    "admiration", "adoration", "amusement", "angst", "anticipation", "awe", "bad", "bored", "boredom",
    "calm", "compassion", "concentration", "confused", "confusion", "content", "contentment", "desire",
    "disguise", "distrust", "engagement", "envy", "excitement", "fearless", "glad", "guilt", "hope",
    "hopeless", "hopelessness", "interest", "interested", "love", "mad", "pain", "pleasant", "pride",
    "relief", "shame", "tearful", "trust", "unhappy", "unpleasant", "positive", "negative", "others",
    "not_angry", "not_happy", "non_angry",
]  # fmt: skip
COMPOUND = [
    f"{first} {second}"
    for first in ("happily", "sadly", "fearfully", "angrily", "disgustedly")
    for second in ("surprised", "disgusted", "fearful", "angry")
]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("happines", "happiness"), ("hapines", "happiness"), ("saddness", "sadness"), ("sadd", "sad"),
        ("Suprise", "surprise"), ("anixety", "anxiety"), ("feer", "fear"), ("disapointmnt", "disappointment"),
        ("Happy!", "happy"), ("happy?", "happy"), ("(Happy)", "happy"),
        ("Happy (1)", "happy"), ("Happy copy", "happy"), ("happy copy 2", "happy"), ("happy - Copy", "happy"),
        ("happy - Kopie (2)", "happy"), ("happy_copy", "happy"), ("Copy of happy", "happy"),
    ],
)  # fmt: skip
def test_a_slip_or_a_copy_of_an_emotion_is_near_it(name, near):
    assert near_names([name]) == [(name, near)]
    assert near_names([near, "calm", name]) == [(name, near)]


@pytest.mark.parametrize(
    ("names", "near"),
    [
        (("boredom", "boredum"), ("boredum", "boredom")),
        (("boredom", "Boredom (2)"), ("Boredom (2)", "boredom")),
        (("very calm", "very call"), None),
        (("not interested", "not intrested"), ("not intrested", "not interested")),
        (("boredom!", "boredom"), ("boredom!", "boredom")),
    ],
)
def test_other_classes_are_near_each_other_if_their_words_are_long(names, near):
    assert near_names(names) == ([near] if near else [])


def test_no_two_class_names_of_the_field_are_near():
    """Class names of DFEW, FERV39k, MAFW with its compounds, and of lists of finer emotions."""
    names = dict.fromkeys([*MAFW.published.class_names, *SPELLINGS, *OTHER_CLASSES, *COMPOUND])
    assert near_names(list(names)) == []


@pytest.mark.parametrize(
    "names", [("level 1", "level 2"), ("class_a", "class_b"), ("take10", "take11"), ("", "!", "(1)")]
)
def test_numbers_and_single_letters_are_meant(names):
    assert near_names(names) == []


def test_names_that_are_near_are_noted_and_never_joined():
    found = one_spelling(["happy", "happines", "Happy!", "sad"])
    assert found.names == ("Happy!", "happines", "happy", "sad")
    assert found.notes == (
        "'Happy!' is near 'happy', 'happines' is near 'happiness': each a class of its own; correct the "
        "names if they are one",
    )
    (one,) = one_spelling(["sad", "sadd"]).notes
    assert one == "'sadd' is near 'sad': a class of its own; correct the names if they are one"


def test_folds_are_near_to_nothing():
    assert one_spelling(["happines", "boredom", "boredum"], "fold", fold_meaning_of).notes == ()
