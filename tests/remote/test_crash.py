"""Processes are killed during their requests; nothing is paid twice and nothing is lost."""

import os

import pytest

from tests.remote.child import FILM, Children
from tests.remote.crashes import Crashes, PaidCrashes, crashes

ROUNDS = 3  # one for each of the commands

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


@pytest.fixture(scope="module")
def children(tmp_path_factory):
    with Children(tmp_path_factory.mktemp("children")) as lent:
        yield lent


@pytest.mark.parametrize("kind", ["plain", "history", "paid call", "idempotent"])
def test_killed_requests_are_delivered_and_paid_once(tmp_path, children, kind):
    what = {"idempotent": kind == "idempotent", "history": kind in ("history", "paid call")}
    what["kind"] = PaidCrashes if kind == "paid call" else Crashes
    with crashes(tmp_path, children, seed=5, seconds=0.1, **what) as made:
        for number in range(ROUNDS):
            made.round(number)
        report = made.report
    assert report.delivered == ROUNDS
    assert max(report.tasks) <= 1
    assert sum(report.states.values()) == ROUNDS
    assert set(report.paid) <= ({1, 2} if kind == "plain" else {1})
    if kind == "idempotent":
        assert report.doubts == 0


@pytest.mark.parametrize("kind", ["plain", "history"])
def test_killed_requests_of_videos_are_delivered_and_paid_once(tmp_path, children, kind):
    what = {"idempotent": False, "history": kind == "history", "commands": (FILM,)}
    with crashes(tmp_path, children, seed=11, seconds=0.1, **what) as made:
        for number in range(ROUNDS):
            made.round(number)
        report = made.report
    assert report.delivered == ROUNDS
    assert max(report.tasks) == 1
    assert set(report.paid) == {1}
    assert report.again == 0
    assert report.leftovers == 0
