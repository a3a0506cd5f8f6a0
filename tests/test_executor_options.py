import pytest

from pipeline.config import from_dict
from pipeline.errors import ConfigError
from pipeline.executor import LocalExecutor
from pipeline.process import ExtractConfig
from pipeline.runner import ExecutorOptions, make_executor
from tests.small_clips import SETTINGS


def test_by_default_this_process_does_the_work():
    config = from_dict(ExtractConfig, SETTINGS)
    for options in (ExecutorOptions(), ExecutorOptions(scheduler="sync"), ExecutorOptions(gpus=0)):
        assert isinstance(make_executor(config, options), LocalExecutor)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"gpus": -1}, "--gpus is -1; allowed: 0 or more"),
        ({"workers": 0}, "--workers is 0; allowed: 1 or more"),
        ({"decoders": 0}, "--decoders is 0; allowed: 1 or more"),
        ({"clip_seconds": 0}, "--clip-seconds is 0; allowed: 1 or more"),
        ({"gpus": 2, "workers": 2}, "--workers 2 with --gpus 2: there is one worker per GPU"),
        ({"workers": 2, "scheduler": "sync"}, "--workers 2 with --scheduler sync: leave out one"),
        ({"gpus": 2, "scheduler": "sync"}, "one process drives one GPU"),
        ({"gpus": 2, "scheduler": "tcp://host:8786"}, "use the GPU that each can see; leave out --gpus"),
    ],
)
def test_choices_that_contradict_each_other_are_refused(choice, message):
    with pytest.raises(ConfigError, match=message):
        ExecutorOptions(**choice)


def test_a_scheduler_that_is_neither_file_nor_address_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match="which is not a file; allowed: sync, an address such as tls://HOST"
    ):
        ExecutorOptions(scheduler=str(tmp_path / "missing.json"))
