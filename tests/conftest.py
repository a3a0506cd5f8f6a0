"""What every test shares: where the real material lies, and what a missing GPU means."""

import os
import signal
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import settings
from PIL import Image

from tests.object_store import bucket, s3_endpoint
from tests.real_runs import run_clips, undisturbed_chunks

__all__ = ["bucket", "run_clips", "s3_endpoint", "undisturbed_chunks"]

TEST_DATA = "OUS_TEST_DATA"
VISIBLE = "CUDA_VISIBLE_DEVICES"
_VISIBLE_BEFORE = os.environ.get(VISIBLE)
LONGEST = (
    "cluster", "faults", "tutorial_dfew", "tutorial_demo", "tutorial_own_clips", "gpu_benchmark", "bench",
    "runner", "scenarios_identity", "report", "report_scene", "ablate", "golden_losses", "faces",
    "training_clips", "cluster_executor", "object_storage", "full_disk", "hostile_caches", "synthetic",
    "shutdown", "hostile_videos", "hostile_pictures",
)  # fmt: skip
"""Test files that take longest. They start first, so that no core waits for one of them at the end.

A process of pytest-xdist that only assigns tests imports this file too: it imports neither torch nor models.
"""


@cache
def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-gpu",
        action="store_true",
        help="fail tests marked gpu, not skip them, without a CUDA device",
    )


def pytest_configure() -> None:
    settings.register_profile("ous", derandomize=True, deadline=None, max_examples=50, database=None)
    settings.load_profile("ous")
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in jobs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # processes side by side: none waits on a core


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {f"test_{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is None or _has_cuda():
        return
    if item.config.getoption("--require-gpu"):
        pytest.fail("--require-gpu was given, and torch finds no CUDA device", pytrace=False)
    pytest.skip("needs a CUDA device; --require-gpu makes this a failure")


@pytest.fixture(scope="session", autouse=True)
def on_the_cpu() -> Iterator[None]:
    """Where there is a GPU, tests not marked gpu and the processes they start do without it all the same."""
    import torch

    _has_cuda()  # before it is hidden
    torch.set_num_threads(max(1, 2 // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setenv(VISIBLE, "")
        yield


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from, or written to, the state directory of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def on_the_gpu(request: pytest.FixtureRequest, on_the_cpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests marked gpu see what there is."""
    if request.node.get_closest_marker("gpu") is None:
        return
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", _has_cuda)
    if _VISIBLE_BEFORE is None:
        monkeypatch.delenv(VISIBLE)
    else:
        monkeypatch.setenv(VISIBLE, _VISIBLE_BEFORE)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real videos, pictures and detector weights, named by $OUS_TEST_DATA."""
    named = os.environ.get(TEST_DATA, "")
    if not named:
        pytest.skip(f"${TEST_DATA} is not set: it names the folder of test videos, pictures and weights")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"${TEST_DATA} is '{named}', which is no folder; mend or unset it", pytrace=False)
    return folder.resolve()


def _one_pixel(_: object, image: BinaryIO, **_texts: object) -> None:
    Image.new("RGB", (1, 1)).save(image, format="PNG")


@pytest.fixture(scope="module", autouse=True)
def no_drawing() -> Iterator[None]:
    """Figures are one pixel: to compose and save them is most of a short training.

    The modules that test figures override this fixture: test_plots, test_report_stages, test_cli, test_demo,
    test_explanations.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.plots.plot_curves", _one_pixel)
        patch.setattr("trainer.plots.plot_confusion", _one_pixel)
        patch.setattr("trainer.plots._save", _one_pixel)
        yield


@pytest.fixture(scope="module")
def no_tsne() -> Iterator[None]:
    """The first two features stand for t-SNE, a third of a report; test_report_stages overrides this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.report.stages._plane", lambda features, _: features[:, :2])
        yield


@pytest.fixture(scope="module")
def one_tiny_encoder(no_tsne: None) -> Iterator[None]:
    """The tiny cache's encoder is loaded once for all tests of a module; test_prompts loads it for real.

    One thread, since threads that wait for each other make small products slow on a busy machine.
    """
    import torch

    from tests.tiny_clip import modest_clip
    from trainer.prompts import forget_text_towers

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.prompts.load_text_encoder", lambda _: modest_clip())
        forget_text_towers()
        yield
    forget_text_towers()
    torch.set_num_threads(threads)
