"""Hosts run install.py at every start: it must be quick, quiet and careful."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "install.py"
REQUIREMENTS = (ROOT / "requirements.txt").read_text(encoding="utf-8")
OF_THE_HOST = {"torch", "torchvision", "torchaudio", "numpy", "pillow", "transformers"}


@pytest.fixture
def install(monkeypatch, tmp_path):
    """The script as a module; nothing is ever given to a real pip."""
    spec = importlib.util.spec_from_file_location("install_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", ["install.py"])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return module


@pytest.fixture
def pip(install, monkeypatch):
    """Record the arguments of every call of pip; `status` is what it returns."""
    calls = SimpleNamespace(arguments=[], status=0)

    def run(command, *, check):
        assert command[:4] == [sys.executable, "-m", "pip", "install"]
        assert check is False
        calls.arguments.append(command[4:])
        return SimpleNamespace(returncode=calls.status)

    monkeypatch.setattr(install.subprocess, "run", run)
    return calls


@pytest.fixture
def lacking(monkeypatch):
    """Hide packages from importlib."""
    find_spec = importlib.util.find_spec

    def hide(*names):
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name in names else find_spec(name)
        )

    return hide


def names(arguments):
    return {re.split("[<>=!~]", a)[0].lower() for a in arguments if not a.startswith("-")}


def test_silent_without_pip_when_all_is_there(install, pip, lacking, capsys):
    lacking()
    assert install.main() == 0
    assert pip.arguments == []
    assert capsys.readouterr() == ("", "")


def test_missing_names_what_cannot_be_imported(install, lacking):
    lacking("spandrel", "some_thing")
    text = "\nrequests>=2.28\n  spandrel>=0.3.4  \n\nsome-thing[extra]~=1; python_version > '3'\n"
    assert install.missing(text) == [
        "spandrel>=0.3.4",
        "some-thing[extra]~=1; python_version > '3'",
    ]


def test_missing_is_empty_for_packages_of_any_version(install):
    assert install.missing("pytest<0.1\nhypothesis==99\n") == []


def test_installation_is_announced(install, pip, lacking, capsys):
    lacking("requests")
    assert install.main() == 0
    assert capsys.readouterr().out == "Upscale Bridge installs requests>=2.28\n"


@pytest.mark.parametrize(
    ("missing", "status", "installed"),
    [
        (["requests"], 0, [{"requests"}]),
        (["spandrel"], 0, [{"spandrel"}]),
        (["spandrel", "einops", "safetensors"], 0, [{"einops", "safetensors"}, {"spandrel"}]),
        (["requests", "spandrel"], 3, [{"requests"}]),
        (["spandrel"], 7, [{"spandrel"}]),
    ],
)
def test_what_is_missing_is_installed_until_it_fails(
    install, pip, lacking, missing, status, installed
):
    """Spandrel comes last, without its heavy dependencies."""
    lacking(*missing)
    pip.status = status
    assert install.main() == status
    assert [names(arguments) for arguments in pip.arguments] == installed
    for arguments in pip.arguments:
        assert ("--no-deps" in arguments) == (names(arguments) == {"spandrel"})


def test_heavy_packages_are_never_named(install, pip, lacking):
    lacking("requests", "spandrel", "einops", "safetensors", "typing_extensions", *OF_THE_HOST)
    install.main()
    assert len(pip.arguments) == 2
    for arguments in pip.arguments:
        assert not names(arguments) & OF_THE_HOST
        assert not {"-U", "--upgrade", "--force-reinstall"} & set(arguments)


def test_a_try_is_a_quick_one(install, pip, lacking):
    lacking("requests")
    install.main()
    (arguments,) = pip.arguments
    assert arguments[:3] == ["--prefer-binary", "--retries=0", "--timeout=5"]


def test_failure_is_remembered_for_a_day(install, pip, lacking, capsys, monkeypatch):
    lacking("spandrel")
    pip.status = 1
    assert install.main() == 1
    assert "could not install spandrel>=0.3.4; the next try is tomorrow" in capsys.readouterr().out
    assert install.main() == 0
    (told,) = capsys.readouterr().out.splitlines()
    assert told.startswith("Upscale Bridge needs spandrel>=0.3.4, which could not be installed; ")
    assert len(pip.arguments) == 1
    now = time.time()
    for later in (86_500, -3600):  # and a clock that was wrong
        monkeypatch.setattr(install.time, "time", lambda later=later: now + later)
        assert install.main() == 1
    assert len(pip.arguments) == 3


def test_file_that_is_named_can_be_removed_to_try_again(install, pip, lacking, capsys):
    lacking("spandrel")
    pip.status = 1
    install.main()
    told = capsys.readouterr().out
    Path(re.search(r"once (\S+) is removed", told)[1]).unlink()
    assert install.main() == 1
    assert len(pip.arguments) == 2


def test_failure_for_other_packages_does_not_matter(install, pip, lacking):
    lacking("spandrel")
    pip.status = 1
    install.main()
    lacking("requests")
    pip.status = 0
    assert install.main() == 0
    assert len(pip.arguments) == 2


def test_success_forgets_the_failure(install, pip, lacking, tmp_path, monkeypatch):
    lacking("spandrel")
    pip.status = 1
    install.main()
    monkeypatch.setattr(install, "_DAY", 0.0)
    pip.status = 0
    assert install.main() == 0
    assert list(tmp_path.iterdir()) == []


def test_environment_that_cannot_be_written_is_told_in_one_sentence(
    install, pip, lacking, capsys, monkeypatch
):
    lacking("spandrel")
    monkeypatch.setattr(sys, "base_prefix", "/elsewhere")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert install.main() == 1
    (told,) = capsys.readouterr().out.splitlines()
    assert f"needs spandrel>=0.3.4, and {sysconfig.get_path('purelib')} cannot be written" in told
    assert pip.arguments == []


def test_python_of_the_operating_system_is_told_in_one_sentence(
    install, pip, lacking, capsys, monkeypatch, tmp_path
):
    lacking("spandrel")
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    assert install.main() == 1
    (told,) = capsys.readouterr().out.splitlines()
    assert "PEP 668" in told
    assert f"{sys.executable} -m venv FOLDER" in told
    assert pip.arguments == []


def test_skip_install_installs_nothing(install, pip, lacking, monkeypatch):
    lacking("requests", "spandrel")
    monkeypatch.setattr(sys, "argv", ["install.py", "--skip-install"])
    assert install.main() == 0
    assert pip.arguments == []


def test_script_runs_from_another_folder(tmp_path):
    result = subprocess.run(
        [sys.executable, str(SCRIPT)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        # Should a package really be missing here, pip must fail and not change this environment.
        env={"PATH": "", "PIP_NO_INDEX": "1", "SYSTEMROOT": r"C:\Windows"},
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_script_uses_the_standard_library_only():
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"))
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "the pack is no package while it is being installed"
            modules.add(node.module.split(".")[0])
    assert modules
    assert modules <= sys.stdlib_module_names


def test_requirements_leave_the_hosts_packages_alone():
    lines = REQUIREMENTS.split()
    assert names(lines) == {"requests", "spandrel"}
    assert not names(lines) & {*OF_THE_HOST, "safetensors"}


def test_requirements_set_no_upper_bound():
    assert not re.search("==|<|~=", REQUIREMENTS)
