import numpy as np
import pytest

from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer.clip_lengths import length_quartiles, lengths

NAN = np.nan


def test_a_clip_is_as_long_as_the_parts_that_its_frames_are_the_middles_of():
    """Four parts of 4 s have middles at 0.5, 1.5, 2.5 and 3.5 s; a short clip repeats its last frame."""
    seconds = np.array([[0.5, 1.5, 2.5, 3.5], [10.25, 10.75, 10.75, 10.75]], dtype=np.float32)
    valid = np.array([[True] * 4, [True, True, False, False]])
    assert lengths(seconds, valid).tolist() == [4.0, 1.0]


def test_one_frame_and_images_of_a_directory_have_no_length():
    seconds = np.array([[1, 1, 1, 1], [NAN] * 4], dtype=np.float32)
    valid = np.array([[True, False, False, False], [True] * 4])
    assert np.isnan(lengths(seconds, valid)).all()


@pytest.fixture
def path(tmp_path):
    """Clip n lasts n + 1 seconds in its first view, and 100 in the second; clips from 8 on have no times."""
    path = tiny_cache(tmp_path / "feats.zarr", tiny_meta(num_clips=16))
    writer = CacheWriter.resume(path)
    for start in (0, 8):
        rows = writer.read_block(start)
        rows["frame_valid"][:] = True
        middles = (np.arange(4) + 0.5) / 4
        if not start:
            rows["frame_seconds"][:, 0] = np.arange(1, 9)[:, None] * middles
            rows["frame_seconds"][:, 1] = 100 * middles
        writer.write_block(start, rows)
    return path


def test_quartiles_are_of_the_given_clips_in_their_first_view(path):
    with FeatureCache.open(path) as cache:
        assert length_quartiles([(cache, np.array([0, 1, 2, 3, 4, 9]))]) == (2.0, 3.0, 4.0)
        assert length_quartiles([(cache, np.array([7]))]) == (8.0, 8.0, 8.0)


def test_without_times_there_are_no_quartiles(path):
    with FeatureCache.open(path) as cache:
        assert length_quartiles([(cache, np.arange(8, 16))]) == ()
