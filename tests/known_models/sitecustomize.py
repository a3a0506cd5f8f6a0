"""Tell a process of its own about the model of the tests; put on PYTHONPATH with the checkout."""

from tests.tiny_clip import modest_model

modest_model()
