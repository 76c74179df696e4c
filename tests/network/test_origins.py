"""Who sends a request: a page of another site, this machine, or somebody else."""

import pytest

from upscale_bridge.network.origins import collect, is_json, is_local, refuse_cross_site

HERE = {"host": "127.0.0.1:8188"}


def test_headers_are_collected_in_lower_case_and_none_is_lost():
    pairs = [("Host", "a"), ("X-A", "1"), ("HOST", "b"), ("x-a", "2")]
    assert collect(pairs) == {"host": "a, b", "x-a": "1, 2"}
    assert collect([]) == {}


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("127.0.0.1:8188", {}),
        ("127.0.0.1:8188", {"origin": "http://127.0.0.1:8188"}),
        ("LocalHost:8188", {"origin": "HTTP://localhost:8188"}),
        ("[::1]:8188", {"origin": "http://[::1]:8188", "sec-fetch-site": "same-origin"}),
        ("a.example", {"origin": "http://a.example:80"}),
        ("a.example:80", {"origin": "http://a.example"}),
        ("a.example:443", {"origin": "https://a.example"}),
        ("a.example", {"origin": "https://a.example"}),
        ("a.example", {"referer": "https://a.example/a/b?c#d"}),
        ("a.example", {"referer": "http://a.example"}),
        ("a.example", {"referer": "", "sec-fetch-site": "none"}),
    ],
)
def test_own_pages_and_programs_pass(host, headers):
    assert refuse_cross_site({"host": host, **headers}) == ""


@pytest.mark.parametrize("scheme", ["", "http", "https"])
def test_encrypted_connection_has_encrypted_pages(scheme):
    for page in ({"origin": "http://a.example"}, {"referer": "http://a.example/"}):
        assert bool(refuse_cross_site({"host": "a.example", **page}, scheme)) is (scheme == "https")
    for page in ({"origin": "https://a.example"}, {"referer": "https://a.example/"}):
        assert refuse_cross_site({"host": "a.example", **page}, scheme) == ""


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("127.0.0.1", "127.0.0.1:8188"),
        ("127.0.0.1", "localhost"),
        ("127.9.9.9", "LOCALHOST:1"),
        ("::1", "[::1]:8188"),
        ("::ffff:127.0.0.1", "localhost:8188"),
    ],
)
def test_this_machine(peer, host):
    assert is_local(peer, {"host": host})
    assert is_local(peer, {"host": host, "origin": f"http://{host}", "user-agent": "a"})


BROWSER = (
    "accept accept-encoding accept-language cache-control comfy-user connection content-length "
    "content-type cookie dnt if-none-match origin pragma priority referer sec-ch-ua "
    "sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-gpc te "
    "transfer-encoding upgrade-insecure-requests user-agent x-client-name x-requested-with"
)


@pytest.mark.parametrize("name", BROWSER.split())
def test_headers_of_browsers_and_programs_are_those_of_this_machine(name):
    value = "http://127.0.0.1:8188" if name in ("origin", "referer") else "1"
    assert is_local("127.0.0.1", {**HERE, name: value})


@pytest.mark.parametrize(
    ("kind", "good"),
    [
        ("application/json", True),
        (" Application/JSON ; charset=UTF-8", True),
        ('application/json;charset="utf-8"', True),
        ("application/json; charset=utf-7", False),
        ("application/json; charset=utf-16", False),
        ("application/json; charset=utf-8; charset=utf-16", False),
        ("application/json; boundary=a", False),
        ("application/json, text/plain", False),
        ("text/plain, application/json", False),
        ("text/plain; application/json", False),
        ("text/plain", False),
        ("application/jsonp", False),
        ("application/json\x0b", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=a", False),
        ("", False),
    ],
)
def test_json_is_declared_as_such(kind, good):
    assert is_json({"content-type": kind}) is good


def test_undeclared_bodies_are_no_json():
    assert not is_json({})
