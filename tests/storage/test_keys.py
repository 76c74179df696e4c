"""Keys are found in their order, kept for their owner, and shown to nobody."""

import copy
import dataclasses
import json
import os
import pickle
import stat
import threading
import traceback
from pathlib import Path

import pytest

from upscale_bridge.errors import InvalidInputError, SettingsError
from upscale_bridge.storage import keys as keys_module
from upscale_bridge.storage.keys import FILE, FoundKey, Keys, Secret
from upscale_bridge.storage.settings import home
from upscale_bridge.vendors import VENDORS

OTHER = "pt-another-key"
KEY = "sk_aBcDeFgH-0123456789"
posix = pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")


@pytest.fixture(autouse=True)
def no_keys_of_this_machine(monkeypatch):
    for vendor in VENDORS:
        monkeypatch.delenv(vendor.key_variable, raising=False)


@pytest.fixture
def keys(tmp_path):
    return Keys(lambda: tmp_path / "host")


def write(folder, text):
    folder.mkdir(exist_ok=True)
    path = folder / FILE
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o600)
    return path


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# --- where they are found


def test_order_is_environment_then_host_then_home(keys, tmp_path, monkeypatch):
    assert keys.find("novita") is None
    write(home(), '{"novita": "key-of-home"}')
    assert keys.find("novita").secret.reveal() == "key-of-home"
    write(tmp_path / "host", '{"novita": " key-of-host\\n"}')
    found = keys.find("novita")
    assert (found.secret.reveal(), found.origin) == ("key-of-host", "file")
    monkeypatch.setenv("NOVITA_API_KEY", " key-of-environment\n")
    found = keys.find("novita")
    assert (found.secret.reveal(), found.origin) == ("key-of-environment", "environment")
    assert keys.find("photio") is None


@pytest.mark.parametrize("empty", ['""', "null"])
def test_empty_keys_are_none(keys, tmp_path, monkeypatch, empty):
    monkeypatch.setenv("NOVITA_API_KEY", "  ")
    write(tmp_path / "host", f'{{"novita": {empty}}}')
    write(home(), '{"novita": "key-of-home"}')
    assert keys.find("novita").secret.reveal() == "key-of-home"


def test_without_a_host_the_data_folder_is_used():
    Keys().set("photio", KEY)
    assert json.loads((home() / FILE).read_text()) == {"photio": KEY}
    assert Keys().find("photio").secret.reveal() == KEY


# --- what is written


def test_set_and_remove_leave_other_keys_alone(keys, tmp_path):
    keys.set("novita", KEY)
    keys.set("photio", f" {KEY}x\n")
    keys.set("novita", f"{KEY}y")
    assert json.loads(keys.path.read_text()) == {"novita": f"{KEY}y", "photio": f"{KEY}x"}
    assert keys.remove("novita")
    assert not keys.remove("novita")
    assert json.loads(keys.path.read_text()) == {"photio": f"{KEY}x"}
    assert [path.name for path in (tmp_path / "host").iterdir()] == [FILE]


@posix
def test_file_is_private_from_its_first_byte(keys, tmp_path, monkeypatch):
    seen = []
    fdopen = os.fdopen

    def watched(handle, *args, **options):
        facts = os.fstat(handle)
        seen.append((stat.S_IMODE(facts.st_mode), facts.st_size))
        return fdopen(handle, *args, **options)

    monkeypatch.setattr("upscale_bridge.storage.settings.os.fdopen", watched)
    before = os.umask(0)
    try:
        keys.set("novita", KEY)
        keys.set("photio", KEY)
    finally:
        os.umask(before)
    assert seen == [(0o600, 0), (0o600, 0)]
    assert (mode(keys.path), mode(tmp_path / "host")) == (0o600, 0o700)


@posix
def test_file_that_others_could_read_is_tightened_and_told(keys, tmp_path, caplog):
    path = write(tmp_path / "host", f'{{"novita": "{KEY}"}}')
    path.chmod(0o644)
    assert keys.find("novita").secret.reveal() == KEY
    assert mode(path) == 0o600
    assert str(path) in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("text", ["", "short", "two words", "line\nbreak-1234", "schlüssel-12345"])
