"""Pages of other sites, and proxies in front, cannot pass for the user at this machine."""

import random

import pytest

from upscale_bridge.network.origins import collect, is_json, is_local, refuse_cross_site

HOST = "127.0.0.1:8188"

FOREIGN = {
    "another site": {"origin": "https://evil.example"},
    "another port": {"origin": "http://127.0.0.1:3000"},
    "another name of this machine": {"origin": "http://localhost:8188"},
    "a name that begins alike": {"origin": "http://127.0.0.1:8188.evil.example"},
    "a name that ends alike": {"origin": "http://evil127.0.0.1:8188"},
    "a user that looks like a host": {"origin": "http://127.0.0.1:8188@evil.example"},
    "a host behind a user": {"origin": "http://evil.example@127.0.0.1:8188"},
    "a path": {"origin": "http://127.0.0.1:8188/"},
    "a query": {"origin": "http://127.0.0.1:8188?"},
    "a backslash": {"origin": "http://127.0.0.1:8188\\@evil.example"},
    "no port": {"origin": "http://127.0.0.1"},
    "a port of another form": {"origin": "http://127.0.0.1:08188"},
    "a sandbox or a file": {"origin": "null"},
    "a scheme of its own": {"origin": "chrome-extension://127.0.0.1:8188"},
    "no scheme": {"origin": "//127.0.0.1:8188"},
    "nothing": {"origin": ""},
    "two": {"origin": "http://127.0.0.1:8188, https://evil.example"},
    "a list": {"origin": "http://127.0.0.1:8188 https://evil.example"},
    "a new line": {"origin": "http://127.0.0.1:8188\n"},
    "a referer": {"referer": "https://evil.example/a"},
    "a referer with our address in it": {"referer": "https://evil.example/http://127.0.0.1:8188/"},
    "a referer with a user": {"referer": "http://127.0.0.1:8188@evil.example/"},
    "a referer beside our origin": {
        "origin": "http://127.0.0.1:8188",
        "referer": "https://evil.example/",
    },
    "an origin beside our referer": {
        "origin": "https://evil.example",
        "referer": "http://127.0.0.1:8188/",
    },
    "what the browser says": {"sec-fetch-site": "cross-site"},
    "another port, as the browser says": {"sec-fetch-site": "same-site"},
    "what the browser says, in any case": {"sec-fetch-site": "Cross-Site"},
    "what no browser says": {"sec-fetch-site": "same-origin, cross-site"},
    "what the browser says beside our origin": {
        "origin": "http://127.0.0.1:8188",
        "sec-fetch-site": "cross-site",
    },
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_pages_of_other_sites_are_refused(headers):
    found = {"host": HOST, **headers}
    assert refuse_cross_site(found).endswith(".")
    assert refuse_cross_site(found, "http")
    assert not is_local("127.0.0.1", found)


@pytest.mark.parametrize("host", ["", "a, b", "127.0.0.1:8188, evil.example", "[", "a b", "a/b"])
def test_page_of_a_server_without_a_name_is_none_of_ours(host):
    for headers in ({"host": host}, {}):
        assert refuse_cross_site({**headers, "origin": f"http://{host}"})
        assert not is_local("127.0.0.1", headers)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",  # leads here (DNS rebinding)
        "evil.example:8188",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost.",
        "192.168.1.5:8188",
        "0.0.0.0:8188",
        "2130706433",
        "127.1",
        "[::1",
        "[::1]]",
        "[::ffff:10.0.0.1]",
        "localhost:port",
        "localhost:8188, localhost:8188",
        "user@localhost",
    ],
)
def test_foreign_names_of_this_machine_are_not_local(host):
    assert not is_local("127.0.0.1", {"host": host})
    assert not is_local("127.0.0.1", {"host": host, "origin": f"http://{host}"})


@pytest.mark.parametrize("peer", ["192.168.1.7", "8.8.8.8", "fe80::1", "unix", "", None, "::"])
def test_other_machines_are_not_local(peer):
    assert not is_local(peer, {"host": HOST})


