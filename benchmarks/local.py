"""Speed and peak memory of the local engine, as ratios to named baselines from one run.

    python benchmarks/local.py [--comfy PATH] [--weights FOLDER] [--rounds 5] [--write]

Contenders, each in a fresh process per round, interleaved so that a busy machine hits all alike:

- builtin: ComfyUI's own ImageUpscaleWithModel, from the checkout at --comfy
- plain: one spandrel call on the whole image, which has no seams: the truth to compare with
- openvino, onnxruntime: the same call by those, in fp32, where they are installed
- ours: this project's engine with its defaults

Networks: the shipped one and all files in --weights (`dev/real_weights.py` makes three), without it
ones with random weights. CPU time hardly depends on what else the machine does, wall time does.
Memory is the peak resident size during the upscale, less what was resident before it and less
the result (on CUDA: the peak of allocated device memory).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HEIGHT, WIDTH = 480, 640
RANDOM = {"RRDB-6": 6, "RRDB-23": 23}  # blocks
SHIPPED = ROOT / "upscale_bridge" / "local" / "weights" / "UpscaleBridge-x4.safetensors"
PHOTO = ROOT / "docs" / "pictures" / "cat.png"
RUNTIMES = {"openvino": ("openvino",), "onnxruntime": ("onnxruntime", "onnx", "onnxscript")}


def main() -> None:
    """Measure all cases and print (with --write: also keep) a Markdown report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comfy", type=Path, help="a ComfyUI checkout; without it no builtin")
    parser.add_argument("--weights", type=Path, help="a folder of weights files")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cases", nargs="*", help="names of networks, all without it")
    parser.add_argument("--contenders", nargs="*", help="all that can run without it")
    parser.add_argument("--write", action="store_true", help="keep the report under results/")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        contender, weights, out = args.child
        print(json.dumps(measure(contender, Path(weights), Path(out), args)))
        return
    contenders = args.contenders or available(args)
    lines = report_head(args)
    path = ROOT / "benchmarks" / "results" / f"local-{args.device}.md"
    with tempfile.TemporaryDirectory() as folder:
        for case, weights in networks(args.weights, Path(folder)).items():
            if args.cases and case not in args.cases:
                continue
            found = report_case(case, weights, contenders, args)
            print("\n".join(found), flush=True)
            lines += found
            if args.write:
                path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def available(args: argparse.Namespace) -> list[str]:
    """Return the contenders that can run here."""
    runtimes = [
        name
        for name, packages in RUNTIMES.items()
        if args.device == "cpu" and all(importlib.util.find_spec(one) for one in packages)
    ]
    return [*(["builtin"] if args.comfy else []), "plain", *runtimes, "ours"]


def networks(folder: Path | None, scratch: Path) -> dict[str, Path]:
    """Return the files of all networks by their names."""
    found = {"shipped": SHIPPED}
    if folder:
        return found | {path.stem: path for path in sorted(folder.glob("*.pth"))}
    return found | {name: make_weights(blocks, scratch) for name, blocks in RANDOM.items()}


def report_head(args: argparse.Namespace) -> list[str]:
    """Describe the machine, its load and the versions."""
    import torch

    device = torch.cuda.get_device_name() if args.device == "cuda" else cpu_description(args)
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return [
        f"# Local engine on {args.device}",
        "",
        f"{device}; Python {platform.python_version()}, torch {torch.__version__}; "
        f"medians of {args.rounds} interleaved rounds, one fresh process each. Ratios only: "
        "absolute times depend on the machine.",
        "",
        f"Load of the machine when this began (1, 5, 15 minutes): {load}, on {os.cpu_count()} "
        "cores. Above 0 others were at work: wall times are a hint then.",
    ]


def cpu_description(args: argparse.Namespace) -> str:
    """Return threads and vector instructions of the CPU."""
    import torch

    return f"{args.threads} threads, {torch.backends.cpu.get_cpu_capability()}"


