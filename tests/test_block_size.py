"""The number of clips per block follows from what a block must hold."""

import pytest

from pipeline.store.block_size import choose_block_clips


@pytest.mark.parametrize(
    ("tokens", "device", "expected"),
    [
        ("cls", "cuda", 64),
        ("grid4", "cuda", 64),
        ("cls", "cpu", 8),
        ("grid4", "cpu", 8),
        ("all", "cuda", 4),
        ("all", "cpu", 4),
    ],
)
def test_blocks_are_large_on_a_gpu_and_small_with_all_tokens(tokens: str, device: str, expected: int) -> None:
    assert choose_block_clips(tokens, device) == expected
