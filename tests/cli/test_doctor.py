"""The command `upscale-bridge doctor`: what it finds, what it advises, what it must not show."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from upscale_bridge import __version__
from upscale_bridge.cli import doctor, findings
from upscale_bridge.errors import AuthError, MissingKeyError
from upscale_bridge.local import library
from upscale_bridge.remote.hosts import Hosts
from upscale_bridge.vendors import VENDORS

ROOT = Path(__file__).resolve().parents[2]
HOST = "gpu.example.com:8443"
KEY = "wsk-0123456789abcdefghijkl"


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """Enlarge a picture only in tests that are about it: it takes most of the time."""
    if "trial" not in request.fixturenames:
        monkeypatch.setattr(doctor, "_trial", lambda found, _: found.tell("trial", "left", "out"))


@pytest.fixture
def trial():
    """A test that takes it has the trial."""


@pytest.fixture
def diagnose(run):
    """Run it with --json; return its exit status, facts and problems."""

    def call(*arguments):
        status, out, err = run("doctor", "--json", *arguments)
        assert not err
        told = json.loads(out)
        assert told["version"] == __version__
        return status, told["facts"], [problem["text"] for problem in told["problems"]]

    return call


@pytest.mark.usefixtures("trial")
def test_a_good_machine_has_no_problem_and_is_left_as_it_was(diagnose, tmp_path, own_home):
    status, facts, problems = diagnose()
    assert (status, problems) == (0, [])
    assert set(doctor.NEEDED) <= set(facts["packages"])
    assert facts["devices"]["chosen"] in facts["devices"]
    assert facts["models"]["UpscaleBridge-x4"] == "shipped, 2.49 MB"
    assert facts["trial"]["enlarged"].startswith("32 x 32 -> 64 x 64 with UpscaleBridge-x4")
    assert set(facts["hosts"]) == {"proxies", *(vendor.title for vendor in VENDORS)}
    assert "Novita Upscale to Resolution" in facts["hosts"]["Novita"]
    assert list(tmp_path.iterdir()) == []
    assert not own_home.exists()


def test_the_same_is_said_in_words(run):
    status, out, err = run("doctor")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"Upscale Bridge {__version__}"
    assert lines[-1] == "Nothing is missing."
    sections = [line for line in lines[1:-1] if line and not line.startswith(" ")]
    assert sections == [
        *("system", "packages", "devices", "folders", "keys", "hosts", "models", "trial")
    ]


def test_it_works_without_a_single_package(tmp_path):
    """Isolated, and without site-packages: nothing is there but the standard library."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from upscale_bridge.cli import main; "
    command = [sys.executable, "-I", "-S", "-B", "-c", code + "sys.exit(main(sys.argv[1:]))"]
    done = subprocess.run([*command, "doctor"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    for name in doctor.NEEDED:
        assert re.search(rf"^  {name} +missing$", done.stdout, re.MULTILINE)
        assert f"{name} is missing. " in done.stdout
    assert "https://pytorch.org/get-started/locally." in done.stdout


def test_needed_packages_are_those_of_the_project():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    declared = re.search(r"^dependencies = \[(.*)\]$", text, re.MULTILINE)[1]
    needed = [f"{name}>={least}" if least else name for name, least in doctor.NEEDED.items()]
    assert re.findall(r'"(.*?)"', declared) == needed


def test_an_old_package_is_named(diagnose, monkeypatch):
    have = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda n: "2.9.1" if n == "requests" else have(n))
    status, _, problems = diagnose()
    assert status == 0
    (problem,) = problems
    assert problem.startswith("requests 2.9.1 is older than 2.28. Run `python")
    assert problem.endswith("-m pip install --upgrade requests`.")


@pytest.mark.usefixtures("trial")
def test_a_torch_that_cannot_be_loaded_is_named(diagnose, monkeypatch):
    monkeypatch.setitem(sys.modules, "upscale_bridge.local.devices", None)
    status, facts, problems = diagnose()
    assert status == 1
    assert problems[0].startswith("PyTorch cannot be loaded (")
    assert "trial" not in facts


@pytest.mark.usefixtures("trial")
def test_a_device_that_is_not_there_is_named(diagnose):
    status, _, problems = diagnose("--device", "cuda:77")
    assert status == 1
    assert any("'cuda:77' cannot be used" in problem for problem in problems)


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_keys_are_found_and_nothing_of_them_is_shown(run, own_home, monkeypatch, flags):
    monkeypatch.setenv("NOVITA_API_KEY", KEY)
    own_home.mkdir()
    (own_home / "keys.json").write_text(json.dumps({"wavespeed": KEY[::-1]}))
    (own_home / "keys.json").chmod(0o600)
    _, out, err = run("doctor", *flags)
    assert re.search(r"Novita\W+found in the environment", out)
    assert re.search(r"WaveSpeed\W+found in the file", out)
    for part in (KEY[:4], KEY[-4:], KEY[::-1][:4], KEY[::-1][-4:]):
        assert part not in out + err


def test_a_text_that_is_no_key_is_named_and_not_shown(diagnose, monkeypatch):
    monkeypatch.setenv("PHOTIO_API_KEY", "two words")
    _, facts, problems = diagnose()
    assert facts["keys"]["Photio"] == "unusable"
    assert any(problem.startswith("PHOTIO_API_KEY holds no key") for problem in problems)
    assert "two words" not in str(facts) + str(problems)


@pytest.mark.parametrize(
    ("address", "shown", "said"),
    [
        (f"https://anna:secret@{HOST}/token-abc?x=1", f"https://{HOST}", "must be an address"),
        ("http://gpu.local:8190/token-abc", "http://gpu.local:8190", ""),
        ("http://[", "no address", "must be an address"),
    ],
)
def test_of_an_address_only_scheme_host_and_port_are_shown(
    diagnose, monkeypatch, address, shown, said
):
    """It is not looked up."""
    monkeypatch.setenv("NOVITA_BASE_URL", address)
    _, facts, problems = diagnose()
    assert facts["hosts"]["Novita"] == f"{shown}, another host"
    assert [f"NOVITA_BASE_URL {said}" in problem for problem in problems] == [True] * bool(said)
    assert not any(word in f"{facts}{problems}" for word in ("anna", "secret", "token"))


@pytest.mark.parametrize("key", [KEY, ""])
def test_another_host_is_not_asked(diagnose, monkeypatch, key):
    monkeypatch.setenv("NOVITA_BASE_URL", "http://localhost:9/token-abc/")
    monkeypatch.setenv("NOVITA_API_KEY", key)
    _, facts, problems = diagnose("--online")
    assert facts["answers"]["Novita"] == "not asked, it is another host"
    assert "token" not in f"{facts}{problems}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *((f"Look into /home/anna{end}", f"Look into ~{end}") for end in ("", ".", "/a.png", "'")),
        *((f"/home/anna{end}", f"~{end}") for end in (", and more", " (x)", "\\a")),
        *((same, same) for same in ("/home/annabel", "/home/anna-2/x", "/home/anna.old", "anna")),
    ],
)
def test_the_home_is_found_whatever_stands_behind_it(monkeypatch, text, shown):
    monkeypatch.setattr(Path, "home", lambda: Path("/home/anna"))
    assert findings._private(text) == shown


