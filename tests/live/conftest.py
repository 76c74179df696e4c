"""A browser, and a page of a ComfyUI whose services are a stand-in; tests may bring their own."""

import pytest

from tests.fakes.service import FakeService
from tests.live.host import running


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory):
    """A ComfyUI without keys, whose services are a stand-in on this machine."""
    folder = tmp_path_factory.mktemp("comfyui")
    with FakeService() as service, running(folder, service) as started:
        yield started


@pytest.fixture(scope="module")
def browser():
    from tests.live import pages  # where playwright is not installed it skips who imports it

    with pages.playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=pages.CHROMIUM, args=pages.QUIET.split())
        yield found
        found.close()


@pytest.fixture
def page(comfyui, browser):
    """ComfyUI's page; errors of its scripts fail the test, and so do calls of ours to others."""
    from tests.live import pages

    with pages.showing(comfyui, browser) as opened:
        yield opened
