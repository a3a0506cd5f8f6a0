import pytest

from pipeline.display.json_values import to_json_values
from pipeline.errors import CheckpointError
from pipeline.footage import Footage
from trainer.leaks import Leak, find_leak


def parts(*names):
    """Clips of the files that are named after the first letter of their ids."""
    return [Footage(clip_id=name, files=(("path", name[0]),)) for name in names]


def test_clips_are_found_by_the_split_of_the_run_that_saw_them():
    leak = find_leak(
        "test",
        parts("a2", "b2", "c2"),
        {"train": parts("a1", "x1"), "validation": parts("b1")},
        is_official=False,
    )
    assert leak.pairs == {"train": (("a2", "a1"),), "validation": (("b2", "b1"),)}
    assert (leak.clip_ids, leak.num_clips, leak.notes) == (("a2", "b2"), 3, ())
    assert leak.banners == ("LEAK: 2 of 3 test clips share footage with clips that the run has seen",)
    assert to_json_values(leak) == {
        "clips": ["a2", "b2"],
        "seen": {"train": [["a2", "a1"]], "validation": [["b2", "b1"]]},
        "in_official_splits": [],
    }


@pytest.mark.parametrize(
    ("seen", "what"),
    [
        ({"train": parts("a1")}, "that trained 'RUN': 'a2' with 'a1'. Measure other clips"),
        ({"validation": parts("a2")}, "that chose the checkpoint of 'RUN': 'a2'. Measure other clips"),
    ],
)
def test_a_leak_is_rejected_with_its_clips_and_the_way_out(seen, what):
    leak = find_leak("test", parts("a2", "b2"), seen, is_official=False)
    with pytest.raises(CheckpointError) as caught:
        leak.require_none("RUN", "CACHE")
    message = str(caught.value)
    assert message.startswith("1 of the 2 test clips of 'CACHE' share footage with clips ")
    assert what in message
    assert message.endswith("--allow-leak measures them and marks the result.")


def test_official_splits_are_reported_and_only_a_clip_itself_is_rejected():
    seen = {"train": parts("a1", "b2")}
    leak = find_leak("test", parts("a2", "b2", "c2"), seen, is_official=True)
    assert (leak.reported, leak.clip_ids) == ((("a2", "a1"),), ("b2",))
    assert leak.notes == (
        "1 of 3 test clips share footage with training clips in the official splits: 'a2' with 'a1'",
    )
    only_copies = find_leak("test", parts("a2"), seen, is_official=True)
    assert only_copies.banners == ()
    only_copies.require_none("RUN", "CACHE")


def test_nothing_shared_is_nothing_said():
    for leak in (
        Leak.none("train", 3),
        find_leak("test", parts("a"), {"train": parts("b")}, is_official=False),
    ):
        assert (leak.banners, leak.notes, leak.remarks, leak.clip_ids) == ((), (), (), ())
        leak.require_none("RUN", "CACHE")
