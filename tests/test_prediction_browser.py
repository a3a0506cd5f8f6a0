"""The page of a prediction in a real browser: video, charts, keys and address follow each other.

The browser loads a page of this test, which has the prediction's page in a frame, acts in it, waits for the
video's own events, and posts the result. No virtual time is used, because it skips `seeked`.
"""

import json
import shutil
import subprocess
import threading
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import av
import numpy as np
import pytest

from tests.small_predictions import RANDOM, answer_of, prediction, window, windows
from trainer.prediction.folder_page import VideoRow, as_folder_page
from trainer.prediction.page import as_page
from trainer.prediction.person_section import Explanation, PageExtras

pytestmark = pytest.mark.browser

SECONDS, RATE = 4, 10
WAIT_SECONDS = 90
PNG = (Path(__file__).parents[1] / "docs" / "images" / "demo.png").read_bytes()

OUTER = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe src="/page.html%s" style="width:%dpx;height:%dpx;border:0"></iframe><script>
const frame = document.querySelector("iframe");
const pause = milliseconds => new Promise(done => setTimeout(done, milliseconds));
async function until(holds) { for (let n = 0; n < 400 && !holds(); n++) await pause(50); return holds(); }
addEventListener("load", async () => {
  let result;
  try {
    const page = frame.contentWindow, at = page.document, video = at.querySelector("video");
    const still = time => until(() => !video.seeking && Math.abs(video.currentTime - time) < 0.05);
    const lefts = () => [...at.querySelectorAll(".cursor")].map(one => parseFloat(one.style.left));
    const state = () => ({ time: video.currentTime, lefts: lefts(), search: page.location.search,
      nows: [...at.querySelectorAll(".now")].map(one => one.textContent) });
    const click = (chart, share) => {
      const box = at.querySelectorAll(".chart")[chart].getBoundingClientRect();
      at.querySelectorAll(".chart")[chart].dispatchEvent(new page.MouseEvent("click",
        { bubbles: true, clientX: box.left + share * box.width, clientY: box.top + 5 }));
    };
    const press = key => at.body.dispatchEvent(new page.KeyboardEvent("keydown", { key, bubbles: true }));
    %s
  } catch (error) { result = { error: String(error) }; }
  await fetch("/result", { method: "POST", body: JSON.stringify(result) });
});</script>"""

FOLLOW = """
await until(() => video.readyState > 0);
result = { opened: await still(1.5) && state() };
click(0, 0.5);
result.clicked = await still(2) && state();
press("ArrowRight");
result.right = await still(2.5) && state();
press("ArrowLeft");
result.left = await still(2) && state();
video.currentTime = 3.2;
result.moved = await still(3.2) && state();
at.querySelector(".marks a").click();
result.mark = await still(1) && at.querySelector("[id^=explanation]").open;
"""

MEASURE = """
at.querySelectorAll("main details").forEach(one => { one.open = true; one.scrollIntoView(); });
await until(() => [...at.images].every(one => one.complete && one.naturalWidth > 0));
const inner = ".wide,.strip,.hidden,.chart,.ticks";
const wide = [...at.querySelectorAll("body *")].filter(one => !one.closest(inner)
  && one.getBoundingClientRect().right > page.innerWidth + 1).map(one => one.tagName + "." + one.className);
const banner = at.querySelector(".banner"), closed = banner.getBoundingClientRect().height;
banner.open = true;
const opened = banner.getBoundingClientRect().height;
banner.open = false;
page.scrollTo(0, 1e6);
await pause(200);
result = { width: page.innerWidth, page: at.documentElement.scrollWidth, wide, closed, opened,
  top: banner.getBoundingClientRect().top, scrolled: page.scrollY,
  images: [...at.images].map(one => one.complete && one.naturalWidth > 0) };
