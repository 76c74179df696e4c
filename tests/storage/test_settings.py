"""Settings come from the host, the environment and a file, in that order."""

import pytest

from upscale_bridge.errors import SettingsError
from upscale_bridge.storage.settings import FILE, Settings, home, load_settings, make_folder
from upscale_bridge.vendors import VENDORS


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch):
    for vendor in VENDORS:
        monkeypatch.delenv(vendor.url_variable, raising=False)


def write(text):
    home().mkdir(exist_ok=True)
    (home() / FILE).write_bytes(text if isinstance(text, bytes) else text.encode())


def test_defaults_are_those_of_the_declaration():
    assert load_settings() == Settings()
    found = Settings()
    assert {found.base_url(vendor.name) for vendor in VENDORS} == {""}
    numbers = found.concurrency, found.task_seconds, found.queue_seconds, found.result_days
    assert numbers == (3, 600, 3600, 7)


def test_order_is_host_then_environment_then_file(monkeypatch):
    write(
        '{"novita_base_url": "https://file", "photio_base_url": "https://file", "concurrency": 5}'
    )
    assert load_settings().novita_base_url == "https://file"
    monkeypatch.setenv("NOVITA_BASE_URL", " https://environment ")
    assert load_settings().novita_base_url == "https://environment"
    found = load_settings({"novita_base_url": "https://host", "concurrency": 7})
    assert (found.novita_base_url, found.photio_base_url) == ("https://host", "https://file")
    assert (found.concurrency, found.task_seconds) == (7, 600)
    assert found.base_url("photio") == "https://file"


def test_environment_holds_addresses_only(monkeypatch):
    monkeypatch.setenv("CONCURRENCY", "9")
    monkeypatch.setenv("RESULT_DAYS", "9")
    assert load_settings() == Settings()


def test_unknown_names_are_left_to_newer_versions():
    write('{"of the future": 1, "result_days": 1}')
    assert load_settings({"other": 2}) == Settings(result_days=1)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("concurrency", 0, "from 1 to 64"),
        ("concurrency", 65, "from 1 to 64"),
        ("concurrency", "3", "a whole number"),
        ("task_seconds", 9, "from 10 to 86400"),
        ("queue_seconds", 1e9, "from 10 to 604800"),
        ("result_days", -1, "from 1 to 3650"),
        ("novita_base_url", 5, "a text"),
    ],
)
def test_values_out_of_range_are_refused_by_name(name, value, message):
    with pytest.raises(SettingsError, match=f"{name} must be .*{message}"):
        load_settings({name: value})


def test_bad_value_of_a_host_is_not_blamed_on_the_file():
    with pytest.raises(SettingsError) as caught:
        load_settings({"concurrency": 0})
    assert FILE not in str(caught.value)


BROKEN = ("", "{", "[1]", '"a"', "null", b"\xff\xfe{", "[" * 100_000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"concurrency": 0}', "concurrency must be"),
        *((one, "mend or remove it") for one in BROKEN),
    ],
)
def test_what_is_wrong_in_the_file_is_said_with_its_name(text, said):
    write(text)
    with pytest.raises(SettingsError, match=said) as caught:
        load_settings()
    assert str(home() / FILE) in str(caught.value)


def test_file_that_is_a_folder_is_a_clear_error():
    (home() / FILE).mkdir(parents=True)
    with pytest.raises(SettingsError, match="Cannot read"):
        load_settings()


def test_private_folders_are_for_their_owner(tmp_path):
    path = make_folder(tmp_path / "a" / "b", private=True)
    assert make_folder(path, private=True) == path
    assert path.stat().st_mode & 0o077 == 0


def test_home_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("UPSCALE_BRIDGE_HOME", f" {tmp_path} ")
    assert home() == tmp_path
    monkeypatch.setenv("UPSCALE_BRIDGE_HOME", "~/here")
    assert home().is_absolute()
