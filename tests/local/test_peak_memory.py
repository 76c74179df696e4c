"""Memory beside the result does not grow with the batch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CHILD = """
import json, sys
from pathlib import Path
import torch
from upscale_bridge.local.devices import Memory
from upscale_bridge.local.engine import Engine
from upscale_bridge.local.library import Library
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.monitor import Monitor

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

engine, operation = Engine(Memory("cpu")), LocalUpscale()
model = Library(lambda: []).load(operation.model, Monitor())
images = torch.rand(int(sys.argv[1]), 160, 80, 3)
engine.upscale(model, images[:1], operation, Monitor())
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
result, _ = engine.upscale(model, images, operation, Monitor())
print(json.dumps([status("VmHWM") - before - result.nbytes, result[0].nbytes]))
"""


def beside_the_result(batch):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(batch)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux's high-water mark"
)
def test_memory_beside_the_result_does_not_grow_with_the_batch():
    beside, size = beside_the_result(16)
    # What two workers hold comes and goes with the allocator by a few results of this size;
    # anything kept for each image would be 16 times its size.
    assert beside < 8 * size
