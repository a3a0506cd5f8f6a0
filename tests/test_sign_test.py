import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from trainer.sign_test import mcnemar, sign_flip


@given(st.integers(0, 30), st.integers(0, 30))
def test_one_clip_a_group_is_mcnemars_exact_test(won, lost):
    nets = [1] * won + [-1] * lost + [0] * 3
    assert sign_flip(nets) == pytest.approx(mcnemar(won, lost))
    if won + lost:
        assert mcnemar(won, lost) == binomtest(won, won + lost, 0.5).pvalue


@given(st.lists(st.integers(-5, 5), max_size=9))
def test_every_sign_of_every_group_is_counted(nets):
    sums = [
        sum(s * n for s, n in zip(signs, nets, strict=True))
        for signs in itertools.product((1, -1), repeat=len(nets))
    ]
    expected = sum(abs(one) >= abs(sum(nets)) for one in sums) / len(sums)
    assert sign_flip(nets) == pytest.approx(expected)


def test_clips_of_two_subjects_show_nothing_however_many_they_are():
    assert mcnemar(12, 0) < 0.001
    assert sign_flip([6, 6]) == 0.5
