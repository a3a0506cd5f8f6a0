"""timeline.eaf: valid by the rules of EAF 3.0 that its schema has, with the runs of the timelines."""

from xml.etree import ElementTree as ET

import pytest

from pipeline.errors import ConfigError
from tests.small_predictions import RANDOM, prediction, window, windows
from trainer.prediction.elan import as_eaf
from trainer.prediction.label_runs import timelines
from trainer.prediction.results import NOTICE, UNKNOWN

ORDER = ["HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "CONSTRAINT"]


def tiers(text: str) -> dict[str, list[tuple[int, int, str]]]:
    """Annotations of every tier, after checking the references and the order of a document."""
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT ')
    root = ET.fromstring(text)
    assert (root.tag, root.get("FORMAT"), root.get("VERSION")) == ("ANNOTATION_DOCUMENT", "3.0", "3.0")
    assert root.get("AUTHOR")
    assert root.get("DATE")
    places = [ORDER.index(child.tag) for child in root]
    assert places == sorted(places)
    slots = {one.get("TIME_SLOT_ID"): int(one.get("TIME_VALUE")) for one in root.find("TIME_ORDER")}
    assert list(slots.values()) == sorted(set(slots.values()))
    types = {one.get("LINGUISTIC_TYPE_ID"): one for one in root.iter("LINGUISTIC_TYPE")}
    stereotypes = {one.get("STEREOTYPE") for one in root.iter("CONSTRAINT")}
    ids = [one.get("ANNOTATION_ID") for one in root.iter() if one.get("ANNOTATION_ID")]
    assert len(ids) == len(set(ids))
    used = int(next(one.text for one in root.iter("PROPERTY") if one.get("NAME") == "lastUsedAnnotationId"))
    assert max([int(one.removeprefix("a")) for one in ids], default=0) <= used
    times: dict[str, tuple[int, int]] = {}
    found: dict[str, list[tuple[int, int, str]]] = {}
    for tier in root.iter("TIER"):
        assert tier.get("TIER_ID") not in found
        kind = types[tier.get("LINGUISTIC_TYPE_REF")]
        assert (tier.get("PARENT_REF") is None) == (kind.get("CONSTRAINTS") is None)
        assert kind.get("CONSTRAINTS") in {None, *stereotypes}
        assert tier.get("PARENT_REF") in {None, *found}
        own = []
        for annotation in tier:
            (one,) = annotation
            if kind.get("TIME_ALIGNABLE") == "true":
                assert one.tag == "ALIGNABLE_ANNOTATION"
                times[one.get("ANNOTATION_ID")] = (
                    slots[one.get("TIME_SLOT_REF1")],
                    slots[one.get("TIME_SLOT_REF2")],
                )
            else:
                assert one.tag == "REF_ANNOTATION"
            start, end = times[one.get("ANNOTATION_REF") or one.get("ANNOTATION_ID")]
            own.append((start, end, one.find("ANNOTATION_VALUE").text))
        assert all(start < end for start, end, _ in own)
        assert all(one[1] <= other[0] for one, other in zip(own, own[1:], strict=False))
        found[tier.get("TIER_ID")] = own
    return found


def test_a_person_has_a_tier_of_runs_and_one_of_probabilities():
    text = as_eaf(prediction(windows("hhs-h")), "a.mp4")
    assert tiers(text) == {
        "P1": [(0, 1750, "happiness"), (1750, 2250, "sadness"), (2750, 4000, "happiness")],
        "P1 probability": [(0, 1750, "0.80"), (1750, 2250, "0.80"), (2750, 4000, "0.80")],
    }


def test_every_run_with_an_answer_is_there_for_people_and_unknown_tracks():
    answers = [
        *windows("hs-n"),
        *windows("snn", track="b"),
        *windows("h", track="c"),
        *windows("s", track="d"),
    ]
    made = prediction(answers, {"P1": ["s00p1"], "Ännä": ["b"], UNKNOWN: ["c", "d"], "nobody": []})
    found = tiers(as_eaf(made, None))
    assert list(found)[::2] == ["P1", "Ännä", "unknown", "unknown (2)", "nobody"]
    for line in timelines(made):
        expected = [(run.start, run.end, run.answer) for run in line.runs if run.answer]
        assert [(start / 1000, end / 1000, text) for start, end, text in found[line.name]] == expected


def test_the_video_is_linked_relatively_and_the_header_has_the_notice():
    header = ET.fromstring(as_eaf(prediction([], banners=(RANDOM,)), "../my videos/a.mp4")).find("HEADER")
    assert header.get("TIME_UNITS") == "milliseconds"
    media = header.find("MEDIA_DESCRIPTOR")
    assert media.get("RELATIVE_MEDIA_URL") == media.get("MEDIA_URL") == "../my videos/a.mp4"
    assert media.get("MIME_TYPE") == "video/mp4"
    texts = {one.get("NAME"): one.text for one in header.iter("PROPERTY")}
    assert (texts["notice"], texts["banner 1"], texts["video"]) == (NOTICE, RANDOM, "a.mp4")
    link = ET.fromstring(as_eaf(prediction([]), "a.avi")).find("HEADER/MEDIA_DESCRIPTOR")
    assert (link.get("RELATIVE_MEDIA_URL"), link.get("MIME_TYPE")) == ("./a.avi", "video/*")
    assert ET.fromstring(as_eaf(prediction([]), None)).find("HEADER/MEDIA_DESCRIPTOR") is None


def test_names_never_break_the_document_and_tiers_have_different_names():
    names = ["P1", "P1 probability", "<x a='\"&>", "a\x00\x1b\ud800\ufffe\nb"]
    answers = [window(0, "happiness", track=f"t{number}") for number in range(4)]
    made = prediction(answers, {name: [f"t{number}"] for number, name in enumerate(names)}, name="\x08.mp4")
    found = tiers(as_eaf(made, "\x01.mp4"))
    assert list(found)[:4] == ["P1", "P1 probability", "P1 probability (2)", "P1 probability probability"]
    assert list(found)[4::2] == ["<x a='\"&>", "a?????b"]


def test_runs_below_a_millisecond_and_equal_ends_make_no_empty_annotation():
    made = prediction(
        [window(0, "happiness"), window(0.0006, "sadness"), window(0.0012, "neutral")], stride=0.0006
    )
    assert all(start < end for start, end, _ in tiers(as_eaf(made, None))["P1"])


def test_equal_predictions_are_equal_files():
    assert as_eaf(prediction(windows("hs")), "a.mp4") == as_eaf(prediction(windows("hs")), "a.mp4")


def test_a_video_without_times_is_rejected():
    with pytest.raises(ConfigError, match=r"^'a.mp4' has no times, which ELAN needs; give --rate\.$"):
        as_eaf(prediction(windows("h", has_times=False), seconds=None), None)
