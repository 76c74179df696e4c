"""Processes are killed during their requests; nothing is paid twice and nothing is lost."""

import os

import pytest

from tests.remote.crashes import crashes

ROUNDS = 3  # one for each of the commands

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


@pytest.mark.parametrize("idempotent", [False, True])
def test_killed_requests_are_delivered_and_paid_once(tmp_path, idempotent):
    with crashes(tmp_path, idempotent=idempotent, seed=5, seconds=0.1) as made:
        for number in range(ROUNDS):
            made.round(number)
        report = made.report
    assert report.delivered == ROUNDS
    assert max(report.tasks) <= 1
    assert sum(report.states.values()) == ROUNDS
    assert set(report.paid) <= ({1} if idempotent else {1, 2})
    if idempotent:
        assert report.doubts == 0
