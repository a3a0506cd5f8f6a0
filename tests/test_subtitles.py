import re

import pytest

from pipeline.errors import ConfigError
from tests.small_predictions import RANDOM, prediction, window, windows
from trainer.prediction.results import NOTICE
from trainer.prediction.subtitles import as_srt, as_vtt, cues

TIME = r"(\d\d):([0-5]\d):([0-5]\d){point}(\d\d\d)"


def parsed(text: str, point: str) -> list[tuple[int, int, str]]:
    """Cues of blocks that are separated by empty lines; the first line of SubRip's is a number."""
    time = TIME.format(point=re.escape(point))
    found = []
    for block in text.strip().split("\n\n"):
        lines = block.split("\n")
        if point == ",":
            assert lines.pop(0) == str(len(found) + 1)
        match = re.fullmatch(f"{time} --> {time}", lines[0])
        assert match, block
        numbers = [int(part) for part in match.groups()]
        start, end = (
            ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest
            for hours, minutes, seconds, rest in (numbers[:4], numbers[4:])
        )
        found.append((start, end, "\n".join(lines[1:])))
    return found


def test_a_run_is_a_cue_of_a_second_or_more():
    found = cues(prediction(windows("hhhhs-n")))
    assert [(cue.start_ms, cue.end_ms, cue.text) for cue in found] == [
        (0, 2750, "P1: happiness, mean p=80%"),
        (2750, 3750, "P1: sadness, mean p=80%"),
        (3750, 5000, "P1: neutral, mean p=80%"),
    ]


def test_a_short_run_at_the_end_of_the_video_begins_earlier():
    made = prediction([window(0, "happiness", seconds=9.6), window(9.6, "sadness", seconds=0.4)])
    assert [(cue.start_ms, cue.end_ms) for cue in cues(made)] == [(0, 9550), (9000, 10000)]
    short = prediction([window(0, "happiness", seconds=0.4)], seconds=0.4)
    assert [(cue.start_ms, cue.end_ms) for cue in cues(short)] == [(0, 400)], "the video is shorter"


def test_cues_of_two_people_are_in_order_of_time():
    answers = [*windows("hs"), *windows("n", track="b", start=0.2)]
    found = cues(prediction(answers, {"P1": ["s00p1"], "P2": ["b"]}))
    assert [cue.text.split(":")[0] for cue in found] == ["P1", "P2", "P1"]


def test_srt_begins_with_the_notice():
    text = "".join(as_srt(prediction(windows("hs", start=3725), seconds=4000, banners=(RANDOM,))))
    assert parsed(text, ",") == [
        (0, 2000, f"{RANDOM}\n{NOTICE}"),
        (3725000, 3726250, "P1: happiness, mean p=80%"),
        (3726250, 3727500, "P1: sadness, mean p=80%"),
    ]
    assert "\n2\n01:02:05,000 --> 01:02:06,250\n" in text


def test_vtt_has_the_notice_as_a_comment():
    text = "".join(as_vtt(prediction(windows("hs"), banners=(RANDOM,))))
    head, banner, notice, rest = text.split("\n\n", 3)
    assert (head, banner, notice) == ("WEBVTT", f"NOTE\n{RANDOM}", f"NOTE\n{NOTICE}")
    assert parsed(rest, ".") == [
        (0, 1250, "P1: happiness, mean p=80%"),
        (1250, 2500, "P1: sadness, mean p=80%"),
    ]


@pytest.mark.parametrize("name", ["<b>x</b>", "a --> b", "a\n\nNOTE b", "{\\an8}x & y", "00:00:01.000 --> 9"])
def test_names_are_no_markup(name):
    made = prediction(windows("hs"), {name: ["s00p1"]}, banners=(f"b --> {name}",))
    vtt = "".join(as_vtt(made))
    assert vtt.count("-->") == 2
    shown = vtt.split("\n\n", 3)[3]
    assert len(parsed(shown, ".")) == 2
    assert "<" not in shown
    text = "".join(as_srt(made))
    assert len(parsed(text, ",")) == 3
    assert not set("<{") & set(text)


def test_a_video_without_times_is_rejected():
    made = prediction(windows("h", has_times=False), seconds=None)
    with pytest.raises(ConfigError, match=r"^'a.mp4' has no times, which subtitles need; give --rate\.$"):
        list(as_srt(made))
    with pytest.raises(ConfigError, match="which subtitles need"):
        list(as_vtt(made))
