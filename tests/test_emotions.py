import pytest

from pipeline.datasets.emotions import POLARITY_OF_CLASS, polarity_of_class
from pipeline.types import Polarity

DFEW = {"happy": 2, "sad": 0, "neutral": 1, "angry": 0, "surprise": 1, "disgust": 0, "fear": 0}
PAPER = {"happiness": 2, "sadness": 0, "neutral": 1, "anger": 0, "surprise": 1, "disgust": 0, "fear": 0}
MAFW = {"contempt": 0, "anxiety": 0, "helplessness": 0, "disappointment": 0}


@pytest.mark.parametrize(("name", "polarity"), [*DFEW.items(), *PAPER.items(), *MAFW.items()])
def test_the_fields_class_names_have_their_polarity(name, polarity):
    assert polarity_of_class(name) == polarity


@pytest.mark.parametrize("name", ["Happy", " HAPPINESS ", "Joy"])
def test_capitals_and_blanks_do_not_matter(name):
    assert polarity_of_class(name) is Polarity.POSITIVE


@pytest.mark.parametrize("name", ["", "bored", "happiness2", "3"])
def test_an_unknown_name_has_no_polarity(name):
    assert polarity_of_class(name) is Polarity.UNKNOWN


def test_no_known_name_is_without_polarity():
    assert Polarity.UNKNOWN not in POLARITY_OF_CLASS.values()
    assert all(name == name.strip().lower() for name in POLARITY_OF_CLASS)
