"""The stand-in of the vendors, and a host that speaks to it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fakes.service import FakeService
from tests.remote.host import KEY, Remote
from tests.vendors import environment


@pytest.fixture(scope="session")
def ends():
    """Ends stand-ins while the next test runs already; their own errors come to light here."""
    with ThreadPoolExecutor(2) as pool:
        ended = []
        yield lambda fake: ended.append(pool.submit(fake.__exit__, None))
    for one in ended:
        one.result()


@pytest.fixture
def remote(monkeypatch, ends):
    """Make a `Remote`; `options` are those of its stand-in."""
    made = []

    def new(**options):
        made.append(FakeService(**{"key": KEY, **options}).__enter__())
        for name, value in environment(made[-1].base_url, KEY).items():
            monkeypatch.setenv(name, value)
        return Remote(made[-1])

    yield new
    for fake in made:
        ends(fake)


@pytest.fixture
def vendor(remote):
    """A `Remote` whose tasks are done at once."""
    return remote()
