import re

from tests.small_predictions import CLASSES, RANDOM, prediction, window, windows
from tests.test_prediction_page import Parsed, policy
from trainer.prediction.folder_page import VideoRow, as_folder_page, video_row
from trainer.prediction.results import NOTICE, UNKNOWN


def page(rows, title="talks"):
    return Parsed("".join(as_folder_page(title, CLASSES, rows)))


def cells(parsed):
    return parsed.text("td", "th", "a")


def test_a_row_has_the_shares_of_everyone_by_time():
    answers = [
        window(0, "happiness", track="a"),
        window(0, "sadness", track="b", seconds=6.0),
        window(0, None, track="c"),
    ]
    row = video_row(prediction(answers, {"P1": ["a"], "P2": ["b"], UNKNOWN: ["c"]}), "a/index.html")
    assert row.shares == (0.25, 0.75, 0.0)
    assert (row.num_people, row.length, row.answered) == (2, "0:10.0", 8.0)
    assert row.people == "P1 2.0, P2 6.0, unknown 0.5"
    shown = cells(page([row]))
    assert shown[-7:] == ["a.mp4", "0:10.0", "2", "25%", "75%", "0%", "P1 2.0, P2 6.0, unknown 0.5"]


def test_failures_and_videos_without_answers_are_rows():
    nothing = video_row(prediction([], {}), None)
    parsed = page([VideoRow(name="b.mp4", failure="decode: no video stream"), nothing])
    assert parsed.text("h1") == ["talks: 2 videos, 1 failed"]
    assert cells(parsed)[-6:] == [
        "b.mp4",
        "failed: decode: no video stream",
        "a.mp4",
        "0:10.0",
        "0",
        "no answer",
    ]
    assert parsed.all("a") == []


def test_a_stopped_video_shows_how_far_it_came():
    assert video_row(prediction(windows("h"), done_seconds=4.5), None).length == "0:04.5 of 0:10.0"
    row = video_row(prediction(windows("h", has_times=False), seconds=None), None)
    assert row.length == "250 frames"


def test_the_page_has_the_notice_each_banner_once_and_no_script():
    rows = [video_row(prediction(windows("h"), banners=(RANDOM,)), "a/index.html")] * 2
    parsed = page(rows)
    assert parsed.text("li") == [f"!! {RANDOM}", NOTICE]
    assert policy(parsed)["script-src"] == "'none'"
    assert parsed.all("script") == []
    assert [one["href"] for one in parsed.all("a")] == ["./a/index.html"] * 2


def test_hostile_names_are_texts():
    name = "<script>x</script>\"'&\n.mp4"
    row = VideoRow(name=name, link=f"{name}/index.html", failure=name, banners=(name,))
    text = "".join(as_folder_page(name, CLASSES, [row]))
    parsed = Parsed(text)
    assert "<script" not in text
    assert parsed.text("a") == ["<script>x</script>\"'&\ufffd.mp4"]
    assert re.fullmatch(r"\./%3Cscript[\w%.&/-]+", parsed.all("a")[0]["href"])