"""


COVERED = """
await until(() => video.readyState > 0);
page.scrollTo(0, 1e6);
await pause(200);
const covered = Math.max(0, at.querySelector(".top").getBoundingClientRect().bottom);
result = { scrolled: page.scrollY, covered };
"""


@pytest.fixture(scope="module")
def chromium():
    names = ("chromium", "chromium-browser", "google-chrome")
    found = [path for name in names if (path := shutil.which(name))]
    if not found:
        pytest.skip("needs Chromium")
    return found[0]


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> bytes:
    """A grey video that browsers play, which becomes brighter, with a key frame every second."""
    path = tmp_path_factory.mktemp("video") / "a.webm"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libvpx", rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", RATE
        for number in range(SECONDS * RATE):
            image = np.full((48, 64, 3), 5 * number, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
    return path.read_bytes()


@contextmanager
def serve(files: dict[str, str]):
    """Yield the address of a server of these pages, and a function that waits for the result."""
    results: Queue[Any] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path.split("?")[0])
            self.send_response(404 if content is None else 200)
            body = (content or "").encode()
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            results.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", lambda: results.get(timeout=WAIT_SECONDS)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def browse(
    chromium: str,
    folder: Path,
    page: str,
    script: str,
    *,
    width: int = 800,
    height: int = 800,
    query: str = "",
) -> Any:
    """The result of a script that acts in a page."""
    files = {"/outer.html": OUTER % (query, width, height, script), "/page.html": page}
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1400,900"]
    flags += [f"--user-data-dir={folder / 'profile'}", "--remote-debugging-port=0", "--mute-audio"]
    wait: Callable[[], Any]
    with serve(files) as (address, wait), (folder / "log").open("w") as log:
        command = [chromium, *flags, f"{address}/outer.html"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            return wait()
        except Empty:
            pytest.fail(f"the browser posted nothing: {(folder / 'log').read_text()[-2000:]}")
        finally:
            process.kill()
            process.wait()


def page(video: bytes | None, name: str = "P1") -> str:
    answers = [
        *windows("hhsnh"),
        *windows("nnn", track="b", start=0.2, face_run=answer_of("sadness")),
        window(2.0, None, track="b"),
    ]
    made = prediction(
        answers, {name: ["s00p1"], "P2": ["b"]}, seconds=float(SECONDS), cuts=[3.0], banners=(RANDOM * 3,)
    )
    extras = PageExtras(
        video="a.webm",
        embedded=video,
        thumbnails={name: PNG},
        explanations={0: Explanation(image=PNG, sentence="Which frames: 3.")},
    )
    return "".join(as_page(made, extras))


def test_video_charts_keys_and_address_follow_each_other(chromium, video, tmp_path):
    seen = browse(chromium, tmp_path, page(video), FOLLOW, query="?t=1.5")
    assert "error" not in seen, seen
    assert seen["opened"]["lefts"] == pytest.approx([37.5, 37.5], abs=1)
    assert seen["opened"]["nows"][0] == "0:01.5: happiness, probability in the window 80%"
    for step, time in {"clicked": 2.0, "right": 2.5, "left": 2.0, "moved": 3.2}.items():
        assert seen[step], step
        assert seen[step]["time"] == pytest.approx(time, abs=0.05)
        assert seen[step]["lefts"] == pytest.approx([25 * time] * 2, abs=1)
    assert seen["clicked"]["nows"][0].endswith("sadness, probability in the window 80%")
    assert seen["moved"]["search"] == "?t=3.2"
    assert seen["mark"] is True


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_is_wider_than_the_window_and_the_banner_stays(chromium, video, width, tmp_path):
    seen = browse(chromium, tmp_path, page(video, "a name of many words " * 9), MEASURE, width=width)
    assert (seen["width"], seen["page"], seen["wide"]) == (width, width, [])
    assert seen["scrolled"] > 100
    assert seen["top"] == pytest.approx(0, abs=1), "sticky"
    assert seen["opened"] > 1.5 * seen["closed"]
    if width == 360:
        assert seen["closed"] < 40, "one line"
    assert all(seen["images"])


@pytest.mark.parametrize(("width", "height"), [(360, 640), (1200, 600), (1200, 800), (740, 360)])
def test_most_of_a_low_window_is_free_of_video_and_banner(chromium, video, width, height, tmp_path):
    seen = browse(chromium, tmp_path, page(video), COVERED, width=width, height=height)
    assert "error" not in seen, seen
    assert seen["scrolled"] > 100
    assert seen["covered"] < 0.45 * height


@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_of_a_folder_scrolls_only_its_table(chromium, width, tmp_path):
    rows = [VideoRow(name="long name " * 30, link="a/index.html", shares=(0.5, 0.3, 0.2), people="P1 3.0")]
    rows += [VideoRow(name="b.mp4", failure="decode: no video stream " * 9)]
    text = "".join(as_folder_page("talks", ("happiness", "sadness", "neutral"), [*rows * 30]))
    seen = browse(chromium, tmp_path, text, MEASURE, width=width)
    assert (seen["width"], seen["page"], seen["wide"]) == (width, width, [])
    assert seen["top"] == pytest.approx(0, abs=1)
