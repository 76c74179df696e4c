"""Train the shipped model: scenes are drawn beside the training, on a GPU or on the CPU.

    python training/train.py --out build/training --seconds 3600

Run the same command again after a stop at any moment: it goes on from the last checkpoint. The
schedule runs along the seconds of training, so a faster machine takes more steps. Of the
checkpoints the one is kept that does best on scenes kept apart; no photograph takes part.
"""

import argparse
import copy
import json
import math
import os
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from degrade import PARTS, PairMaker, Stock
from loss import charbonnier, decibels
from model import FEATURES, LAYERS, Compact, fit_interpolation, start_as_interpolation
from pool import Pool
from safetensors.torch import load_file, save_file
from torch import Tensor
from validate import SCENES as KEPT_APART
from validate import Validation, verdict

NAME = "UpscaleBridge-x4"
VERSION = "2"
BATCHES = 4
"""Batches of a chunk: many small operations at once."""
PEAK_RATE = 8e-4
WARM_UP = 500
ROBUST_SHARE = 0.5
"""Share of the schedule that minimises a robust error, before PSNR itself."""
EMA_DECAY = 0.999
LARGEST_GRADIENT = 10.0
LOG_CHUNKS = 25
FIRST_SCENES = 48
"""Scenes that must be there before the first step, those kept apart included."""


@dataclass
class Progress:
    """How far a training has come."""

    step: int = 0
    seconds: float = 0.0
    scenes: int = 0
    restarts: int = 0
    """How often the loss was no number, and the last good weights were taken again."""
    losses: list[float] = field(default_factory=list)
    checks: list[dict[str, object]] = field(default_factory=list)
    best: float = -math.inf


def rate_factor(step: int, share: float) -> float:
    """Linear warm-up along the steps, half a cosine along the schedule; `share` of it is past."""
    warm = min(1.0, (step + 1) / WARM_UP)
    return warm * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))


def first_model(maker: PairMaker, seed: int) -> Compact:
    """Build a model that begins as the best linear interpolation of some clean patches."""
    torch.manual_seed(seed)
    low, high = (part[:, 1].cpu() / 255 for part in maker.make(seed, 8 * PARTS))
    model = Compact()
    start_as_interpolation(model, fit_interpolation(low, high))
    return model


