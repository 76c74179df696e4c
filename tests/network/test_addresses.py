"""Where keys and images may go, and where results may come from."""

import socket

import pytest

from upscale_bridge.errors import BadReplyError, SettingsError, TransportError
from upscale_bridge.network import addresses
from upscale_bridge.network.addresses import (
    base_target,
    check_base_url,
    check_named_url,
    is_public,
    origin,
    place_of,
    resolve,
)

NAMES = {
    "public.example": ["93.184.216.34", "2606:2800:220:1::1"],
    "other.example": ["93.184.216.35"],
    "lan.example": ["192.168.1.5"],
    "both.example": ["93.184.216.34", "10.0.0.1"],
    "mapped.example": ["::ffff:10.0.0.1"],
    "scoped.example": ["fe80::1%eth0"],
    "localhost": ["127.0.0.1", "::1"],
}
PUBLIC, PRIVATE = "https://public.example", "http://lan.example:8000"


def look_up(host):
    """Know some names, and numbers in every form that the operating system takes."""
    if host in NAMES:
        return NAMES[host]
    try:
        return [str(socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, host)))]
    except OSError:
        return [socket.inet_ntoa(socket.inet_aton(host))]  # raises OSError for names


def base(url):
    return check_base_url(url, "NOVITA_BASE_URL", look_up)


def named(url, base_url=PUBLIC):
    check_named_url(url, base_url, look_up)


# --- base URLs


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://public.example", "https://public.example"),
        ("https://public.example/", "https://public.example"),
        ("https://public.example:8443/a/b/", "https://public.example:8443/a/b"),
        ("https://nobody.knows", "https://nobody.knows"),
        ("https://[2606:2800:220:1::1]:8443", "https://[2606:2800:220:1::1]:8443"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://10.1.2.3", "http://10.1.2.3"),
        ("http://172.16.0.1", "http://172.16.0.1"),
        ("http://192.168.0.1", "http://192.168.0.1"),
        ("http://169.254.1.1", "http://169.254.1.1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://[fd00::1]", "http://[fd00::1]"),
        ("http://[fe80::1]", "http://[fe80::1]"),
        ("http://[::ffff:10.0.0.1]", "http://[::ffff:10.0.0.1]"),
        ("http://lan.example", "http://lan.example"),
    ],
)
def test_good_base_urls_lose_their_last_slash(url, kept):
    assert base(url) == kept


@pytest.mark.parametrize(
    "url",
    [
        "",
        "public.example",
        "public.example:443",
        "//public.example",
        "/v3",
        "https://",
        "https:///v3",
        "https://:443",
        "ftp://public.example",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://public.example:port",
        "https://public.example:99999",
        "https://public.example:-1",
        "https://[::1",
        "https://user@public.example",
        "https://user:hush@public.example",
        "https://:hush@public.example",
        "https://@public.example",
        "https://public.example?hush=1",
        "https://public.example#hush",
        "https://public.example?",
        "https://public.example#",
        "https://public.example/a?",
        "https://public.example\\@other.example",
        "https://public.example\n.other.example",
        "https://public.example /a",
        " https://public.example",
        "https://pub\tlic.example",
    ],
)
def test_bad_base_urls_are_refused_by_their_variable(url):
    with pytest.raises(SettingsError, match="NOVITA_BASE_URL must be an address such as") as caught:
        base(url)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://public.example",
        "HTTP://PUBLIC.EXAMPLE",
        "http://93.184.216.34",
        "http://8.8.8.8:8000",
        "http://[2606:2800:220:1::1]",
        "http://[::ffff:8.8.8.8]",
        "http://both.example",
        "http://134744072",  # 8.8.8.8
    ],
)
def test_keys_do_not_travel_in_the_clear(url):
    with pytest.raises(SettingsError, match=r"begins with http: and .* use https"):
        base(url.replace("PUBLIC", "public"))


def test_private_host_whose_name_is_unknown_now_is_a_matter_of_the_network():
    with pytest.raises(TransportError, match=r"Cannot look up nobody.knows, .* NOVITA_BASE_URL"):
        base("http://nobody.knows:8000")
    with pytest.raises(TransportError) as caught:
        base("http://nobody.knows")
    assert not caught.value.sent


# --- what a service names


@pytest.mark.parametrize(
    "url",
    [
        "https://public.example/a.png?sig=a%2Fb",
        "https://other.example/a.png",
        "https://other.example:8443/a.png",
        "https://8.8.8.8/a.png",
        "https://[2606:2800:220:1::1]/a.png",
        "https://nobody.knows/a.png",
    ],
)
def test_public_service_may_name_public_addresses(url):
    named(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost/a.png",
        "https://127.0.0.1/a.png",
        "https://127.1/a.png",
        "https://0.0.0.0/a.png",
        "https://0/a.png",
        "https://[::1]/a.png",
        "https://[::]/a.png",
        "https://[::ffff:127.0.0.1]/a.png",
        "https://[::ffff:7f00:1]/a.png",
        "https://10.0.0.1/a.png",
        "https://172.31.255.255/a.png",
        "https://192.168.1.5/a.png",
        "https://100.64.0.1/a.png",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/latest/meta-data/",
        "https://[fe80::1]/a.png",
        "https://2130706433/a.png",
        "https://0x7f000001/a.png",
        "https://017700000001/a.png",
        "https://0x7f.1/a.png",
        "https://lan.example/a.png",
        "https://both.example/a.png",
        "https://mapped.example/a.png",
        "https://scoped.example/a.png",
        "https://public.example@127.0.0.1/a.png",
        "https://public.example:443@lan.example/a.png",
    ],
)
def test_public_service_must_not_lead_into_private_networks(url):
    with pytest.raises(BadReplyError, match="lies in a private network; it is not used"):
        named(url)


