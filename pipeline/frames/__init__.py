"""A clip, a video or a folder of pictures, becomes uniformly spaced, upright RGB frames.

``sampling``       which frames of n are taken (pure)
``container``      a video opened, its window, its packets counted
``clock``          times of frames in their file, as a player shows them
``aspects``        the shape of stored pixels
``announced``      the length that a file announces, compared with the decoded one
``windows``        a window that ends after its file, or holds no frame
``remarks``        notes on damage, times, HDR, interlaced frames, further streams
``decode``         the sampled frames of a video
``picture``        one picture file as RGB
``folder``         the sampled frames of a folder of pictures
``crops``          ready face crops of the sampled frames
``frame_buffer``   frames as they come, in one array
``probe``          what a clip's file states beside its frames
``identity``       size and hash of what was read
``requests``       requests to a decoder and their answers; a decoder in the caller's thread
``pool``           a decoder of child processes
``decode_worker``  such a process
``ipc``            messages between the two

Indices are spread over the frames that really decode, never over the count that a container
claims: clips cut by stream copy claim more than they hold. One pass usually suffices, with the
number of packets as the guess of n; where the guess was wrong a second pass takes the right frames.
"""

from pipeline.frames.decode import decode_clip
from pipeline.frames.pool import CLIP_SECONDS, DecodePool
from pipeline.frames.requests import DecodeAnswer, Decoded, DecodeJob, Decoder, InlineDecoder
from pipeline.frames.sampling import FrameConfig, is_mirrored, sample_indices, view_offset

__all__ = [
    "CLIP_SECONDS",
    "DecodeAnswer",
    "DecodeJob",
    "DecodePool",
    "Decoded",
    "Decoder",
    "FrameConfig",
    "InlineDecoder",
    "decode_clip",
    "is_mirrored",
    "sample_indices",
    "view_offset",
]