class Training:
    """A model in training, its moving average, and the record of the run."""

    def __init__(self, model: Compact, options: argparse.Namespace, device: torch.device) -> None:
        self.device = device
        self.options = options
        self.model = model.to(device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model)
        self.progress = Progress()
        self.rate = options.rate
        self.optimiser = self._new_optimiser()
        self.good = copy.deepcopy(self.average.state_dict())

    def _new_optimiser(self) -> torch.optim.Adam:
        cuda = self.device.type == "cuda"
        return torch.optim.Adam(self.model.parameters(), self.rate, (0.9, 0.99), fused=cuda)

    @property
    def share(self) -> float:
        """Share of the schedule that is past."""
        return self.progress.seconds / self.options.seconds

    def take_step(self, low: Tensor, high: Tensor) -> Tensor:
        """Take one step on levels 0..255 and return the loss, still on the device."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * rate_factor(self.progress.step, self.share)
        low = (low / 255).contiguous(memory_format=torch.channels_last)
        # Only GPUs multiply bfloat16 faster than float32 everywhere.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            output = self.model(low)
        measure = charbonnier if self.share < ROBUST_SHARE else decibels
        loss = measure(output, high / 255)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        self.optimiser.step()
        decay = min(EMA_DECAY, (self.progress.step + 1) / (self.progress.step + 10))
        slow, fast = list(self.average.parameters()), list(self.model.parameters())
        with torch.no_grad():
            torch._foreach_lerp_(slow, fast, 1 - decay)
        self.progress.step += 1
        return loss.detach()

    def take_chunk(self, low: Tensor, high: Tensor) -> Tensor:
        """Take BATCHES steps and return their mean loss, still on the device."""
        pairs = zip(low.chunk(BATCHES), high.chunk(BATCHES), strict=True)
        return torch.stack([self.take_step(*pair) for pair in pairs]).mean()

    def note(self, loss: float) -> None:
        """Note the mean loss of the last chunks; go back if it is no number."""
        progress = self.progress
        if not math.isfinite(loss):
            self.recover()
            return
        self.good = copy.deepcopy(self.average.state_dict())
        progress.losses.append(round(loss, 5))
        rate = self.optimiser.param_groups[0]["lr"]
        print(
            f"step {progress.step}, {progress.seconds:.0f} s: loss {loss:.5f}, rate {rate:.6f}, "
            f"{progress.scenes} scenes",
            flush=True,
        )

    def recover(self) -> None:
        """Go back to the last good weights, with half the learning rate."""
        self.model.load_state_dict(self.good)
        self.average.load_state_dict(self.good)
        self.rate /= 2
        self.optimiser = self._new_optimiser()
        self.progress.restarts += 1

    def save(self, path: Path) -> None:
        """Write a checkpoint from which `load` continues."""
        states = [part.state_dict() for part in (self.model, self.average, self.optimiser)]
        part = path.with_suffix(".part")
        torch.save({"states": states, "progress": asdict(self.progress), "rate": self.rate}, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        found = torch.load(path, map_location=self.device)
        parts = (self.model, self.average, self.optimiser)
        for part, state in zip(parts, found["states"], strict=True):
            part.load_state_dict(state)
        self.progress = Progress(**found["progress"])
        self.rate = found["rate"]
        self.good = copy.deepcopy(self.average.state_dict())


def export(model: Compact, path: Path, seed: int, step: int) -> None:
    """Write the weights as safetensors; a reader never sees half a file."""
    weights = {key: value.float().cpu().contiguous() for key, value in model.state_dict().items()}
    details = {"name": NAME, "version": VERSION, "license": "MIT"}
    part = path.with_suffix(".part")
    save_file(weights, part, {**details, "seed": str(seed), "steps": str(step)})
    part.replace(path)


def check(training: Training, validation: Validation, out: Path) -> None:
    """Judge the averaged weights, keep them if they are the best, and write all files."""
    progress, options = training.progress, training.options
    gains = validation.judge(training.average, training.device)
    seen = {"step": progress.step, "seconds": round(progress.seconds), "gains": gains}
    progress.checks.append(seen)
    if verdict(gains) > progress.best:
        progress.best = verdict(gains)
        export(training.average, out / f"{NAME}.safetensors", options.seed, progress.step)
    training.save(out / "checkpoint.pt")
    record = {
        "name": NAME,
        "version": VERSION,
        "machine": options.machine,
        "features": FEATURES,
        "layers": LAYERS,
        "parameters": sum(part.numel() for part in training.model.parameters()),
        **{key: getattr(options, key) for key in ("seed", "batch", "patch", "rate")},
        "loss_every": LOG_CHUNKS * BATCHES,
        **asdict(progress),
    }
    text = json.dumps({**record, "seconds": round(progress.seconds)}, indent=1)
    (out / "record.json").write_text(text + "\n", encoding="utf-8")
    print(f"{json.dumps(seen)} verdict {verdict(gains):.3f}", flush=True)


def refill(stock: Stock, pool: Pool) -> None:
    """Move the scenes that have become ready to the device, in order."""
    first = KEPT_APART + stock.count
    missing = (pool.ready[first:] == 0).argmax() if not pool.ready[first:].all() else None
    end = len(pool.ready) if missing is None else first + int(missing)
    if end > first:
        parts = (pool.scenes[first:end], pool.twins[first:end])
        stock.add(*(torch.from_numpy(part.copy()) for part in parts))


def run(training: Training, maker: PairMaker, pool: Pool, validation: Validation) -> None:
    """Train until the seconds are over, checking now and then."""
    options, progress = training.options, training.progress
    out: Path = options.out
    size = BATCHES * options.batch
    checked = began = time.monotonic() - progress.seconds
    while progress.seconds < options.seconds:
        losses = []
        for _ in range(LOG_CHUNKS):
            pair = maker.make(options.seed * 1_000_003 + progress.step, size)
            losses.append(training.take_chunk(*pair))
            progress.seconds = time.monotonic() - began
            if progress.seconds >= options.seconds:
                break
        # Only here does the training wait for the device.
        training.note(torch.stack(losses).mean().item())
        refill(maker.stock, pool)
        progress.scenes = maker.stock.count
        progress.seconds = time.monotonic() - began
        if began + progress.seconds - checked > options.check_seconds:
            checked = time.monotonic()
            check(training, validation, out)
    check(training, validation, out)


def wait_for(pool: Pool, count: int, workers: list[subprocess.Popen[bytes]]) -> None:
    """Wait for the first scenes; fail when a worker has."""
    while not pool.ready[:count].all():
        if any(worker.poll() for worker in workers):
            raise SystemExit("A worker that draws scenes has failed; what it said stands above.")
        time.sleep(0.05)


def train(options: argparse.Namespace, pool: Pool, workers: list[subprocess.Popen[bytes]]) -> None:
    """Train with the scenes of a pool that is being filled."""
    wait_for(pool, min(FIRST_SCENES, pool.count), workers)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    stock = Stock(pool.count - KEPT_APART, device)
    refill(stock, pool)
    maker = PairMaker(stock, options.patch)
    model = first_model(maker, options.seed)
    if options.start:
        model.load_state_dict(load_file(options.start))
    training = Training(model, options, device)
    checkpoint: Path = options.out / "checkpoint.pt"
    if checkpoint.exists():
        training.load(checkpoint)
    run(training, maker, pool, Validation(pool.scenes[:KEPT_APART]))


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train the shipped x4 model.")
    cores = os.cpu_count() or 1
    parser.add_argument("--out", type=Path, default=Path("build/training"), help="output folder")
    parser.add_argument("--pool", type=Path, help="folder of the scenes, by default in --out")
    parser.add_argument("--seconds", type=float, default=36_000, help="length of the schedule")
    parser.add_argument("--check-seconds", type=float, default=600, help="between checkpoints")
    parser.add_argument("--scenes", type=int, default=1500, help="0.8 MB each, on disk and device")
    parser.add_argument("--batch", type=int, default=16, help="patches of a step")
    parser.add_argument("--patch", type=int, default=48, help="side at low resolution, 16, 32...")
    parser.add_argument("--rate", type=float, default=PEAK_RATE, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=max(1, cores - 2), help="drawing scenes")
    parser.add_argument("--start", type=Path, help="weights to start from instead of nothing")
    parser.add_argument("--machine", default="", help="what the record says of the machine")
    return parser.parse_args()


def main() -> None:
    """Train, with workers beside it that end when it does."""
    options = read_options()
    options.out.mkdir(parents=True, exist_ok=True)
    pool = Pool(options.pool or options.out / "pool", options.seed, options.scenes)
    workers = pool.start(options.workers)
    try:
        train(options, pool, workers)
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait()


if __name__ == "__main__":
    main()
