"""The page's scripts, with the runner of Node and the checker of TypeScript where they are."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
OLDEST_NODE = (20, 19)  # sees by itself that a .js file is a module
NODE, CHECKER = shutil.which("node"), shutil.which("tsc")


def node_version():
    if NODE is None:
        return (0, 0)
    told = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in told.removeprefix("v").split(".")[:2])


@pytest.mark.skipif(node_version() < OLDEST_NODE, reason="needs Node 20.19 or newer")
@pytest.mark.parametrize("script", sorted(HERE.glob("*.test.mjs")), ids=lambda path: path.name)
def test_units(script):
    command = [NODE, "--test", "--test-reporter=tap", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0\n" in done.stdout
    assert "# pass 0\n" not in done.stdout


@pytest.mark.skipif(CHECKER is None, reason="tsc is not installed")
def test_types():
    done = subprocess.run([CHECKER, "-p", HERE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
