"""The order of clips with a window of blocks."""

import numpy as np
import pytest
import torch

from trainer.block_shuffle import block_shuffled

BLOCK_N = torch.arange(60) // 6
"""Ten blocks of six clips."""
UNEVEN_N = torch.tensor([7] * 2 + [3] * 9 + [5] * 20 + [4] * 9 + [0] * 20)


def order_of(window_blocks, seed=0, block_N=BLOCK_N):
    return block_shuffled(block_N, window_blocks, torch.Generator().manual_seed(seed))


def most_in_window(order_N, block_N):
    """Largest number of clips that are in memory at a draw, if a block enters for its first clip."""
    entered, most = set(), 0
    for drawn, clip in enumerate(order_N.tolist()):
        entered.add(int(block_N[clip]))
        most = max(most, sum(int((block_N == block).sum()) for block in entered) - drawn)
    return most


@pytest.mark.parametrize("window_blocks", [1, 2, 5, 9, 10, 50])
def test_each_clip_comes_once_and_the_seed_gives_the_order(window_blocks):
    order_N = order_of(window_blocks)
    assert sorted(order_N.tolist()) == list(range(60))
    assert torch.equal(order_N, order_of(window_blocks))
    assert not torch.equal(order_N, order_of(window_blocks, seed=1))


@pytest.mark.parametrize("window_blocks", [1, 2, 5, 9])
@pytest.mark.parametrize(
    "block_N", [BLOCK_N, torch.tensor([7] * 2 + [3] * 9 + [5] * 20 + [4] * 9 + [0] * 20)]
)
def test_the_window_never_holds_more_than_its_blocks(window_blocks, block_N):
    largest = int(block_N.unique(return_counts=True)[1].max())
    for seed in range(20):
        assert most_in_window(order_of(window_blocks, seed, block_N), block_N) <= window_blocks * largest


def test_a_window_of_one_block_shuffles_blocks_and_the_clips_of_each():
    order_N = order_of(1)
    blocks = BLOCK_N[order_N].reshape(10, 6)
    assert (blocks == blocks[:, :1]).all()
    assert blocks[:, 0].tolist() != list(range(10))
    assert any(row.tolist() != sorted(row.tolist()) for row in order_N.reshape(10, 6))


@pytest.mark.parametrize("window_blocks", [10, 11, 1000])
def test_a_window_of_all_blocks_is_the_full_shuffle(window_blocks):
    assert torch.equal(
        order_of(window_blocks), torch.randperm(60, generator=torch.Generator().manual_seed(0))
    )


def test_a_clip_of_a_window_is_drawn_with_the_same_probability_as_any_other():
    """Two blocks of two clips and a third, window of two: the first draw is of the first four clips."""
    block_N = torch.tensor([0, 0, 1, 1, 2, 2])
    first = np.zeros(6)
    for seed in range(3000):
        first[order_of(2, seed, block_N)[0]] += 1
    assert first / 3000 == pytest.approx(1 / 6, abs=0.025)


def test_a_larger_window_mixes_more_blocks_into_a_batch():
    block_N = torch.arange(6000) // 60

    def num_blocks(window_blocks):
        order_N = order_of(window_blocks, block_N=block_N)
        return np.mean([len(block_N[part].unique()) for part in order_N.split(60)])

    found = [num_blocks(window_blocks) for window_blocks in (1, 4, 16, 100)]
    assert found[0] == 1
    assert found == sorted(found)
    assert found[2] > 14
    assert found[3] == pytest.approx(100 * (1 - 0.99**60), abs=2)