def report_case(
    case: str, weights: Path, contenders: list[str], args: argparse.Namespace
) -> list[str]:
    """Run all rounds of one case and return its table."""
    with tempfile.TemporaryDirectory() as folder:
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
        for _ in range(args.rounds):
            for name in contenders:
                runs[name].append(run_child(name, weights, Path(folder), args))
        base = contenders[0]
        lines = [
            "",
            f"## {case}: {WIDTH} x {HEIGHT} px",
            "",
            f"| | speed by CPU time, {base} = 1 | by wall time | memory above the result | MB "
            "| largest difference to plain, of 255 |",
            "|---|---|---|---|---|---|",
        ]
        for name in contenders:
            cpu, wall = (
                statistics.median(
                    a[kind] / b[kind] for a, b in zip(runs[base], runs[name], strict=True)
                )
                for kind in ("cpu", "seconds")
            )
            memory = statistics.median(run["memory"] for run in runs[name])
            share = memory / statistics.median(run["memory"] for run in runs[base])
            gap = difference(Path(folder), "plain", name) if "plain" in contenders else math.nan
            lines.append(
                f"| {name} | {cpu:.2f} | {wall:.2f} | {share:.2f} | {memory / 1e6:.0f} "
                f"| {gap:.2f} |"
            )
    return lines


def run_child(name: str, weights: Path, folder: Path, args: argparse.Namespace) -> dict[str, float]:
    """Measure one contender in a process of its own."""
    command = [sys.executable, __file__, "--device", args.device, "--threads", str(args.threads)]
    if args.comfy:
        command += ["--comfy", str(args.comfy)]
    image = folder / "input.npy"
    if not image.exists():
        write_image(image)
    command += ["--child", name, str(weights), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(name: str, weights: Path, folder: Path, args: argparse.Namespace) -> dict[str, float]:
    """Upscale the image in `folder` once and return seconds, seconds of all cores, and bytes."""
    import numpy as np
    import torch

    torch.set_num_threads(args.threads)
    image = torch.from_numpy(np.load(folder / "input.npy"))[None]
    upscale = load_contender(name, weights, args)
    upscale(image[:, :64, :64])  # warms up
    meter = Meter(args.device)
    started, worked = time.perf_counter(), time.process_time()
    result = upscale(image)
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    memory = meter.peak() - (result.nbytes if args.device == "cpu" else 0)
    np.save(folder / f"{name}.npy", (result[0] * 255).half().numpy())
    return {"seconds": seconds, "cpu": cpu, "memory": memory}


def load_contender(name: str, weights: Path, args: argparse.Namespace) -> Any:
    """Return a function [1, H, W, 3] -> [1, H', W', 3] with its model loaded."""
    sys.path.insert(0, str(ROOT))
    from upscale_bridge.local.devices import Memory
    from upscale_bridge.local.engine import Engine
    from upscale_bridge.local.loader import import_spandrel, load_model
    from upscale_bridge.local.operation import LocalUpscale
    from upscale_bridge.monitor import Monitor

    spandrel = import_spandrel()  # also makes do with a torchvision that does not fit
    if name == "builtin":
        return load_comfy(args.comfy, weights, args.device).upscale
    if name == "ours":
        model = load_model(weights)
        engine = Engine(Memory(args.device))
        operation = LocalUpscale(scale_factor=float(model.scale))
        return lambda image: engine.upscale(model, image, operation, Monitor())[0]
    descriptor = spandrel.ModelLoader(args.device).load_from_file(weights)
    if name == "openvino":
        return load_openvino(descriptor, args.threads)
    if name == "onnxruntime":
        return load_onnxruntime(descriptor, args.threads)

    def plain(image: Any) -> Any:
        pixels = image.permute(0, 3, 1, 2).contiguous().to(args.device)
        return descriptor(pixels).permute(0, 2, 3, 1).cpu()

    return plain


def load_openvino(descriptor: Any, threads: int) -> Any:
    """Return the network as OpenVINO runs it in fp32."""
    import openvino
    import torch

    network = openvino.convert_model(descriptor.model, example_input=torch.rand(1, 3, 64, 64))
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(network, "CPU", options)

    def run(image: Any) -> Any:
        output = compiled(image.permute(0, 3, 1, 2).contiguous().numpy())[0]
        return torch.from_numpy(output).clamp_(0, 1).permute(0, 2, 3, 1)

    return run


def load_onnxruntime(descriptor: Any, threads: int) -> Any:
    """Return the network as onnxruntime runs it in fp32."""
    import onnxruntime
    import torch

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "network.onnx")
        axes = {"x": {2: "height", 3: "width"}}
        torch.onnx.export(
            descriptor.model, (torch.rand(1, 3, 64, 64),), path, dynamo=False,
            input_names=["x"], dynamic_axes=axes,
        )  # fmt: skip
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])

    def run(image: Any) -> Any:
        (output,) = session.run(None, {"x": image.permute(0, 3, 1, 2).contiguous().numpy()})
        return torch.from_numpy(output).clamp_(0, 1).permute(0, 2, 3, 1)

    return run


