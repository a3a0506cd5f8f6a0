import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.emotions import class_of
from pipeline.datasets.spelling import (
    fold_meaning_of,
    meaning_of,
    one_spelling,
    shown,
    whole_number,
    why_no_name,
)

SAME = {
    "case": ("fear", "Fear", "FEAR"),
    "blanks": ("very sad", " very  sad ", "very\u00a0sad", "Very\u3000Sad"),
    "Unicode form": ("\u00fcber", "u\u0308ber", "\u00dcBER"),
    "wide letters": ("fear", "\uff46\uff45\uff41\uff52"),
    "ligature": ("baffled", "ba\ufb04ed"),
    "zero width": ("fear", "fear\u200b", "f\u200dear", "\u2060fear"),
    "byte order mark": ("fear", "\ufefffear"),
    "soft hyphen": ("disappointment", "disappoint\u00adment"),
    "direction": ("fear", "\u202afear\u202c", "fear\u200e"),
    "variation": ("\u2639", "\u2639\ufe0f"),
    "the field": ("happiness", "Happy", "JOY", " joyful"),
    "Turkish capital": ("sevin\u00e7", "SEV\u0130N\u00c7"),
    "sharp s": ("spass", "spa\u00df", "SPASS"),
}


@pytest.mark.parametrize("case", SAME)
def test_texts_that_mean_one_thing_have_one_name(case):
    found = one_spelling(SAME[case])
    assert set(found.name_of.values()) == {SAME[case][0]}
    (note,) = found.notes
    assert note.startswith("spellings of one class are read as one: ")
    assert note.endswith(f" as '{SAME[case][0]}'")


@pytest.mark.parametrize("text", ["Happy", "u\u0308ber", "fear\u200b", "a  b", "JOY"])
def test_a_single_spelling_stays_as_it_is_written(text):
    assert one_spelling([text, text, "boredom"]).name_of == {text: text, "boredom": "boredom"}


def test_the_most_frequent_spelling_is_the_name_whatever_the_order():
    texts = ["happy", "happiness", "Happy", "Happy", "Joy"]
    for order in itertools.permutations(texts):
        assert set(one_spelling(order).name_of.values()) == {"Happy"}


def test_of_equally_frequent_ones_the_fields_name_or_lower_case_is_the_name():
    assert set(one_spelling(["Joy", "happiness", "Happy"]).name_of.values()) == {"happiness"}
    assert set(one_spelling(["Bored", "bored"]).name_of.values()) == {"bored"}
    assert set(one_spelling(["Happy", "JOY"]).name_of.values()) == {"Happy"}


def test_a_spelling_with_invisible_characters_is_no_name_where_there_is_another():
    assert set(one_spelling(["fear\u200b", "fear\u200b", "FEAR"]).name_of.values()) == {"FEAR"}


def test_notes_name_what_was_joined_with_invisible_characters_by_code_point():
    found = one_spelling(["fear", "Fear", "fear\u200b", "u\u0308", "\u00fc", "\u00fc", "calm"])
    assert found.notes == (
        "spellings of one class are read as one: 'Fear', 'fear<U+200B>' as 'fear', 'u<U+0308>' as '\u00fc'",
    )


def test_an_invisible_character_in_the_only_spelling_is_noted():
    assert one_spelling(["fear\ufeff"]).notes == ("class names with invisible characters: 'fear<U+FEFF>'",)


def test_empty_texts_are_no_names_and_no_note():
    found = one_spelling(["", " ", "\u200b", "fear"])
    assert (found.name_of, found.names, found.notes) == (
        {"": "", " ": "", "\u200b": "", "fear": "fear"},
        ("fear",),
        (),
    )


def test_names_that_look_alike_stay_apart_and_are_shown_by_code_point():
    found = one_spelling(["fear", "f\u0435ar", "calm"])
    assert found.names == ("calm", "fear", "f\u0435ar")
    assert found.notes == (
        "names that look alike and differ: 'fear' and 'f\u0435ar' "
        "(with U+0435 CYRILLIC SMALL LETTER IE) are 2 class names",
    )


@pytest.mark.parametrize("other", ["not_angry", "not-angry", "not\u2013angry", "notangry"])
def test_names_that_separate_words_in_another_way_stay_apart_and_are_noted(other):
    found = one_spelling(["not angry", other])
    assert set(found.names) == {"not angry", other}
    assert "'not angry'" in found.notes[0]
    assert f"'{other}'" in found.notes[0]


