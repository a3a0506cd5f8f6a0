import numpy as np
import pytest
import torch

from trainer.config import LossConfig, ModelConfig, TrainConfig
from trainer.frame_means import means_needed, only_in_view, write_means
from trainer.threads import one_thread


def test_frames_in_view_are_valid_ones_and_all_valid_ones_where_there_is_none():
    valid = np.array([[True, True, False], [True, True, False]])
    in_view = np.array([[False, True, True], [False, False, True]])
    assert only_in_view(valid, in_view).tolist() == [[False, True, False], [True, True, False]]


def test_means_are_over_the_given_frames_of_the_picked_clips():
    stored = torch.arange(2 * 1 * 3 * 2).reshape(2, 1, 3, 2).half()
    valid = np.array([[[True, True, False]], [[True, False, True]]])
    means = torch.zeros(3, 1, 2)
    write_means(stored, valid, [1, 0], [0, 2], means)
    assert means[:, 0].tolist() == [[8.0, 9.0], [0.0, 0.0], [1.0, 2.0]]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (TrainConfig(), ["early"]),
        (TrainConfig(losses=LossConfig(terms="contrast")), []),
        (TrainConfig(model=ModelConfig(tfe_tokens="patches")), ["early", "face_patches", "scene_patches"]),
        (TrainConfig(model=ModelConfig(tfe_tokens="patches", scene=False, polarity=False)), ["face_patches"]),
    ],
)
def test_only_the_means_of_the_model_are_needed(config, expected):
    assert means_needed(config) == expected


def test_threads_are_as_before_after_an_error_too():
    before, within = torch.get_num_threads(), []

    def fails():
        with one_thread():
            within.append(torch.get_num_threads())
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert within == [1]
    assert torch.get_num_threads() == before
