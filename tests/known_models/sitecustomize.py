"""On the PYTHONPATH of a process, this makes open_clip know the small model of the tests."""

from tests.modest import teach_open_clip

teach_open_clip()
