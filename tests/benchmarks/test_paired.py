"""What the comparison of two commits makes of its pairs."""

from __future__ import annotations

import numpy as np
import pytest

from .paired import orders, summaries, summarise, table


def test_both_commits_are_first_equally_often_and_in_turn() -> None:
    """Old new, new old, and so on."""
    firsts = [first for first, _ in orders(4)]
    assert firsts == ["old", "new", "old", "new"]
    assert all({*order} == {"old", "new"} for order in orders(4))


def test_a_change_is_seen_through_noise_that_both_share() -> None:
    """Bounds hold a tenth more time, and not no change, though runs differ threefold."""
    random = np.random.default_rng(1)
    shared = random.uniform(1, 3, 15)
    old, new = shared * random.normal(1, 0.02, 15), 1.1 * shared * random.normal(1, 0.02, 15)
    ratio = summarise(old, new)["ratio"]
    assert 1 < ratio["lower"] < 1.1 < ratio["upper"] < 1.15
    assert ratio["min"] <= ratio["lower"] <= ratio["median"] <= ratio["upper"] <= ratio["max"]


def test_the_same_pairs_give_the_same_bounds_and_turned_round_their_inverse() -> None:
    """The draws are seeded, and neither commit is treated in another way."""
    random = np.random.default_rng(2)
    old, new = random.uniform(1, 2, 8), random.uniform(1, 2, 8)
    one, other = summarise(old, new), summarise(new, old)
    assert summarise(old, new) == one
    for name, inverse in (("median", "median"), ("lower", "upper"), ("min", "max")):
        assert one["ratio"][name] == pytest.approx(1 / other["ratio"][inverse], rel=0.01)


def test_a_run_counts_with_the_median_of_its_pushes() -> None:
    """One push that was disturbed changes nothing; the table has wall and CPU time of each case."""
    times = {"seconds": [1.0, 1.0, 9.0], "cpu": [0.5, 0.5, 0.5]}
    twice = {name: [2 * value for value in values] for name, values in times.items()}
    runs = [{"case": "race polars", "pair": 1, "first": "old", "old": times, "new": twice}]
    found = summaries(runs)
    assert found["race polars"]["seconds"]["old"]["median"] == 1.0
    assert found["race polars"]["seconds"]["ratio"]["median"] == pytest.approx(2.0)
    lines = table(found).splitlines()
    assert [line.split()[2] for line in lines[1:]] == ["wall", "CPU"]