def test_a_name_that_only_looks_like_an_emotion_is_noted():
    (note,) = one_spelling(["\u0430nger"]).notes
    assert note.endswith("'\u0430nger' (with U+0430 CYRILLIC SMALL LETTER A) is not 'anger'")


@pytest.mark.parametrize("texts", [("boredom", "bored"), ("happy", "unhappy"), ("angst", "\u00e4ngst")])
def test_other_names_stay_apart_without_a_note(texts):
    found = one_spelling(texts)
    assert (set(found.names), found.notes) == (set(texts), ())


@given(st.lists(st.text(), max_size=6), st.randoms())
def test_the_order_of_a_list_never_matters_and_names_are_stable(texts, random):
    found = one_spelling(texts)
    turned = random.sample(texts, len(texts))
    assert one_spelling(turned) == found
    again = one_spelling([found.name_of[text] for text in texts])
    assert again.names == found.names
    assert all(meaning_of(text) == meaning_of(found.name_of[text]) for text in texts)


@given(st.text())
def test_every_spelling_of_a_text_has_its_meaning(text):
    assert meaning_of(meaning_of(text)) == meaning_of(text)
    assert meaning_of(f" {text}\u200b ") == meaning_of(text)


@pytest.mark.parametrize("name", ["Happy", "JOY", "contempt", "Helpless"])
def test_the_meaning_of_an_emotion_is_its_name(name):
    assert meaning_of(name) == class_of(name)


def test_folds_are_one_by_their_number():
    found = one_spelling(["1", "01", "2", "k1", "K1"], "fold", fold_meaning_of)
    assert found.name_of == {"1": "1", "01": "1", "2": "2", "k1": "k1", "K1": "k1"}
    assert found.notes == ("spellings of one fold are read as one: '01' as '1', 'K1' as 'k1'",)
    assert one_spelling(["01", "02"], "fold", fold_meaning_of).names == ("01", "02")
    assert one_spelling(["fold1", "Set_2"], "fold", fold_meaning_of).names == ("Set_2", "fold1")
    assert fold_meaning_of("9" * 5000 + ".0") == "9" * 5000
    assert fold_meaning_of("happy") == "happy"


@pytest.mark.parametrize("text", ["fold1", "Fold 1", "fold_1", "fold-01", "set_1", "split01", "SET.1"])
def test_a_word_for_folds_before_a_number_does_not_count(text):
    assert fold_meaning_of(text) == "1"
    found = one_spelling([text, "1", "1"], "fold", fold_meaning_of)
    assert found.names == ("1",)
    assert found.notes == (f"spellings of one fold are read as one: '{text}' as '1'",)


@pytest.mark.parametrize(
    "text", ["fold", "fold a", "fold1b", "1 fold", "k1", "fold 1 2", "fold 1.5", "unfold1"]
)
def test_other_names_of_folds_are_no_numbers(text):
    assert fold_meaning_of(text) == text


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.0", "1"), ("10.", "10"), ("1,00", "1"), ("1", "1"), ("1.5", "1.5"), ("v1.0", "v1.0"), ("", "")],
)
def test_a_whole_number_loses_its_empty_decimals(text, number):
    assert whole_number(text) == number


@pytest.mark.parametrize(
    "text", ["3", "-3", "+3", "3.0", "3,0", ".5", "1e3", "1E-3", "\u00b2", "\u0663", "\uff13", " 3\u200b"]
)
def test_numbers_are_no_class_names(text):
    assert "numbers mean other classes" in str(why_no_name(text))


@pytest.mark.parametrize("text", ["nan", "NaN", "None", "NULL", "N/A", "#N/A", "<NA>", "-", "?"])
def test_missing_values_are_no_class_names(text):
    assert "leave it empty" in str(why_no_name(text))


@pytest.mark.parametrize("text", ["true", "FALSE", "inf", "-Infinity"])
def test_values_of_programs_are_no_class_names(text):
    assert "a value of a program" in str(why_no_name(text))


@pytest.mark.parametrize("text", ["happy", "3D", "e3", "level 3", "not applicable", "\u559c", "\U0001f600"])
def test_names_may_be_of_any_language_and_hold_digits(text):
    assert why_no_name(text) is None


def test_a_shown_name_hides_nothing():
    assert shown("a\u00a0b\ufeff") == "'a<U+00A0>b<U+FEFF>'"
    assert shown("u\u0308 \u00e9") == "'u<U+0308> <U+00E9>'"
    assert shown("\u00fcber") == "'\u00fcber'"