def load_comfy(checkout: Path, weights: Path, device: str) -> types.SimpleNamespace:
    """Load ComfyUI's upscale nodes from a checkout; its flags are read when it is imported."""
    sys.path.insert(0, str(checkout))
    sys.argv = [sys.argv[0], *(["--cpu"] if device == "cpu" else [])]
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy_extras.nodes_upscale_model as nodes
    import folder_paths

    folder_paths.add_model_folder_path("upscale_models", str(weights.parent))
    model = nodes.UpscaleModelLoader.execute(weights.name).result[0]
    return types.SimpleNamespace(
        upscale=lambda image: nodes.ImageUpscaleWithModel.execute(model, image).result[0]
    )


class Meter:
    """The peak of memory since it was made, above what was taken then."""

    def __init__(self, device: str) -> None:
        self._device = device
        if device == "cuda":
            import torch

            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            # Linux lets a process reset its own high-water mark of resident memory.
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
            self._before = read_status("VmRSS")

    def peak(self) -> int:
        """Return the bytes."""
        if self._device == "cuda":
            import torch

            return torch.cuda.max_memory_allocated() - self._before
        return read_status("VmHWM") - self._before


def read_status(key: str) -> int:
    """Return one of the kernel's figures for this process, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


def make_weights(blocks: int, folder: Path) -> Path:
    """Return an RRDB network of random weights, whose output fills 0..1."""
    import torch

    sys.path.insert(0, str(ROOT))
    from upscale_bridge.local.loader import import_spandrel

    import_spandrel()
    from spandrel.architectures.ESRGAN import ESRGAN

    torch.manual_seed(0)
    network = ESRGAN(num_blocks=blocks)
    with torch.no_grad():
        last = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)][-1]
        output = network(torch.rand(1, 3, 32, 32))
        gain = 0.15 / output.std()
        last.weight.mul_(gain)
        last.bias.copy_((last.bias - output.mean((0, 2, 3))) * gain + 0.5)
    path = folder / f"rrdb{blocks}.pth"
    torch.save(network.state_dict(), path)
    return path


def write_image(path: Path) -> None:
    """Write a photo: float32 [height, width, 3] in 0..1."""
    import numpy as np
    from PIL import Image

    with Image.open(PHOTO) as file:
        pixels = file.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    np.save(path, np.asarray(pixels).astype(np.float32) / 255)


def difference(folder: Path, base: str, name: str) -> float:
    """Return the largest difference of two contenders' results in 8-bit steps."""
    import numpy as np

    first, second = (np.load(folder / f"{who}.npy").astype(np.float32) for who in (base, name))
    return float(np.abs(first - second).max())


if __name__ == "__main__":
    main()
