"""Keys of clients: only hashes are stored, and what each may do."""

import hashlib
import hmac
import json
import os
import stat

import pytest

from upscale_bridge.errors import InvalidInputError, SettingsError
from upscale_bridge.server.api_clients import ApiClient, ApiClients


@pytest.fixture
def customers(own_home):
    return ApiClients(own_home / "keys.json")


def write(customers, found):
    customers.path.parent.mkdir(exist_ok=True)
    text = found if isinstance(found, bytes) else json.dumps(found).encode()
    customers.path.write_bytes(text)


def digest(key):
    return hashlib.sha256(key.encode()).hexdigest()


def test_key_finds_its_owner_and_is_not_stored(customers):
    keys = {name: customers.add(name) for name in ("anna", "ben")}
    assert keys["anna"] != keys["ben"]
    assert all(key.startswith("ub-") and len(key) >= 35 for key in keys.values())
    text = customers.path.read_text("utf-8")
    for name, key in keys.items():
        assert customers.who(key) == ApiClient(name)
        assert key not in text
        assert key.removeprefix("ub-") not in text
        assert digest(key) in text
    assert customers.names() == ["anna", "ben"]


@pytest.mark.parametrize("key", ["", "ub-", "anna", "x" * 10_000, "é€"])
def test_other_keys_find_nobody(customers, key):
    right = customers.add("anna")
    assert customers.who(key) is None
    assert customers.who(right + "x") is None
    assert customers.who(right[:-1]) is None
    assert customers.who(digest(right)) is None


def test_removed_key_is_worthless_and_the_file_still_guards(customers):
    key = customers.add("anna")
    customers.remove("anna")
    assert customers.names() == []
    assert customers.who(key) is None
    assert customers.who("") is None


def test_name_is_given_once_and_must_be_known_to_go(customers):
    with pytest.raises(InvalidInputError, match="no key for anna"):
        customers.remove("anna")
    customers.add("anna")
    with pytest.raises(InvalidInputError, match="already"):
        customers.add("anna")


def test_file_is_read_anew(customers):
    key = ApiClients(customers.path).add("anna")
    assert customers.who(key) == ApiClient("anna")
    ApiClients(customers.path).remove("anna")
    assert customers.who(key) is None


def test_without_a_file_everybody_is_somebody(customers):
    assert customers.who("") == ApiClient("anyone")
    one, two = customers.who("sk-one"), customers.who("sk-two")
    assert one.name != two.name != "anyone"
    assert one == customers.who("sk-one")
    assert "sk-one" not in one.name
    assert customers.names() == []


def test_hashes_are_compared_in_constant_time(customers, monkeypatch):
    key = customers.add("anna")
    customers.add("ben")
    compared, real = [], hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda *two: compared.append(two) or real(*two))
    for one in (key, "wrong"):
        compared.clear()
        customers.who(one)
        assert len(compared) == 2  # the first hit is no reason to stop
        assert {pair[1] for pair in compared} == {digest(one)}


def test_limits_are_read_as_numbers_or_texts(customers):
    entry = {"sha256": digest("k"), "per_minute": "5", "per_day": 100}
    write(customers, {"anna": entry, "ben": {"sha256": digest("b"), "per_day": None}})
    anna = customers.who("k")
    assert anna == ApiClient("anna", 5, 100)
    assert anna.allowances == ((60.0, 5), (86_400.0, 100))
    assert customers.who("b").allowances == ()


def test_limits_outlive_a_new_key(customers):
    write(customers, {"anna": {"sha256": digest("k"), "per_minute": 5}})
    customers.add("ben")
    assert customers.who("k") == ApiClient("anna", 5)


@pytest.mark.parametrize(
    "found",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b'{"anna": 3}', b'{"anna": ["x"]}', b"[" * 100_000],
)
def test_broken_file_lets_nobody_in_and_is_not_overwritten(customers, found):
    write(customers, found)
    for use in (lambda: customers.who("k"), lambda: customers.add("x"), customers.names):
        with pytest.raises(SettingsError, match=r"keys\.json cannot be read"):
            use()
    assert customers.path.read_bytes() == found


@pytest.mark.parametrize("value", [None, 5, "", "é", "x" * 64, ["a"], {}])
def test_entry_without_a_hash_is_nobodys_and_hinders_nobody(customers, value):
    write(customers, {"broken": {"sha256": value}, "anna": {"sha256": digest("k")}})
    assert customers.who("k") == ApiClient("anna")
    assert customers.who("") is None
    assert customers.who("None") is None


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_file_is_for_its_owner_only(customers):
    before = os.umask(0)
    try:
        customers.add("anna")
        customers.add("ben")
    finally:
        os.umask(before)
    assert stat.S_IMODE(customers.path.stat().st_mode) == 0o600
    assert [path.name for path in customers.path.parent.iterdir()] == ["keys.json"]
