"""Speed and peak memory of the local engine, as ratios to named baselines from one run.

    python benchmarks/local.py [--comfy PATH] [--rounds 3] [--device cpu] [--write]

Contenders, each in a fresh process per round, interleaved so that a busy machine hits all alike:

- builtin: ComfyUI's own ImageUpscaleWithModel, from the checkout at --comfy
- plain: one spandrel call on the whole image, which has no seams: the truth to compare with
- ours: this project's engine with its defaults

Memory is the peak resident size during the upscale, less what was resident before it and less
the result (on CUDA: the peak of allocated device memory).
"""

from __future__ import annotations

import argparse
import json
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
CASES = {  # name: (blocks of an RRDB network or 0 for the shipped model, height, width)
    "shipped": (0, 480, 640),
    "RRDB-6": (6, 480, 640),
    "RRDB-23": (23, 480, 640),
}
CONTENDERS = ("builtin", "plain", "ours")


def main() -> None:
    """Measure all cases and print (with --write: also keep) a Markdown report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comfy", type=Path, help="a ComfyUI checkout; without it no builtin")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--write", action="store_true", help="keep the report under results/")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        contender, weights, out = args.child
        print(json.dumps(measure(contender, Path(weights), Path(out), args)))
        return
    contenders = CONTENDERS if args.comfy else CONTENDERS[1:]
    lines = report_head(args)
    for case in args.cases:
        lines += report_case(case, contenders, args)
        print("\n".join(lines[-len(contenders) - 4 :]), flush=True)
    if args.write:
        path = ROOT / "benchmarks" / "results" / f"local-{args.device}.md"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def report_head(args: argparse.Namespace) -> list[str]:
    """Describe the machine and the versions."""
    import torch

    device = torch.cuda.get_device_name() if args.device == "cuda" else cpu_description()
    return [
        f"# Local engine on {args.device}",
        "",
        f"{device}; Python {platform.python_version()}, torch {torch.__version__}; "
        f"medians of {args.rounds} interleaved rounds, one fresh process each. Ratios only: "
        "absolute times depend on the machine.",
    ]


def cpu_description() -> str:
    """Return threads and vector instructions of the CPU."""
    import torch

    return f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"


def report_case(case: str, contenders: tuple[str, ...], args: argparse.Namespace) -> list[str]:
    """Run all rounds of one case and return its table."""
    blocks, height, width = CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        weights = make_weights(blocks, Path(folder))
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
        for _ in range(args.rounds):
            for name in contenders:
                runs[name].append(run_child(name, weights, Path(folder), args, height, width))
        base = contenders[0]
        lines = [
            "",
            f"## {case}: {width} x {height} px",
            "",
            f"| | speed, {base} = 1 | memory above the result, {base} = 1 | MB "
            "| largest difference to plain, of 255 |",
            "|---|---|---|---|---|",
        ]
        for name in contenders:
            speed = statistics.median(
                a["seconds"] / b["seconds"] for a, b in zip(runs[base], runs[name], strict=True)
            )
            memory = statistics.median(run["memory"] for run in runs[name])
            share = memory / statistics.median(run["memory"] for run in runs[base])
            gap = difference(Path(folder), "plain", name)
            lines.append(f"| {name} | {speed:.2f} | {share:.2f} | {memory / 1e6:.0f} | {gap:.2f} |")
    return lines


def run_child(
    name: str, weights: Path, folder: Path, args: argparse.Namespace, height: int, width: int
) -> dict[str, float]:
    """Measure one contender in a process of its own."""
    command = [sys.executable, __file__, "--device", args.device]
    if args.comfy:
        command += ["--comfy", str(args.comfy)]
    image = folder / f"input-{height}x{width}.npy"
    if not image.exists():
        write_image(image, height, width)
    command += ["--child", name, str(weights), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(name: str, weights: Path, folder: Path, args: argparse.Namespace) -> dict[str, float]:
    """Upscale the image in `folder` once and return seconds and bytes."""
    import numpy as np
    import torch

    (image_file,) = folder.glob("input-*.npy")
    image = torch.from_numpy(np.load(image_file))[None]
    upscale = load_contender(name, weights, args)
    upscale(image[:, :208, :208])  # warms up, tiles and all
    meter = Meter(args.device)
    started = time.perf_counter()
    result = upscale(image)
    seconds = time.perf_counter() - started
    memory = meter.peak() - (result.nbytes if args.device == "cpu" else 0)
    np.save(folder / f"{name}.npy", (result[0] * 255).half().numpy())
    return {"seconds": seconds, "memory": memory}


def load_contender(name: str, weights: Path, args: argparse.Namespace) -> Any:
    """Return a function [1, H, W, 3] -> [1, H', W', 3] with its model loaded."""
    if name == "builtin":
        comfy = load_comfy(args.comfy, weights, args.device)
        return comfy.upscale
    sys.path.insert(0, str(ROOT))
    from upscale_bridge.local.devices import Memory
    from upscale_bridge.local.engine import Engine
    from upscale_bridge.local.loader import load_model
    from upscale_bridge.local.operation import LocalUpscale
    from upscale_bridge.monitor import Monitor

    model = load_model(weights)
    if name == "ours":
        engine = Engine(Memory(args.device))
        operation = LocalUpscale(scale_factor=float(model.scale))
        return lambda image: engine.upscale(model, image, operation, Monitor())[0]
    import torch
    from spandrel import ModelLoader

    descriptor = ModelLoader(args.device).load_from_file(weights)

    def plain(image: torch.Tensor) -> torch.Tensor:
        pixels = image.permute(0, 3, 1, 2).contiguous().to(args.device)
        return descriptor(pixels).permute(0, 2, 3, 1).cpu()

    return plain


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
    """Return the shipped model, or a random RRDB network whose output fills 0..1."""
    if blocks == 0:
        return ROOT / "upscale_bridge" / "local" / "weights" / "UpscaleBridge-x4.safetensors"
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


def write_image(path: Path, height: int, width: int) -> None:
    """Write an image with coarse and fine structure: float32 [height, width, 3] in 0..1."""
    import numpy as np

    random = np.random.default_rng(0)
    coarse = random.random((height // 16, width // 16, 3)).repeat(16, axis=0).repeat(16, axis=1)
    fine = random.random((height, width, 3))
    np.save(path, (0.7 * coarse + 0.3 * fine).astype(np.float32))


def difference(folder: Path, base: str, name: str) -> float:
    """Return the largest difference of two contenders' results in 8-bit steps."""
    import numpy as np

    first, second = (np.load(folder / f"{who}.npy").astype(np.float32) for who in (base, name))
    return float(np.abs(first - second).max())


if __name__ == "__main__":
    main()