def test_what_cannot_be_a_key_is_not_kept(keys, text):
    with pytest.raises(InvalidInputError) as caught:
        keys.set("novita", text)
    assert not text or text not in str(caught.value)
    assert not keys.path.exists()


def test_failed_write_keeps_the_old_file(keys, monkeypatch):
    keys.set("novita", KEY)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(SettingsError, match="Cannot write") as caught:
            keys.set("novita", OTHER)
    assert OTHER not in everything(caught.value)
    assert json.loads(keys.path.read_text()) == {"novita": KEY}
    assert [path.name for path in keys.path.parent.iterdir()] == [FILE]


def test_threads_that_set_keys_lose_none(keys):
    names = [f"service{number}" for number in range(8)]
    threads = [threading.Thread(target=keys.set, args=(name, KEY)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads(keys.path.read_text()).keys() == set(names)


# --- what is refused, without a word of it


def everything(error):
    """Return whatever a report of an error shows, causes included."""
    return "".join(traceback.format_exception(error)) + repr(error)


@pytest.mark.parametrize(
    "text", ["sk_hidden\nX-Evil: 1", "sk_hidden two", "sk_hidden\x00", "sk_hiddé"]
)
def test_unusable_key_in_the_environment_is_refused_without_it(keys, monkeypatch, text):
    monkeypatch.setattr(keys_module, "environment", lambda name: text)
    with pytest.raises(SettingsError, match="NOVITA_API_KEY holds no key: a key is") as caught:
        keys.find("novita")
    assert "sk_hid" not in everything(caught.value)
    assert "X-Evil" not in everything(caught.value)


UNUSABLE = ('{"novita": "two sk_hidden"}', '{"novita": {"a": "sk_hidden"}}')
BROKEN = (
    '{"novita": "sk_hidden',
    "sk_hidden",
    '["sk_hidden"]',
    '"sk_hidden"',
    "",
    b'{"novita": "sk_hidden\xff"}',
    b"\xef\xbb\xbf{sk_hidden}",
    '{"a": "sk_hidden", "b": ' + "[" * 100_000,
)


@pytest.mark.parametrize("text", [*BROKEN, *UNUSABLE, '{"novita": ["sk_hidden"]}'])
def test_wrong_file_is_a_clear_error_without_its_content(keys, tmp_path, text):
    path = write(tmp_path / "host", text)
    change = [lambda: keys.set("novita", KEY)] if text in BROKEN else []
    for action in (lambda: keys.find("novita"), *change):
        with pytest.raises(SettingsError) as caught:
            action()
        assert str(path) in str(caught.value)
        assert "sk_hidden" not in everything(caught.value)
    assert path.read_bytes() == (text if isinstance(text, bytes) else text.encode())


# --- secrets


def test_secret_is_shown_nowhere():
    secret = Secret(KEY)
    found = FoundKey(secret, "file")
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r}", f"{secret}", "%s" % secret]  # noqa: UP031
    shown += [
        repr(found),
        repr([secret]),
        repr({"a": secret}),
        json.dumps({"a": secret}, default=str),
    ]
    assert not any(KEY[:-4] in text for text in shown)
    assert all("..6789" in text for text in shown)
    assert repr(Secret("shortkey1")) == "<secret set>"


@pytest.mark.parametrize(
    "dump",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        vars,
        lambda secret: dataclasses.asdict(FoundKey(secret, "file")),
        lambda secret: pickle.dumps(FoundKey(secret, "file")),
        lambda secret: format(secret, ">60"),
        lambda secret: bytes(secret),
        iter,
        len,
    ],
)
def test_secret_cannot_be_dumped(dump):
    with pytest.raises(TypeError) as caught:
        dump(Secret(KEY))
    assert KEY not in everything(caught.value)


def test_secret_is_scrubbed_from_what_a_service_echoes():
    assert Secret(KEY).redactor.hide(f"a {KEY} b {KEY}") == "a *** b ***"
    assert Secret(KEY).redactor.hide_all({"a": [KEY, 1, None]}) == {"a": ["***", 1, None]}