@pytest.mark.parametrize("name", ["anna", "Anna Müller", "a.b+c"])
def test_the_users_home_is_a_tilde(run, tmp_path, monkeypatch, name):
    place = tmp_path / name
    (place / "data").mkdir(parents=True)
    (place / "data" / "settings.json").write_text("[]")
    beside = tmp_path / f"{name}2"
    beside.mkdir()
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("USERPROFILE", str(place))
    monkeypatch.setenv("UPSCALE_BRIDGE_HOME", str(place / "data"))
    for flags in ([], ["--json"]):
        _, out, _ = run("doctor", "--models-dir", beside, "--models-dir", place / "none", *flags)
        text = out if not flags else str(json.loads(out))
        assert str(place) not in text.replace(str(beside), "")
        assert f"~{'/' if sys.platform != 'win32' else chr(92)}data" in text
        assert str(beside) in text


def test_settings_that_cannot_be_read_are_named(diagnose, own_home):
    own_home.mkdir()
    (own_home / "settings.json").write_text("{")
    status, _, problems = diagnose()
    assert status == 0
    assert any("mend or remove it" in problem for problem in problems)


def test_settings_other_than_the_defaults_are_shown(diagnose, own_home):
    own_home.mkdir()
    (own_home / "settings.json").write_text('{"concurrency": 5, "result_days": 7}')
    _, facts, _ = diagnose()
    assert facts["settings"] == {"concurrency": "5"}


def test_a_damaged_journal_is_named_and_left_alone(diagnose, own_home):
    own_home.mkdir()
    journal = own_home / "journal.sqlite3"
    journal.write_bytes(b"no database" * 100)
    status, facts, problems = diagnose()
    assert status == 0
    assert facts["folders"]["journal"] == "1.1 KB, damaged"
    assert any("tasks repair" in problem for problem in problems)
    assert journal.read_bytes() == b"no database" * 100


def test_a_data_folder_that_is_a_file_is_named(diagnose, own_home):
    own_home.write_text("a file")
    _, _, problems = diagnose()
    assert any("UPSCALE_BRIDGE_HOME names another one" in problem for problem in problems)


def test_a_known_model_that_was_cut_off_is_named(diagnose, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "RealESRGAN_x4plus.pth").write_bytes(b"cut")
    (tmp_path / "models" / "mine.pth").write_bytes(b"unknown")
    status, facts, problems = diagnose("--models-dir", tmp_path / "models")
    assert status == 0
    assert facts["models"]["mine"] == "found, 7 bytes"
    (problem,) = problems
    assert problem.startswith("RealESRGAN_x4plus has 3 bytes, and the known model of that name 6")


@pytest.mark.usefixtures("trial")
def test_a_model_that_does_not_ship_stops(diagnose, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "SHIPPED_FOLDER", tmp_path / "nowhere")
    status, facts, problems = diagnose()
    assert status == 1
    assert any("which ships, is not there" in problem for problem in problems)
    assert facts["trial"]["failed"].startswith("ModelNotFoundError: ")


def test_services_are_asked_on_request_alone(diagnose, monkeypatch):
    asked = []

    def answer(_client, vendor):
        asked.append(vendor.name)
        if vendor.name == "novita":
            raise AuthError("It does not accept the key.", provider="novita", status=401)
        if vendor.name == "photio":
            raise MissingKeyError("There is no key.")
        return "It accepts it."

    monkeypatch.setattr(Hosts, "try_key", answer)
    _, facts, _ = diagnose()
    assert "answers" not in facts
    assert asked == []
    status, facts, problems = diagnose("--online")
    assert status == 0
    assert facts["answers"] == {
        "Novita": "AuthError",
        "Photio": "not asked, there is no key",
        "WaveSpeed": "It accepts it.",
    }
    assert problems == ["Novita: It does not accept the key."]
