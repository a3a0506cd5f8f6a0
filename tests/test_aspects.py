"""The shape of stored pixels is the stream's until the codec changes it."""

from fractions import Fraction
from types import SimpleNamespace

import pytest

from pipeline.errors import ClipError
from pipeline.frames.aspects import Aspects


def frame(width=8, height=6, *, is_key=False):
    return SimpleNamespace(width=width, height=height, key_frame=is_key)


def stream_of(ratio, by_codec):
    return SimpleNamespace(
        sample_aspect_ratio=ratio, codec_context=SimpleNamespace(sample_aspect_ratio=by_codec)
    )


def seen(aspects, one):
    aspects.see(one)
    return aspects.of(one)


@pytest.mark.parametrize("by_codec", [None, Fraction(1), Fraction(3, 2)])
def test_the_container_counts_whatever_the_codec_says_throughout(by_codec):
    aspects = Aspects(stream_of(Fraction(3, 2), by_codec))
    assert seen(aspects, frame(is_key=True)) == 1.5
    assert seen(aspects, frame(16, 6)) == 1.5


def test_a_stream_that_gives_no_aspect_has_square_pixels():
    assert seen(Aspects(stream_of(None, None)), frame(is_key=True)) == 1


def test_a_change_counts_from_the_next_key_frame_on_and_for_frames_of_another_size():
    stream = stream_of(Fraction(3, 2), Fraction(3, 2))
    aspects = Aspects(stream)
    assert seen(aspects, frame(is_key=True)) == 1.5
    stream.codec_context.sample_aspect_ratio = Fraction(2)
    assert seen(aspects, frame()) == 1.5, "the decoder has read ahead"
    assert seen(aspects, frame(16, 6)) == 2
    assert seen(aspects, frame(is_key=True)) == 2
    stream.codec_context.sample_aspect_ratio = None
    assert seen(aspects, frame(is_key=True)) == 1
    stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
    assert seen(aspects, frame(is_key=True)) == 1.5


@pytest.mark.parametrize("ratio", [Fraction(1, 11), Fraction(11)])
def test_absurd_pixels_are_refused_also_where_they_come_later(ratio):
    message = f"^decode: pixels {float(ratio):g} times as wide as high; allowed: 0.1 to 10$"
    with pytest.raises(ClipError, match=message):
        Aspects(stream_of(ratio, None))
    stream = stream_of(None, None)
    aspects = Aspects(stream)
    aspects.see(frame(is_key=True))
    stream.codec_context.sample_aspect_ratio = ratio
    with pytest.raises(ClipError, match=message):
        aspects.see(frame(is_key=True))
