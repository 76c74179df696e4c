"""Ctrl-C in the middle of a paid call, with real signals and a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.fakes import faults
from tests.remote.conftest import ends, remote, vendor  # noqa: F401 (fixtures)
from tests.remote.host import wait_until

ROOT = Path(__file__).parents[2]
CHILD = """
import sys
from upscale_bridge.network import watch
watch._GRACE_SECONDS = 0.3
from upscale_bridge import cli
sys.exit(cli.main(sys.argv[1:]))
"""


def test_ctrl_c_ends_the_command_with_a_sentence(vendor, tmp_path):  # noqa: F811
    vendor.fake.faults["submit"].append(faults.drip(pause=0.05, pieces=2000))
    Image.new("RGB", (24, 16)).save(tmp_path / "a.png")
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, "novita", tmp_path / "a.png", "-o", tmp_path / "b.png"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    wait_until(lambda: vendor.fake.tasks)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    lines = said.strip().splitlines()
    assert lines[0].startswith("StoppedError: ")
    assert "Nobody knows whether Novita accepted" in lines[-1]
    assert "Traceback" not in said
    assert vendor.rows[0].state == "ambiguous"
