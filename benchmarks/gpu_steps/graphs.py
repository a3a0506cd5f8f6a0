"""A call as a CUDA graph."""

from collections.abc import Callable

import torch


def capture_graph(work: Callable[[], torch.Tensor]) -> tuple[Callable[[], object], torch.Tensor]:
    """Capture a call as a CUDA graph; return a function that replays it, and the tensor of its result."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream), torch.inference_mode():
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph):
        output = work()
    graph.replay()
    return graph.replay, output
