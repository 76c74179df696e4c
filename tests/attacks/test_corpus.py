"""No picture is lost or changed silently, whatever its format, layout, metadata or damage."""

from tests import corpus

SHARE = 12


def test_share_of_the_corpus_comes_out_right():
    counts = corpus.run(SHARE)
    assert sum(counts.values()) >= 1000 // SHARE
    assert counts["right"] > sum(counts.values()) / 2


def test_corpus_has_a_thousand_files():
    names = {case.name for case in corpus.cases()}
    assert len(names) >= 1000
