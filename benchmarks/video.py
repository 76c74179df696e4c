"""A video in ComfyUI: our node against ComfyUI's own, with the same model, in time and memory.

    COMFYUI_PATH=... COMFYUI_PYTHON=... python benchmarks/video.py --write video.md

Needs Linux, Pillow and PyAV. The built-in way is Load Video, Get Video Components, Upscale Image
(using Model), Create Video, Save Video; it holds all frames. Each way has a ComfyUI of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PHOTO = ROOT / "docs" / "pictures" / "cat.png"
MODEL = ROOT / "upscale_bridge" / "local" / "weights" / "UpscaleBridge-x4.safetensors"
SIZE = (320, 180)
LENGTHS = (24, 96)  # frames

Prompt = dict[str, Any]
LOAD = {"class_type": "LoadVideo", "inputs": {"file": "clip.mp4"}}
SAVE = {"filename_prefix": "made", "format": "auto", "codec": "auto"}
WAYS: dict[str, Prompt] = {
    "built-in": {
        "1": LOAD,
        "2": {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}},
        "3": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": MODEL.name}},
        "4": {
            "class_type": "ImageUpscaleWithModel",
            "inputs": {"upscale_model": ["3", 0], "image": ["2", 0]},
        },
        "5": {
            "class_type": "CreateVideo",
            "inputs": {"images": ["4", 0], "audio": ["2", 1], "fps": ["2", 2]},
        },
        "6": {"class_type": "SaveVideo", "inputs": {"video": ["5", 0], **SAVE}},
    },
    "ours": {
        "1": LOAD,
        "2": {
            "class_type": "LocalESRGANUpscaleVideo",
            "inputs": {
                "video": ["1", 0],
                "model": MODEL.stem,
                "scale_factor": 4.0,
                "tile_size": 0,
                "precision": "auto",
                "download": False,
                "crf": 23,  # x264's default, which the built-in way takes
            },
        },
        "6": {"class_type": "SaveVideo", "inputs": {"video": ["2", 0], **SAVE}},
    },
}


def make_clip(path: Path, frames: int) -> None:
    """Write a slow pan over a photo."""
    width, height = SIZE
    with Image.open(PHOTO) as file, av.open(str(path), "w") as clip:
        photo = file.convert("RGB")
        stream = clip.add_stream("libx264", rate=24)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for index in range(frames):
            left = index % (photo.width - width)
            frame = photo.crop((left, 60, left + width, 60 + height))
            clip.mux(stream.encode(av.VideoFrame.from_image(frame)))
        clip.mux(stream.encode(None))


@contextmanager
def comfyui(base: Path) -> Iterator[tuple[str, int]]:
    """Run a ComfyUI with this pack only; gives its address and process."""
    for name in ("custom_nodes", "input", "models/upscale_models"):
        (base / name).mkdir(parents=True)
    (base / "custom_nodes" / "upscale-bridge").symlink_to(ROOT, target_is_directory=True)
    shutil.copy(MODEL, base / "models" / "upscale_models")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [os.environ["COMFYUI_PYTHON"], "main.py", "--cpu", "--listen", "127.0.0.1"]
    command += ["--port", str(port), "--base-directory", str(base)]
    command += ["--database-url", f"sqlite:///{base}/comfy.db"]
    with (base / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=os.environ["COMFYUI_PATH"], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/system_stats", "system")
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(30)


def wait_for(address: str, key: str) -> Any:
    """Return the value of `key` once ComfyUI's answer has it."""
    for _ in range(6000):
        try:
            with urllib.request.urlopen(address, timeout=10) as reply:
                found = json.load(reply)
        except OSError:  # not up yet
            found = {}
        if key in found:
            return found[key]
        time.sleep(0.2)
    raise TimeoutError(address)


def measure(address: str, pid: int, prompt: Prompt) -> tuple[float, float]:
    """Run a prompt; return its seconds, and by how many bytes memory grew at most."""
    process = Path(f"/proc/{pid}")
    (process / "clear_refs").write_text("5")
    before = memory(process, "VmRSS")
    data = json.dumps({"prompt": prompt}).encode()
    request = urllib.request.Request(f"{address}/prompt", data)
    with urllib.request.urlopen(request) as reply:
        run = json.load(reply)["prompt_id"]
    status = wait_for(f"{address}/history/{run}", run)["status"]
    if status["status_str"] != "success":
        raise RuntimeError(status)
    times = {kind: data["timestamp"] for kind, data in status["messages"]}
    seconds = (times["execution_success"] - times["execution_start"]) / 1000
    return seconds, memory(process, "VmHWM") - before


def memory(process: Path, key: str) -> int:
    """Return a line of a process's status in bytes."""
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def run_way(prompt: Prompt) -> list[tuple[float, float]]:
    """Measure every length in one ComfyUI, after a short clip that loads the model."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        with comfyui(base) as (address, pid):
            for frames in (2, *LENGTHS):
                make_clip(base / "input" / "clip.mp4", frames)
                found.append(measure(address, pid, prompt))
    return found[1:]


def report(found: dict[str, list[tuple[float, float]]]) -> str:
    """Return the table."""
    lines = [
        "# Videos in ComfyUI",
        "",
        f"{SIZE[0]} x {SIZE[1]} px to 4 times that with the shipped model, on the CPU; "
        f"{platform.machine()}, {os.cpu_count()} cores. Ratios only: absolute times depend on the "
        "machine.",
        "",
        "| frames | way | speed, built-in = 1 | growth of memory, built-in = 1 | MB |",
        "|---|---|---|---|---|",
    ]
    for index, frames in enumerate(LENGTHS):
        seconds, size = found["built-in"][index]
        for way, results in found.items():
            time_, room = results[index]
            lines.append(
                f"| {frames} | {way} | {seconds / time_:.2f} | {room / size:.2f} "
                f"| {room / 1e6:.0f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure both ways and show or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="where to write the table")
    arguments = parser.parse_args()
    text = report({way: run_way(prompt) for way, prompt in WAYS.items()})
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
