"""The status page and the facts behind it."""

import base64
import hashlib
import re

from tests.server.sockless import SUBMITS


def test_page_allows_its_own_script_and_style_only(server):
    reply = server.get("/", key="")
    policy = reply.headers["content-security-policy"]
    assert reply.status == 200
    assert "default-src 'none'" in policy
    for kind, text in re.findall(rb"<(script|style)[^>]*>(.*?)</\1>", reply.body, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        assert f"{kind.decode()}-src 'sha256-{digest}'" in policy
    assert b"http://" not in reply.body.replace(b"http://www.w3.org", b"")
    assert b"https://" not in reply.body
    assert b"innerHTML" not in reply.body
    assert b"localStorage" not in reply.body


def test_status_tells_the_load_and_ones_own_tasks(server):
    path, body = next(iter(SUBMITS.values()))
    assert server.post(path, body()).status == 200
    found = server.get("/status").json()
    assert found["queue"]["queued"] == 1
    assert found["workers_alive"] >= 1
    assert found["last_hour"] == {"finished": 0, "median_seconds": None}
    (task,) = found["tasks"]
    assert task["state"] == "queued"
    assert task["result_size"]
    assert server.get("/status", key="another-one").json()["tasks"] == []


def test_status_is_not_kept_by_browsers(server):
    assert server.get("/status").headers["cache-control"] == "no-store"
