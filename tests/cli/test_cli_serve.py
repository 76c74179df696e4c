"""`serve` as far as it gets without listening, and `server-keys`."""

import json
import sys

import pytest

from upscale_bridge.server.customers import Customers
from upscale_bridge.settings import home


def test_key_is_shown_once_and_stored_as_a_hash(run):
    status, out, err = run("server-keys", "add", "anna")
    key = out.strip()
    assert status == 0
    assert key.startswith("ub-")
    assert "only its hash is stored" in err
    assert key not in (home() / "server-keys.json").read_text("utf-8")
    assert Customers(home() / "server-keys.json").who(key).name == "anna"
    assert run("server-keys", "list")[1] == "anna\n"
    assert json.loads(run("server-keys", "--json")[1]) == ["anna"]


def test_name_has_one_key(run):
    run("server-keys", "add", "anna")
    status, _, err = run("server-keys", "add", "anna")
    assert status == 2
    assert "remove it first" in err


def test_removed_key_is_worthless(run):
    key = run("server-keys", "add", "anna")[1].strip()
    run("server-keys", "add", "bert")
    assert run("server-keys", "remove", "anna")[0] == 0
    assert Customers(home() / "server-keys.json").who(key) is None
    assert run("server-keys", "remove", "anna")[0] == 2


def test_keys_file_may_lie_elsewhere(run, tmp_path):
    path = tmp_path / "keys.json"
    run("server-keys", "add", "anna", "--keys", path)
    assert run("server-keys", "list", "--keys", path)[1] == "anna\n"
    assert run("server-keys")[1] == "No keys.\n"


def test_other_addresses_need_keys(run):
    status, _, err = run("serve", "--host", "0.0.0.0", "--port", "0")
    assert status == 3
    assert "server-keys add NAME" in err


@pytest.mark.parametrize("package", ["uvicorn", "starlette", "prometheus_client"])
def test_missing_package_names_the_extra(run, monkeypatch, package):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    for module in ("http", "protocol", "endpoint", "bodies", "metrics"):
        monkeypatch.delitem(sys.modules, f"upscale_bridge.server.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    status, _, err = run("serve", "--port", "0")
    assert status == 3
    assert "pip install upscale-bridge[server]" in err
