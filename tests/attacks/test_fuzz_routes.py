"""No call and no answer, however strange, is anything but read or refused."""

from tests.attacks import fuzz_routes


def test_strange_calls_are_answered():
    counts = fuzz_routes.run_calls(fuzz_routes.CASES // 6)
    assert {200, 400, 401, 403, 404, 415} <= counts.keys()


def test_strange_answers_are_read_or_refused():
    counts = fuzz_routes.run_answers(fuzz_routes.CASES)
    assert {"Ticket", "Done", "Running", "BadReplyError", "QuotaError"} <= counts.keys()
