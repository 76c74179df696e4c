"""No file, however broken, gives anything but a result or one typed error."""

import pytest

from tests.attacks import fuzz_files

SHARE = 24


@pytest.mark.parametrize("kind", ["pictures", "weights"])
def test_broken_files_are_read_or_refused(kind):
    counts = fuzz_files.run(kind, fuzz_files.CASES // SHARE)
    assert sum(counts.values()) == fuzz_files.CASES // SHARE
    assert len(counts) >= 3, "some come through, or nothing would be tried"
