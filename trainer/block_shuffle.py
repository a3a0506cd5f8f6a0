"""Clips by block of the cache -> a random order in which few blocks are in use at a time.

A full shuffle of a set that is larger than memory would read a block again for each of its clips.

Letters: N clips.
"""

import torch


def block_shuffled(block_N: torch.Tensor, window_blocks: int, generator: torch.Generator) -> torch.Tensor:
    """Return a random order of clips, int64 [N]: each of 0 to N - 1 once.

    The blocks come in random order. A window holds at most `window_blocks` times as many clips as the largest
    block has. The next clip is drawn from the window, each with the same probability, and the next block
    enters as soon as there is room for it. One block shuffles the clips of each block alone; as many as there
    are give a full shuffle, with the same random numbers as `torch.randperm`.

    Args:
        block_N: Block of each clip, on the CPU.
        window_blocks: Above 0.
        generator: Source of the order, on the CPU.
    """
    _, block_of, count = torch.unique(block_N, return_inverse=True, return_counts=True)
    if window_blocks >= len(count):
        return torch.randperm(len(block_N), generator=generator)
    clips_of = torch.split(torch.argsort(block_of, stable=True), count.tolist())
    most = window_blocks * int(count.max())
    entering = torch.randperm(len(count), generator=generator).tolist()
    chances = iter(torch.rand(len(block_N), generator=generator, dtype=torch.float64).tolist())
    window: list[int] = []
    order: list[int] = []

    def draw() -> None:
        place = int(next(chances) * len(window))
        window[place], window[-1] = window[-1], window[place]
        order.append(window.pop())

    for block in entering:
        clips = clips_of[block].tolist()
        while len(window) + len(clips) > most:
            draw()
        window += clips
    while window:
        draw()
    return torch.tensor(order, dtype=torch.int64)
