"""Addresses of results that are relative, not escaped, or nothing that may be fetched."""

import dataclasses

import pytest
import torch

from tests.fakes.faults import Fault
from tests.remote.host import enlarged, picture
from upscale_bridge.contract.reading import complete_url
from upscale_bridge.errors import UpscaleError

SIGNED = (
    "https://faas.s3.amazonaws.com/a/b%20c+d.png?X-Amz-Credential=AK%2F2024%2Fs3&X-Amz-Date="
    "20240321T000000Z&X-Amz-Signature=0a%3D&a=;b='()*!,~"
)
BASE = "https://api.vendor.example"


@pytest.mark.parametrize(
    "url",
    [
        SIGNED,
        "https://h.example",
        "HTTPS://H.example/A%2fb",
        "http://127.0.0.1:8190/v1/x.png?",
        "https://h.example/a//b/../c/./d?x=%zz&y=a+b",
        "https://[2001:db8::1]:8443/x.png",
        "https://h.example/x;p=1?a[0]=1&b={}".replace("{}", ""),
    ],
)
def test_good_address_stays_as_it_is(url):
    assert complete_url(url, BASE) == url


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("/files/a.png", f"{BASE}/files/a.png"),
        ("/files/a.png?sig=a%2Fb%3D&x=1", f"{BASE}/files/a.png?sig=a%2Fb%3D&x=1"),
        ("files/a.png", f"{BASE}/files/a.png"),
        ("./a.png", f"{BASE}/a.png"),
        ("//cdn.example/a.png", "https://cdn.example/a.png"),
        (" https://h.example/a.png\n", "https://h.example/a.png"),
        ("https://h.example/my result.png", "https://h.example/my%20result.png"),
        ("https://h.example/größe/猫.png", "https://h.example/gr%C3%B6%C3%9Fe/%E7%8C%AB.png"),
        ("https://h.example/a b%20c.png?q=ä%3D", "https://h.example/a%20b%20c.png?q=%C3%A4%3D"),
        ('https://h.example/a"b<c>.png', "https://h.example/a%22b%3Cc%3E.png"),
        ("https://h.example/a{b}|c^`.png", "https://h.example/a%7Bb%7D%7Cc%5E%60.png"),
        ("https://h.example/my a.png?x=1&y=2;z=[3]", "https://h.example/my%20a.png?x=1&y=2;z=[3]"),
    ],
)
def test_address_is_completed(url, whole):
    assert complete_url(url, BASE) == whole


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "javascript:alert(1)", "ftp://h.example/x", "http://[::1/x"]
)
def test_what_is_no_address_of_the_web_does_not_become_one(url):
    assert not complete_url(url, BASE).startswith(("http://h", "https://"))


def altered(change):
    """Let a poll name its result in another way."""

    def act(x):
        found = x.behave()
        text = found.body.decode()
        x.send(dataclasses.replace(found, body=change(text, x.service).encode()))

    return Fault("altered", act)


@pytest.mark.parametrize("command", ["novita", "wavespeed"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text, fake: text.replace(fake.files_url, ""),
        lambda text, fake: text.replace("http://", "//"),
        lambda text, fake: text.replace(f"{fake.files_url}/files", "files"),
        lambda text, fake: text.replace(fake.files_url, f" {fake.files_url}"),
    ],
    ids=["no host", "no scheme", "relative", "blank before"],
)
def test_result_at_an_odd_address_is_fetched(vendor, command, change):
    vendor.fake.faults["poll"].append(altered(change))
    assert torch.equal(vendor.run(command).images, enlarged(command, picture()))
    assert vendor.fake.count("poll") == 1
    assert len(vendor.fake.tasks) == 1


def test_address_that_may_not_be_used_is_still_refused(vendor):
    """Completing must not lead where a whole address would not be followed."""
    vendor.fake.faults["poll"].extend(
        [altered(lambda text, fake: text.replace(f"{fake.files_url}/files", "file:///etc"))] * 9
    )
    with pytest.raises(UpscaleError, match="that is not http"):
        vendor.run("novita")
