"""A share of what the fuzzers and the corpus try: nothing is lost, and nothing is a surprise."""

import pytest

from tests import corpus
from tests.attacks import fuzz_files, fuzz_routes


@pytest.mark.parametrize("kind", ["pictures", "weights"])
def test_broken_files_are_read_or_refused(kind):
    share = fuzz_files.CASES // 24
    counts = fuzz_files.run(kind, share)
    assert sum(counts.values()) == share
    assert len(counts) >= 3, "some come through, or nothing would be tried"


def test_strange_calls_are_answered():
    counts = fuzz_routes.run_calls(fuzz_routes.CASES // 6)
    assert {200, 400, 401, 403, 404, 415} <= counts.keys()


def test_strange_answers_are_read_or_refused():
    counts = fuzz_routes.run_answers(fuzz_routes.CASES)
    assert {"Ticket", "Done", "Running", "BadReplyError", "QuotaError"} <= counts.keys()


def test_pictures_of_the_corpus_come_out_right():
    share = 12
    counts = corpus.run(share)
    assert sum(counts.values()) >= 1000 // share, "there are a thousand"
    assert counts["right"] > sum(counts.values()) / 2
