"""Reproduce the shipped model: render a pool of scenes, train on it, export the weights.

    python training/train.py --out build/training

Everything is derived from --seed. An epoch degrades every scene of the pool anew, then takes
EPOCH_STEPS steps on random patches. What is exported is the moving average of the weights at
the end of the schedule; no picture outside the synthetic pool takes part in any decision.
"""

import argparse
import copy
import json
import math
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from degrade import SMALLEST, make_pair
from model import FEATURES, LAYERS, SCALE, Compact, fit_interpolation, start_as_interpolation
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from safetensors.torch import save_file
from scenes import SIDE, render_scene
from torch import Tensor

NAME = "UpscaleBridge-x4"
SCENES = 1000
STEPS = 28_000
EPOCH_STEPS = 2_000
BATCH = 8
PATCH = 48
"""Width and height of a training patch at low resolution."""
PEAK_RATE = 1e-3
WARM_UP = 500
COOL_DOWN = 6_000
"""Steps at the end of the schedule during which the learning rate falls."""
SQUARED_STEPS = 3_000
"""Steps at the end of the schedule that minimise the squared error."""
LOG_STEPS = 500
EMA_DECAY = 0.999
LUMA = (0.299, 0.587, 0.114)

Bytes = NDArray[np.uint8]
Pair = tuple[Bytes, Bytes]


def render_pool(path: Path, seed: int, workers: Executor) -> None:
    """Render the pool into an npy file of shape (SCENES, SIDE, SIDE, 3), uint8."""
    partial_path = path.with_suffix(".part")
    pool = open_memmap(partial_path, "w+", np.uint8, (SCENES, SIDE, SIDE, 3))
    scenes = workers.map(partial(render_scene, seed), range(SCENES), chunksize=8)
    for index, scene in enumerate(scenes):
        pool[index] = scene
    pool.flush()
    partial_path.replace(path)


def pair_of_pool(path: Path, seed: list[int], index: int) -> Pair:
    """Degrade one scene of the pool. Runs in a worker."""
    return make_pair(np.load(path, mmap_mode="r")[index], [*seed, index])


def make_pairs(path: Path, seed: list[int], count: int, workers: Executor) -> list[Pair]:
    """Degrade the first `count` scenes of the pool."""
    return list(workers.map(partial(pair_of_pool, path, seed), range(count), chunksize=32))


def cut_patch(rng: np.random.Generator, pair: Pair) -> Pair:
    """Cut a patch at a random place, turn and mirror it, and permute its colours."""
    low, high = pair
    y, x = rng.integers(0, np.array(low.shape[:2]) - PATCH + 1)
    low = low[y : y + PATCH, x : x + PATCH]
    high = high[SCALE * y : SCALE * (y + PATCH), SCALE * x : SCALE * (x + PATCH)]
    turns, mirror = rng.integers(4), rng.choice([-1, 1])
    colours = rng.permutation(3)
    cut = [np.rot90(part, turns)[::mirror, :, colours] for part in (low, high)]
    return cut[0], cut[1]


def batches(
    pairs: list[Pair], seed: list[int], device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield EPOCH_STEPS batches (low, high) in 0..1, shape (BATCH, 3, height, width)."""
    rng = np.random.default_rng(seed)
    for _ in range(EPOCH_STEPS):
        chosen = rng.integers(len(pairs), size=BATCH)
        patches = [cut_patch(rng, pairs[index]) for index in chosen]
        low, high = (
            torch.from_numpy(np.stack(part)).to(device).permute(0, 3, 1, 2).float() / 255
            for part in zip(*patches, strict=True)
        )
        yield low, high


def restoration_loss(output: Tensor, target: Tensor, squared: bool) -> Tensor:
    """Charbonnier or squared error, half of it on RGB and half on luma."""
    difference = output - target
    weights = difference.new_tensor(LUMA).view(1, 3, 1, 1)
    both = (difference, (difference * weights).sum(1))
    if squared:
        return 20 * sum(part.square().mean() for part in both)
    return sum((part.square() + 1e-6).sqrt().mean() for part in both)


def rate_factor(step: int, steps: int) -> float:
    """Linear warm-up, a plateau, then half a cosine down to a thousandth."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    left = min(1.0, (steps - step) / COOL_DOWN)
    return 0.001 + 0.999 * 0.5 * (1 - math.cos(math.pi * left))


@torch.no_grad()
def follow(average: Compact, model: Compact, step: int) -> None:
    """Move the averaged weights towards the trained ones."""
    decay = min(EMA_DECAY, (step + 1) / (step + 10))
    for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)


