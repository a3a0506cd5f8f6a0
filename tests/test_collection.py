import gc

import pytest

from pipeline.collection import paused_collection


def test_the_collector_pauses_also_when_pauses_are_nested():
    assert gc.isenabled()
    with paused_collection():
        with paused_collection():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_collector_is_on_again_after_an_error_and_stays_off_where_it_was_off():
    with pytest.raises(KeyError), paused_collection():
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with paused_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
