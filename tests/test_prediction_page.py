"""index.html of a video: its structure, its policy, its texts; its script as far as it needs no document."""

import html.parser
import json
import re
import shutil
import subprocess
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline.display.text import lines
from pipeline.errors import ConfigError
from tests.small_predictions import CLASSES, RANDOM, answer_of, prediction, window, windows
from trainer.prediction.documents import prediction_values
from trainer.prediction.inputs import Input
from trainer.prediction.outcomes import PredictReport, outcome_of
from trainer.prediction.page import MAX_EMBEDDED_BYTES, as_page
from trainer.prediction.page_script import FUNCTIONS
from trainer.prediction.person_section import Explanation, PageExtras, address_of
from trainer.prediction.results import NOTICE, UNKNOWN

VOID = {"meta", "img", "link", "br", "input"}
NODE = shutil.which("node")


class Parsed(html.parser.HTMLParser):
    """Elements in order, after checking that every one is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        assert len(attrs) == len(dict(attrs))
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append((self._open[-1] if self._open else "", data))

    def all(self, tag, name=None):
        found = [attributes for one, attributes in self.elements if one == tag]
        return found if name is None else [one for one in found if one.get("class") == name]

    def text(self, *tags):
        return [text for tag, text in self.texts if tag in tags and text.strip()]


def parsed(made, extras=None):
    return Parsed("".join(as_page(made, extras)))


def policy(page):
    (content,) = [
        one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"
    ]
    return dict(part.strip().split(" ", 1) for part in content.split(";"))


def data(page):
    return json.loads(page.all("body")[0]["data-timeline"])


def two_people():
    answers = [
        *windows("hhs-n", polarity={"negative": 0.2, "neutral": 0.3, "positive": 0.5}),
        *windows("nn", track="b", face_run=answer_of("sadness")),
    ]
    return prediction(answers, {"P1": ["s00p1"], "P2": ["b"]}, cuts=[6.0], banners=(RANDOM,))


def test_the_policy_allows_the_only_script_and_nothing_from_elsewhere():
    text = "".join(as_page(two_people(), PageExtras(video="a.mp4")))
    rules = policy(Parsed(text))
    ((script,),) = [re.findall(r"<script>(.*?)</script>", text, re.DOTALL)]
    assert rules["script-src"] == f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
    assert (rules["default-src"], rules["media-src"], rules["img-src"]) == (
        "'none'",
        "'self' data:",
    ) * 1 + ("'self' data:",)
    assert text.count("<script") == 1
    page = Parsed(text)
    assert {tag for tag, _ in page.elements}.isdisjoint({"link", "iframe", "object", "embed", "form", "base"})
    assert not [one for _, one in page.elements if any(name.startswith("on") for name in one)]
    addresses = [one[key] for _, one in page.elements for key in ("src", "href") if key in one]
    assert addresses == ["./a.mp4"]
    fills = re.findall(r"url\((.*?)\)", text)
    assert fills
    assert all(one.startswith("#") for one in fills)
    assert "@import" not in text


def test_banners_and_notice_come_first():
    page = parsed(two_people())
    banner = page.all("details")[0]
    assert banner["class"] == "banner alarm"
    assert page.text("summary")[0] == f"!! {RANDOM} | {NOTICE}"
    assert page.text("li") == [f"!! {RANDOM}", NOTICE]
    assert parsed(prediction([])).all("details")[0]["class"] == "banner"


def test_a_person_has_charts_a_slider_and_a_table_with_the_classes_as_text():
    page = parsed(two_people())
    assert page.text("h1") == ["a.mp4: 2 people"]
    sliders = [one for one in page.all("div") if one.get("role") == "slider"]
    assert [one["aria-label"] for one in sliders] == ["Time, P1", "Time, P2"]
    assert {one["aria-valuemax"] for one in sliders} == {"10.0"}
    assert len(page.all("svg", "area")) == 3, "P2 has a second row for the face-only run"
    assert len(page.all("svg", "polarity")) == 1
    assert [text for text in page.text("b") if "run" in text] == ["face-only run"]
    assert [text for text in page.text("th") if text in CLASSES] == [*CLASSES, *CLASSES]
    assert page.text("title")[1:] == ["no answer: the face was found on 4 of 16 frames"]
    assert "no answer: the face was found on 4 of 16 frames" in page.text("th")
    assert len(page.all("path", "cut")) == 3
    assert len(page.all("div", "cursor")) == len(page.all("p", "now")) == 2
    polarities = {f"url(#polarity-{name})" for name in ("negative", "neutral", "positive")}
    filled = {one["fill"] for one in page.all("path") if "fill" in one}
    assert {"url(#class-0)", "url(#class-1)", "url(#class-2)", *polarities} == filled
    assert {one["id"] for one in page.all("pattern")} >= {one[5:-1] for one in filled}


def test_the_script_reads_the_windows_of_every_chart():
    values = data(parsed(two_people()))
    assert (values["unit"], values["end"], values["classes"]) == ("seconds", 10.0, list(CLASSES))
    first, second = values["people"]
    assert first["middles"] == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert (first["starts"], first["ends"]) == ([0.0, 1.25, 1.75, 2.25, 2.75], [1.25, 1.75, 2.25, 2.75, 4.0])
    assert (first["answers"], first["percents"][0], first["faces"]) == ([0, 0, 1, -1, 2], 80, [])
    assert second["faces"] == [1, 1]


def test_hostile_names_are_texts_and_never_markup():
    name = "</script><img src=x onerror=alert(1)>\"'\n\u202e&.mp4"
    made = prediction(
        [window(0, "happiness", reason=None), window(0.5, None, reason=name)],
        {name: ["s00p1"]},
        name=name,
        banners=(name,),
        run=name,
    )
    extras = PageExtras(
        video=name, thumbnails={name: b"x"}, explanations={0: Explanation(image=name, sentence=name)}
    )
    text = "".join(as_page(made, extras))
    page = Parsed(text)
    shown = "</script><img src=x onerror=alert(1)>\"'\ufffd\ufffd&.mp4"
    assert page.text("h1") == [f"{shown}: 1 person"]
    assert [one["alt"] for one in page.all("img", "face")] == [f"Face of {shown}"]
    assert len(page.all("img")) == 2
    assert page.all("video")[0]["src"].startswith("./%3C/script%3E%3Cimg%20src")
    assert text.count("</script>") == 1
    assert not re.search(r"[^\x20-\x7e\n\ufffd]", re.sub(r"[\u2039\u203a\u25bc]", "", text))


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("a b.mp4", "./a%20b.mp4"),
        ("../x/ä?#.mp4", "../x/%C3%A4%3F%23.mp4"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("//host/a.mp4", ".///host/a.mp4"),
        ("\udcff.mp4", "./%FF.mp4"),
    ],
)
def test_an_address_stays_below_the_page_or_its_parents(path, address):
    assert address_of(path) == address


def test_a_video_is_put_inside_up_to_a_limit():
    page = parsed(two_people(), PageExtras(video="a.webm", embedded=b"video"))
    source = page.all("video")[0]["src"]
    assert source == f"data:video/webm;base64,{b64encode(b'video').decode()}"
    large = PageExtras(video="a.mp4", embedded=bytes(MAX_EMBEDDED_BYTES + 1))
    with pytest.raises(ConfigError, match=r"20,971,521 bytes; a page embeds at most 20,971,520\. Leave out"):
        "".join(as_page(two_people(), large))


def test_thumbnails_and_explanations_are_in_the_section_of_their_person():
    extras = PageExtras(
        video="a.mp4",
        thumbnails={"P2": b"jpeg"},
        explanations={
            1: Explanation(image=b"png", sentence="Which frames: 3."),
            6: Explanation(image="explain/b.png", sentence="Other."),
        },
    )
    page = parsed(two_people(), extras)
    sources = [one["src"] for one in page.all("img")]
    assert b64decode(sources[1].removeprefix("data:image/jpeg;base64,")) == b"jpeg"
    assert b64decode(sources[0].removeprefix("data:image/png;base64,")) == b"png"
    assert sources[2] == "./explain/b.png"
    assert "Which frames: 3." in page.text("p")
    links = page.all("a")
    marks = [one for one in links if "data-time" in one]
    assert [one["href"] for one in links if "data-time" not in one] == ["./explain/b.png"]
    assert "Open the image in full size" in page.text("span")
    assert [(one["href"], one["data-time"]) for one in marks] == [
        ("#explanation-1", "1.500"),
        ("#explanation-6", "1.500"),
    ]
    assert {one["href"][1:] for one in marks} <= {one.get("id") for one in page.all("details")}


def test_a_video_without_times_has_frames_and_no_player():
    made = prediction(windows("hs", has_times=False), seconds=None)
    page = parsed(made, PageExtras(video="a.mp4"))
    assert page.all("video") == []
    values = data(page)
    assert (values["unit"], values["end"], values["people"][0]["middles"]) == ("frames", 250.0, [25.0, 37.0])
    assert "frame 250" in page.text("span")


def test_a_page_without_people_says_so_and_a_stopped_one_how_far_it_came():
    assert "No face was followed in this video." in parsed(prediction([], {})).text("p")
    assert "Stopped: first 0:04.5 of 0:10.0." in parsed(prediction(windows("h"), done_seconds=4.5)).text("p")


def test_faces_that_are_not_followed_are_counted():
    made = prediction(windows("hhs"), num_unfollowed=2)
    notes = [text for text in parsed(made).text("p") if "sampled frames" in text]
    assert notes == ["Without windows, because followed on too few sampled frames: 2 faces."]
    assert prediction_values(made)["num_unfollowed"] == 2
    outcome = outcome_of(Input(path=Path("a.mp4"), name="a"), Path("out"), made, 1.0, notes=(), skipped=())
    report = PredictReport(videos=(outcome,), banners=(), page=None)
    assert "  without windows, because followed on too few sampled frames: 2 faces" in lines(report)


def test_unknown_tracks_have_sections_without_a_face():
    answers = [window(0, "happiness", track="a"), window(0, "sadness", track="b")]
    page = parsed(prediction(answers, {UNKNOWN: ["a", "b"]}), PageExtras(thumbnails={UNKNOWN: b"x"}))
    assert [text for text in page.text("span") if "unknown" in text] == ["unknown", "unknown (2)"]
    assert page.all("img") == []
    assert page.text("h1") == ["a.mp4: 0 people and unknown tracks"]


def call(body: str):
    """The value of a JavaScript expression with the functions of the script."""
    assert NODE is not None
    program = f"{FUNCTIONS}\nconsole.log(JSON.stringify({body}))"
    done = subprocess.run([NODE, "-e", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


needs_node = pytest.mark.skipif(NODE is None, reason="needs node")
PERSON = (
    '{"starts":[0,1,3],"ends":[1,2,4],"middles":[0.5,1.5,3.5],"answers":[0,-1,1],"percents":[81,0,55],'
    '"faces":%s}'
)


@needs_node
def test_arrow_keys_go_to_the_middles_of_neighbouring_windows():
    steps = [(0.0, 1), (0.5, 1), (0.4995, 1), (3.5, 1), (3.5, -1), (1.5005, -1), (2.0, -1), (0.5, -1)]
    calls = ",".join(f"neighbour([0.5,1.5,3.5],{time},{step})" for time, step in steps)
    assert call(f"[{calls}]") == [0.5, 1.5, 1.5, None, 1.5, 0.5, 1.5, None]
    assert call("[neighbour([],1,1),neighbour([],1,-1)]") == [None, None]


@needs_node
def test_the_sentence_names_the_answer_at_a_time():
    person = PERSON % "[]"
    page = '{"unit":"seconds","classes":["happiness","sadness"],"probability":"probability in the window"}'
    calls = ",".join(f"sentence({page},{person},{time})" for time in (0.99, 1, 2, 3.25, 9))
    assert call(f"[{calls}]") == [
        "0:01.0: happiness, probability in the window 81%",
        "0:01.0: no answer",
        "0:02.0: no window here",
        "0:03.3: sadness, probability in the window 55%",
        "0:09.0: no window here",
    ]
    person = PERSON % "[1,-1,-1]"
    assert (
        call(f"sentence({page},{person},0)")
        == "0:00.0: happiness, probability in the window 81%; face-only run: sadness"
    )


@needs_node
def test_the_address_names_a_time_within_the_video():
    asked = ["?t=12.5", "?t=99", "?t=-1", "?t=", "", "?t=x", "?t=NaN", "?t=Infinity", "?a=1&t=3"]
    calls = ",".join(f"timeOf({json.dumps(one)},20)" for one in asked)
    assert call(f"[{calls}]") == [12.5, 20, 0, None, None, None, None, None, 3]


@needs_node
def test_times_are_shown_as_a_player_does():
    calls = ",".join(f'clock({one},"seconds")' for one in (0, 59.96, 61.25, 3599.99, 3723.4))
    assert call(f"[{calls}]") == ["0:00.0", "1:00.0", "1:01.3", "1:00:00.0", "1:02:03.4"]
    assert call('clock(12.4,"frames")') == "frame 12"