def export(model: Compact, path: Path, seed: int, step: int) -> None:
    """Write the weights as safetensors; a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {key: value.float().cpu().contiguous() for key, value in model.state_dict().items()}
    details = {"name": NAME, "license": "MIT", "seed": str(seed), "steps": str(step)}
    part = path.with_suffix(".part")
    save_file(weights, part, details)
    part.replace(path)


def first_weights(pairs: list[Pair], seed: int) -> Compact:
    """Build the model and start it at the best linear interpolation of the first pairs."""
    torch.manual_seed(seed)
    model = Compact()
    low = np.stack([low[: SMALLEST // SCALE, : SMALLEST // SCALE, 1] for low, _ in pairs])
    high = np.stack([high[:SMALLEST, :SMALLEST, 1] for _, high in pairs])
    start_as_interpolation(model, fit_interpolation(low / 255, high / 255))
    return model


class Training:
    """A model in training, its moving average, and the record of the run."""

    def __init__(self, model: Compact, steps: int, device: torch.device) -> None:
        self.device = device
        self.steps = steps
        self.model = model.to(device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model)
        self.optimiser = torch.optim.Adam(self.model.parameters(), PEAK_RATE)
        self.step = 0
        self.seconds = 0.0
        self.losses: list[float] = []

    def take_step(self, low: Tensor, high: Tensor) -> float:
        """Take one optimiser step on a batch and return its loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = PEAK_RATE * rate_factor(self.step, self.steps)
        with torch.autocast(self.device.type, torch.bfloat16):
            output = self.model(low)
        loss = restoration_loss(output, high, self.step >= self.steps - SQUARED_STEPS)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        follow(self.average, self.model, self.step)
        self.step += 1
        return loss.item()

    def run_epoch(self, pairs: list[Pair], seed: list[int]) -> None:
        """Take EPOCH_STEPS steps; note the mean loss of every LOG_STEPS."""
        started = time.monotonic()
        losses = [self.take_step(*batch) for batch in batches(pairs, seed, self.device)]
        self.losses += np.reshape(losses, (-1, LOG_STEPS)).mean(1).round(6).tolist()
        self.seconds += time.monotonic() - started

    def save(self, path: Path) -> None:
        """Write a checkpoint from which `load` continues exactly."""
        parts = (self.model, self.average, self.optimiser)
        record = (self.step, self.seconds, self.losses)
        torch.save(([part.state_dict() for part in parts], record), path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        states, record = torch.load(path, map_location=self.device)
        for part, state in zip((self.model, self.average, self.optimiser), states, strict=True):
            part.load_state_dict(state)
        self.step, self.seconds, self.losses = record


def write_record(training: Training, path: Path, seed: int) -> None:
    """Write the run's settings and loss curve as JSON."""
    record = {
        "name": NAME,
        "seed": seed,
        "steps": training.step,
        "features": FEATURES,
        "layers": LAYERS,
        "parameters": sum(part.numel() for part in training.model.parameters()),
        "scenes": SCENES,
        "batch": BATCH,
        "patch": PATCH,
        "training_seconds": round(training.seconds),
        "loss_every": LOG_STEPS,
        "losses": training.losses,
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def train(options: argparse.Namespace, workers: Executor) -> None:
    """Run all epochs, leaving pool, checkpoint, record and weights in the output folder."""
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    pool, checkpoint = out / f"pool-{options.seed}.npy", out / "checkpoint.pt"
    if not pool.exists():
        render_pool(pool, options.seed, workers)
    pairs = make_pairs(pool, [options.seed, 3, 0], 64, workers)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    training = Training(first_weights(pairs, options.seed), options.steps, device)
    if options.resume:
        training.load(checkpoint)
    while training.step < options.steps:
        epoch = training.step // EPOCH_STEPS
        pairs = make_pairs(pool, [options.seed, 3, epoch], SCENES, workers)
        training.run_epoch(pairs, [options.seed, 4, epoch])
        training.save(checkpoint)
        write_record(training, out / "record.json", options.seed)
        export(training.average, out / f"{NAME}.safetensors", options.seed, training.step)
        print(f"step {training.step}: loss {training.losses[-1]:.5f}", flush=True)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description="Train the shipped x4 model from nothing.")
    parser.add_argument("--out", type=Path, default=Path("build/training"), help="output folder")
    parser.add_argument("--steps", type=int, default=STEPS, help="a multiple of EPOCH_STEPS")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.threads, context) as workers:
        train(options, workers)


if __name__ == "__main__":
    main()
