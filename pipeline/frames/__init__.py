"""Uniformly spaced, upright RGB frames of a clip, which is a video or a directory of images.

``sampling``       frame numbers that are sampled (pure)
``container``      an open video, its window and its packets
``clock``          times of frames in their file, as a player shows them
``aspects``        aspect ratio of stored pixels
``announced``      announced length of a file, compared with the decoded length
``windows``        checks of a clip's window: after the end of the file, or without a frame
``remarks``        notes on damage, times, HDR, interlaced frames, further streams
``decoded_frames`` frames that decode
``block_match``    comparison of two small grey pictures
``shot_config``    settings of the search for cuts
``shot_changes``   changes of shot in small grey pictures
``cuts``           cuts between shots in decoded frames
``cut_search``     search for cuts in a window and its margin
``decode``         sampled frames of a video
``picture``        one image file as RGB
``folder``         sampled frames of a directory of images
``frame_pass``     one decoding pass from a key frame on
``scan_jobs``      requests and answers of a scan
``scan_part``      scan of a part of a video: times, key frames, changes of shot
``scan_recovery``  scan around a place at which a decoder breaks off
``scan``           scan of a source, in parts
``segment``        wanted frames of a segment of a scanned source
``frame_stream``   wanted frames of a scanned source, in order
``sound``          sound of a video
``crops``          face crops of the dataset for the sampled frames
``frame_buffer``   decoded frames as RGB, and in one array
``probe``          facts about a clip's file besides its frames
``file_hashes``    size and hash of a clip's files
``requests``       requests to a decoder and their answers; a decoder in the caller's thread
``pool_stream``    answers of such processes for one caller
``pool``           decoder in child processes
``room``           limit on the bytes that wait
``decode_child``   one such process, as its parent sees it
``decode_worker``  main program of such a process
``ipc``            messages to and from such a process

Indices are spaced over the frames that really decode, never over the count in the container, because clips
cut by stream copy contain fewer frames than their container states. One pass usually suffices, with the
number of packets as the estimate of n. If the estimate was wrong, a second pass decodes the right frames.
"""

from pipeline.frames.cuts import ShotConfig
from pipeline.frames.decode import decode_clip
from pipeline.frames.folder import FOLDER_RATE
from pipeline.frames.frame_stream import STREAM_BYTES, stream_frames
from pipeline.frames.pool import CLIP_SECONDS, DecodePool
from pipeline.frames.requests import DecodeAnswer, Decoded, DecodeJob, Decoder, InlineDecoder, PartDecoder
from pipeline.frames.sampling import FrameConfig, is_mirrored, sample_indices, view_offset
from pipeline.frames.scan import outline_source, scan_source
from pipeline.frames.sound import SoundReader

__all__ = [
    "CLIP_SECONDS",
    "DecodeAnswer",
    "DecodeJob",
    "DecodePool",
    "Decoded",
    "Decoder",
    "FOLDER_RATE",
    "FrameConfig",
    "InlineDecoder",
    "PartDecoder",
    "STREAM_BYTES",
    "ShotConfig",
    "SoundReader",
    "decode_clip",
    "is_mirrored",
    "sample_indices",
    "outline_source",
    "scan_source",
    "stream_frames",
    "view_offset",
]