PASSED_ON = """
Forwarded X-Forwarded X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Forwarded-Port
X-Forwarded-Server X-Forwarded-Prefix X-Forwarded-User X-Forwarded-Email X-Forwarded-Ssl
X-Forwarded-Client-Cert X_Forwarded_For Forwarded-For X-Forwarder-For X-Real-IP X-Real-Port
X-Client-IP Client-IP X-Cluster-Client-IP True-Client-IP Fly-Client-IP Fastly-Client-IP
CF-Connecting-IP CF-Connecting-IPv6 CF-Ray CF-Visitor CF-IPCountry CDN-Loop Via X-Via Proxy-Via
X-Original-Host X-Original-URL X-Original-URI X-Original-Forwarded-For X-Originating-IP
X-Rewrite-URL X-Remote-IP X-Remote-Addr Remote-Addr Remote-User X-Remote-User X-ProxyUser-Ip
X-Proxy-User Proxy-Connection Proxy-Authorization X-Host X-HTTP-Host-Override X-Scheme X-Url-Scheme
X-Envoy-External-Address X-Envoy-Original-Path X-Request-ID X-Request-Start X-Correlation-ID
X-Trace-ID X-B3-TraceId Traceparent X-Amzn-Trace-Id X-Amz-Cf-Id CloudFront-Viewer-Country
X-Azure-ClientIP X-Azure-FDID X-ARR-LOG-ID X-AppEngine-User-IP X-Cloud-Trace-Context
X-Akamai-Edgescape Tailscale-User-Login Tailscale-User-Name Tailscale-Headers-Info
Ngrok-Auth-User-Email X-Tunnel-Id X-Nginx-Proxy X-Varnish X-Gateway-Id X-Auth-Request-User
"""


@pytest.mark.parametrize("name", PASSED_ON.split())
def test_what_a_proxy_passed_on_is_not_local(name):
    found = collect([("Host", HOST), ("Origin", f"http://{HOST}"), (name, "")])
    assert not is_local("127.0.0.1", found)
    assert refuse_cross_site(found) == "", "the page is ours all the same"


@pytest.mark.parametrize(
    "page",
    [
        {"origin": "http://192.168.1.5:8080"},
        {"referer": "http://192.168.1.5:8080/"},
        {"origin": "https://comfy.example"},
    ],
)
def test_proxy_that_writes_over_the_host_is_known_by_its_page(page):
    assert not is_local("127.0.0.1", {"host": HOST, **page})


def test_random_headers_never_pass_for_ours():
    """Whatever is made of these pieces is refused, or names exactly the server."""
    chance = random.Random(3)
    pieces = [
        "http",
        "https",
        "://",
        ":",
        "//",
        "/",
        "127.0.0.1",
        "8188",
        "localhost",
        "evil.example",
        "@",
        "\\",
        "?",
        "#",
        ",",
        " ",
        "\t",
        "[::1]",
        "%00",
        "null",
        "\u0661",
        "\u212a",
        "",
    ]
    names = ["origin", "referer", "sec-fetch-site", "x-forwarded-for", "content-type", "host"]
    for _ in range(10_000):
        text = "".join(chance.choices(pieces, k=chance.randint(1, 7)))
        if chance.random() < 0.1:
            text = "http://127.0.0.1:8188" + chance.choice(pieces)
        headers = {"host": HOST, chance.choice(names): text}
        passed = refuse_cross_site(headers) == ""
        for name in ("origin", "referer"):
            if passed and headers.get(name):
                ours = f"http://{HOST}", f"https://{HOST}"
                assert headers[name].lower().startswith(ours)
                assert headers[name].lower()[len(ours[0]) :].strip("/")[:1] not in ("@", "\\", ":")
        local = is_local("127.0.0.1", headers)
        assert not (local and not passed)
        assert not (local and "x-forwarded-for" in headers)
        assert is_json(headers) is (headers.get("content-type") == "application/json")
