import pytest

from pipeline.cancel import CancelToken, TaskCancelledError


def test_work_goes_on_until_its_token_is_cancelled():
    token = CancelToken()
    token.raise_if_cancelled()
    assert not token.is_cancelled
    token.cancel()
    token.cancel()
    assert token.is_cancelled
    with pytest.raises(TaskCancelledError):
        token.raise_if_cancelled()
