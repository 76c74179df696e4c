"""Pages of other sites in a real browser, at a server on this machine that needs no key.

Needs `pip install playwright`; CHROMIUM names the browser.
"""

import http.server
import json
import os
import threading
from pathlib import Path

import pytest

from tests.server.running import RunningServer
from tests.server.sockless import SUBMITS, wavespeed

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("uvicorn")

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
# The name is another site's, and leads to this machine.
QUIET = "--no-sandbox --disable-gpu --disable-background-networking"
RULES = "--host-resolver-rules=MAP *.example 127.0.0.1"
FETCH = """async ([url, options]) => {
  try { const reply = await fetch(url, options); return [reply.type, reply.status]; }
  catch (error) { return ["refused", String(error)]; }
}"""
FORM = """([url, kind, text]) => {
  const form = document.createElement("form");
  Object.assign(form, {method: "POST", action: url, enctype: kind, target: "_blank"});
  const field = document.createElement("input");
  Object.assign(field, {name: text.slice(0, -1), value: "}"});
  form.append(field);
  document.body.append(form);
  form.submit();
}"""

pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="there is no Chromium")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RunningServer(tmp_path_factory.mktemp("pages") / "home") as started:
        yield started


@pytest.fixture(scope="module")
def site():
    """Another site, on this machine; returns its port."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>evil</title><body>")

        def log_message(self, *_):
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found.server_port
    found.shutdown()
    found.server_close()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=[*QUIET.split(), RULES])
        yield found
        found.close()


@pytest.fixture
def page(browser):
    context = browser.new_context()
    yield context.new_page()
    context.close()


def is_untouched(server):
    return not any(server.counts().values())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "evil.example"])
@pytest.mark.parametrize("kind", ["text/plain", "application/json", None])
@pytest.mark.parametrize("mode", ["no-cors", "cors"])
def test_page_of_another_site_submits_nothing(server, site, page, host, kind, mode):
    page.goto(f"http://{host}:{site}/")
    headers = {"Content-Type": kind} if kind else {}
    for path, body in SUBMITS.values():
        options = {"method": "POST", "mode": mode, "body": json.dumps(body()), "headers": headers}
        found = page.evaluate(FETCH, [server.url + path, options])
        assert found[0] in ("opaque", "refused")
    assert is_untouched(server)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_form_of_another_site_submits_nothing(server, site, page, kind):
    page.goto(f"http://evil.example:{site}/")
    for path, body in SUBMITS.values():
        with page.context.expect_page() as opened:
            page.evaluate(FORM, [server.url + path, kind, json.dumps(body())])
        opened.value.wait_for_load_state()
    assert is_untouched(server)


def test_other_site_whose_name_leads_here_reads_nothing(server, page):
    """DNS rebinding: for the browser the server is the site itself."""
    port = server.url.rpartition(":")[2]
    answer = page.goto(f"http://evil.example:{port}/status")
    assert answer.status == 400
    options = {"method": "POST", "body": json.dumps(wavespeed())}
    options["headers"] = {"Content-Type": "application/json"}
    path = SUBMITS["wavespeed"][0]
    assert page.evaluate(FETCH, [path, options]) == ["basic", 400]
    assert is_untouched(server)


def test_own_page_reads_and_submits(server, page):
    page.goto(server.url + "/")
    assert page.evaluate(FETCH, ["/status", {}]) == ["basic", 200]
    options = {"method": "POST", "body": json.dumps(wavespeed())}
    options["headers"] = {"Content-Type": "application/json"}
    assert page.evaluate(FETCH, [SUBMITS["wavespeed"][0], options]) == ["basic", 200]
    assert not is_untouched(server)
