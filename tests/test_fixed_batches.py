"""Passes of one fixed size over a device that threads share."""

import threading

import pytest
import torch

from pipeline.fixed_batches import FixedBatches

CPU = torch.device("cpu")


def test_every_pass_has_one_size_and_padding_is_cut_off() -> None:
    rows, seen = torch.arange(7.0).view(7, 1), []

    def doubled(batch: torch.Tensor) -> list[torch.Tensor]:
        seen.append(batch.clone())
        return [batch * 2, batch + 1]

    parts = list(FixedBatches("Rows", 3, CPU).run(rows, doubled))
    assert [tuple(batch.shape) for batch in seen] == [(3, 1)] * 3
    assert seen[-1].tolist() == [[6.0], [0.0], [0.0]]
    assert torch.equal(torch.cat([double for double, _ in parts]), rows * 2)
    assert torch.equal(torch.cat([more for _, more in parts]), rows + 1)


def test_rows_are_prepared_before_they_are_padded() -> None:
    rows, seen, sizes = torch.arange(8.0).view(4, 2), [], []

    def first_column(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(len(batch))
        return batch[:, :1]

    def kept(batch: torch.Tensor) -> list[torch.Tensor]:
        seen.append(batch.tolist())
        return [batch]

    parts = list(FixedBatches("Rows", 3, CPU).run(rows, kept, first_column))
    assert sizes == [3, 1]
    assert seen == [[[0.0], [2.0], [4.0]], [[6.0], [0.0], [0.0]]]
    assert torch.equal(torch.cat([part for (part,) in parts]), rows[:, :1])


def test_out_of_memory_halves_the_size_for_good_and_says_so() -> None:
    passes, sizes = FixedBatches("Rows", 8, CPU), []

    def small_device(batch: torch.Tensor) -> list[torch.Tensor]:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError
        return [batch]

    rows = torch.arange(5)
    assert torch.equal(torch.cat([part for (part,) in passes.run(rows, small_device)]), rows)
    assert sizes == [8, 4, 2, 2, 2]
    assert passes.size == 2
    assert passes.warnings == (
        "Rows: 8 at a time do not fit into the memory of cpu; continued with 4.",
        "Rows: 4 at a time do not fit into the memory of cpu; continued with 2.",
    )
    list(passes.run(rows, small_device))
    assert sizes[5:] == [2, 2, 2]


def test_a_single_row_that_does_not_fit_is_an_error() -> None:
    def no_device(batch: torch.Tensor) -> list[torch.Tensor]:
        raise torch.OutOfMemoryError(len(batch))

    with pytest.raises(torch.OutOfMemoryError, match="1"):
        list(FixedBatches("Rows", 2, CPU).run(torch.zeros(3), no_device))


def test_another_error_passes() -> None:
    def broken(batch: torch.Tensor) -> list[torch.Tensor]:
        raise RuntimeError(len(batch))

    with pytest.raises(RuntimeError, match="2"):
        list(FixedBatches("Rows", 2, CPU).run(torch.zeros(3), broken))


def test_threads_that_share_a_lock_take_turns() -> None:
    lock, inside, most = threading.Lock(), [], []

    def watched(batch: torch.Tensor) -> list[torch.Tensor]:
        inside.append(1)
        most.append(len(inside))
        threading.Event().wait(0.002)
        inside.pop()
        return [batch]

    def work() -> None:
        list(FixedBatches("Rows", 1, CPU, lock).run(torch.zeros(5), watched))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 15
    assert max(most) == 1
