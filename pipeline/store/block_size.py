"""Number of clips in a block of a new cache."""

_OF_GPU, _OF_CPU, _OF_ALL_TOKENS = 64, 8, 4


def choose_block_clips(tokens: str, device: str) -> int:
    """Return the clips per block of a new cache.

    A block is one chunk of every feature array and one task. It is just large enough to keep the device busy,
    because an interrupted run may lose the clips of its unfinished blocks:

    - 64 on a GPU: with 16 frames a clip, a stream of a block is 1,024 images, 4 full batches of 256.
    - 8 on a CPU: a stream of a block is 128 images, 8 full batches of 16, which take much longer there.
    - 4 with all tokens: at 257 tokens of width 1,024 in float16, a clip of 16 frames has 8.4 MB in each
      stream, so a chunk has 34 MB, and a block is held in memory until it is written.

    Args:
        tokens: The setting ``features.tokens``: cls, grid4 or all.
        device: Type of the device that encodes: cuda or cpu.
    """
    if tokens == "all":
        return _OF_ALL_TOKENS
    return _OF_GPU if device == "cuda" else _OF_CPU
