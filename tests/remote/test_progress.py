"""What a host shows of tasks."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscale_bridge.remote.progress import View, describe, fraction

PHASES = ["waiting", "uploading", "submitting", "queued", "running", "downloading", "done"]


@pytest.mark.parametrize(
    ("view", "line"),
    [
        (View("waiting", 90), "waiting 10 s"),
        (View("uploading", 99.6), "uploading 0 s"),
        (View("submitting", 98), "submitting 2 s"),
        (View("queued", 40), "queued 60 s"),
        (View("running", 95), "running 5 s"),
        (View("running", 95, fraction=0.424), "running 42 %"),
        (View("running", 95, fraction=0.0), "running 0 %"),
        (View("downloading", done=1_250_000, total=4_000_000), "downloading 1.2/4.0 MB"),
        (View("downloading", done=1_250_000), "downloading 1.2 MB"),
        (View("uploading", done=1_250_000, total=4_000_000), "uploading 1.2/4.0 MB"),
        (View("downloading"), "downloading 0.0 MB"),
        (View("done"), "done"),
        (View("running", 95, how="resumed"), "resumed, running 5 s"),
        (View("downloading", total=10**6, how="joined"), "joined, downloading 0.0/1.0 MB"),
        (View("waiting", 95, how="joined"), "joined, waiting 5 s"),
        (View("done", how="reused"), "reused"),
        (View("done", how="joined"), "joined"),
        (View("done", how="resumed"), "resumed"),
    ],
)
def test_one_task_is_described_in_one_line(view, line):
    assert describe([view], 100.0) == line


def test_several_tasks_are_counted_with_the_furthest_first():
    views = [View(phase) for phase in [*PHASES, "running", "running", "done"]]
    assert describe(views, 0.0) == (
        "2 done, 1 downloading, 3 running, 1 queued, 1 submitting, 1 uploading, 1 waiting"
    )
    assert describe([View("done"), View("done", how="reused")], 0.0) == "2 done"


def test_phases_follow_each_other():
    marks = [fraction(View(phase), 0.0, 20.0) for phase in PHASES]
    assert marks == sorted(marks)
    assert len(set(marks)) == len(PHASES)
    assert (marks[0], marks[-1]) == (0.0, 1.0)


def test_running_task_without_news_slows_down_and_never_arrives():
    marks = [fraction(View("running", 100.0), 100.0 + s, 20.0) for s in range(0, 200, 10)]
    steps = [b - a for a, b in itertools.pairwise(marks)]
    assert all(step >= 0 for step in steps)
    assert steps == sorted(steps, reverse=True)
    assert marks[0] == pytest.approx(0.1)
    assert marks[2] == pytest.approx(0.1 + 0.75 * 0.632, abs=0.001)
    assert marks[-1] <= fraction(View("downloading"), 0.0, 20.0)


@given(st.lists(st.floats(0, 1), min_size=2).map(sorted))
def test_running_task_follows_what_the_service_tells(shares):
    marks = [fraction(View("running", 0.0, share), 5.0, 20.0) for share in shares]
    assert marks == sorted(marks)
    assert marks[0] >= 0.1
    assert marks[-1] <= 0.85


@given(st.lists(st.integers(0, 10**6), min_size=2).map(sorted))
def test_download_follows_the_bytes(received):
    marks = [fraction(View("downloading", done=n, total=10**6), 5.0, 20.0) for n in received]
    assert marks == sorted(marks)
    assert marks[0] >= 0.85
    assert marks[-1] <= 1.0


@given(
    phase=st.sampled_from(PHASES),
    since=st.floats(0, 1e9),
    seconds=st.floats(0, 1e9),
    share=st.none() | st.floats(0, 1),
    typical=st.floats(0.001, 1e5),
)
def test_fraction_is_never_more_than_all_of_it(phase, since, seconds, share, typical):
    assert 0.0 <= fraction(View(phase, since, share), since + seconds, typical) <= 1.0


def test_download_that_is_longer_than_announced_is_not_more_than_done():
    """A host may pack an answer though it was asked not to."""
    assert fraction(View("downloading", done=3000, total=1000), 0.0, 20.0) <= 1.0


@pytest.mark.parametrize("name", ["phase", "total"])
def test_a_thread_that_writes_meanwhile_breaks_nothing(name):
    """Every value is another one at each look, as when the thread of the task is quick."""
    changes = {"phase": [*PHASES, "done"], "total": [10**6, 0]}[name]

    class Changing(View):
        def __getattribute__(self, asked):
            if asked == name:
                looks[0] += 1
                return changes[looks[0] % len(changes)]
            return super().__getattribute__(asked)

    for first, phase in itertools.product(range(len(changes)), PHASES):
        looks = [first]
        assert 0.0 <= fraction(Changing(phase, 0.0, None, 5, 10), 1.0, 20.0) <= 1.0
        assert describe([Changing(phase, 0.0, None, 5, 10)], 1.0)