@pytest.mark.parametrize("url", ["http://other.example/a.png", "http://public.example/a.png"])
def test_public_service_must_not_leave_encryption(url):
    with pytest.raises(BadReplyError, match="not encrypted"):
        named(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.png",
        "/a.png",
        "//other.example/a.png",
        "ftp://other.example/a.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "https://",
        "https://[::1/a.png",
        "https://other.example:port/a.png",
        # Libraries disagree where the host of these ends.
        "https://127.0.0.1\\@public.example/a.png",
        "https://public.example\\@127.0.0.1/a.png",
        "https://127.0.0.1\\.public.example/a.png",
        "https://public.example\t@127.0.0.1/a.png",
        "https://public.example/a\r\nX-Evil: 1",
    ],
)
@pytest.mark.parametrize("base_url", [PUBLIC, PRIVATE])
def test_what_is_no_address_is_refused(url, base_url):
    with pytest.raises(BadReplyError):
        named(url, base_url)


@pytest.mark.parametrize(
    "host", ["a..example", "." * 5, "a" * 70 + ".example", "\u2488com.example"]
)
def test_hosts_that_cannot_be_looked_up_are_no_surprise(host, monkeypatch):
    """The operating system's look-up raises UnicodeError for them, which is no OSError."""

    def getaddrinfo(name, port):
        name.encode("idna")
        raise socket.gaierror

    monkeypatch.setattr(addresses.socket, "getaddrinfo", getaddrinfo)
    try:
        check_named_url(f"https://{host}/a.png", PUBLIC)
    except BadReplyError:
        return
    with pytest.raises((SettingsError, TransportError)):
        check_base_url(f"http://{host}", "NOVITA_BASE_URL")


@pytest.mark.parametrize(
    "url",
    [
        "http://lan.example:8000/a.png",
        "http://localhost:9000/a.png",
        "http://169.254.169.254/a.png",
        "http://other.example/a.png",
        "https://other.example/a.png",
    ],
)
def test_private_service_may_name_every_address(url):
    named(url, PRIVATE)


def test_services_own_origin_is_allowed_though_it_became_private():
    """A name that a proxy or a tunnel answers for."""
    named("https://lan.example/a.png", "https://lan.example/api")
    named("https://both.example:443/a.png", "https://both.example")
    with pytest.raises(BadReplyError):
        named("https://both.example:8443/a.png", "https://both.example")


def test_refusals_show_no_signature():
    for url in ("http://user:hush@other.example/a?hush=1", "https://user:hush@10.0.0.1/hush?hush"):
        with pytest.raises(BadReplyError) as caught:
            named(url)
        assert "hush" not in str(caught.value)


# --- pieces


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("localhost", "private"),
        ("lan.example", "private"),
        ("both.example", "public"),
        ("public.example", "public"),
        ("nobody.knows", "unknown"),
        ("", "unknown"),
        ("mapped.example", "private"),
        ("scoped.example", "private"),
    ],
)
def test_private_means_every_address(host, place):
    assert place_of(host, look_up) == place


def test_host_without_addresses_is_unknown():
    assert place_of("a", lambda host: []) == "unknown"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:2800:220:1::1", True),
        ("64:ff9b::808:808", True),
        ("2002:808:808::1", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b:1::808:808", False),
        ("2002:7f00:1::1", False),
        ("2001:0:7f00:1::1", False),
        ("::7f00:1", False),
        ("::ffff:0:127.0.0.1", False),
        ("fec0::1", False),
        ("224.0.0.1", False),
        ("ff0e::1", False),
        ("100.64.0.1", False),
        ("198.18.0.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_addresses_in_other_forms(address, public):
    assert is_public(address) is public


def test_host_is_looked_up_once_for_one_request():
    asked = []
    target = base_target("http://lan.example", lambda host: asked.append(host) or ["10.0.0.1"])
    assert asked == []
    assert (target.place, list(target.check()), target.place) == (
        "private",
        ["10.0.0.1"],
        "private",
    )
    assert asked == ["lan.example"]


def test_plain_http_does_not_leave_the_private_network():
    for found in (["8.8.8.8"], ["10.0.0.1", "8.8.8.8"], []):
        with pytest.raises(TransportError) as caught:
            base_target("http://lan.example", lambda host, found=found: found).check()
        assert not caught.value.sent
    assert base_target("https://lan.example", lambda host: ["8.8.8.8"]).check() == ("8.8.8.8",)


def test_origin_knows_the_standard_ports():
    assert origin("https://A.example/x") == ("https", "a.example", 443)
    assert origin("http://a.example:80/x") == origin("http://a.example")
    assert origin("https://a.example:80") != origin("http://a.example:80")


def test_names_of_this_machine_are_resolved():
    assert set(resolve("127.0.0.1")) == {"127.0.0.1"}
