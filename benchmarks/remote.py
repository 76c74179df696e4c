"""Speed of remote requests against a stand-in of the services on this machine, as ratios.

    python benchmarks/remote.py [--images 16] [--seconds 5] [--rounds 3] [--write]

- batch: as many images as slots, compared with one image of the same service (one = 1)
- overhead: one image of a service that needs no time, compared with its bare HTTP calls by the
  `requests` library, one after the other without waits (bare = 1)

The stand-in shares processor and Python interpreter with what is measured.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ("novita", "wavespeed", "photio")


def main() -> None:
    """Measure and print (with --write: also keep) a Markdown report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long a task takes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="keep the report under results/")
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    lines = [
        "# Remote requests",
        "",
        f"Python {platform.python_version()}; medians of {args.rounds} interleaved rounds against "
        f"the stand-in of `tests/fakes` on the same machine, {args.images} slots. Ratios: "
        "absolute times depend on the machine.",
        "",
        f"| | {args.images} images of {args.seconds:g} s, one image = 1 | one image without the "
        "service's time, bare HTTP calls = 1 | ms above the bare calls |",
        "|---|---|---|---|",
    ]
    for command in COMMANDS:
        lines.append(report(command, args))
        print(lines[-1], file=sys.stderr)
    print("\n".join(lines))
    if args.write:
        path = ROOT / "benchmarks" / "results" / "remote.md"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def report(command: str, args: argparse.Namespace) -> str:
    """Measure one operation and return its line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["UPSCALE_BRIDGE_HOME"] = str(home)
        (home / "settings.json").write_text(json.dumps({"concurrency": args.images}), "utf-8")
        ratios = batches(command, args)
        ours, bare = overheads(command, args)
    extra = 1000 * (statistics.median(ours) - statistics.median(bare))
    ratio = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
    return f"| {command} | {statistics.median(ratios):.3f} | {ratio:.1f} | {extra:.0f} |"


def batches(command: str, args: argparse.Namespace) -> list[float]:
    """Return the time of a batch divided by that of one image, for each round."""
    from tests.fakes.service import FakeService

    ratios = []
    with FakeService(seconds=args.seconds) as fake:
        run = runner(command, fake)
        for index in range(args.rounds):
            start = 1000 * index
            one = run([start])
            ratios.append(run(range(start + 1, start + 1 + args.images)) / one)
    return ratios


def overheads(command: str, args: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Return the times of one image of a service without delay, and of its bare calls."""
    from tests.fakes.service import FakeService

    ours, bare = [], []
    with FakeService() as fake:
        run = runner(command, fake)
        run([900_000])
        call_bare(command, fake, 900_000)
        for index in range(10 * args.rounds):
            ours.append(run([100_000 + index]))
            bare.append(call_bare(command, fake, 100_000 + index))
    return ours, bare


def runner(command: str, fake: Any) -> Any:
    """Return a function that runs images of these seeds and tells the seconds it took."""
    from tests.remote.host import FakeClock, make, picture
    from upscale_bridge.remote.client import Client
    from upscale_bridge.service import Service

    for name in ("NOVITA", "PHOTIO", "WAVESPEED"):
        os.environ[f"{name}_BASE_URL"] = fake.base_url
        os.environ[f"{name}_API_KEY"] = "sk-only-for-tests-0123456789"
    service = Service()
    if not fake.clock.total:
        service._client = Client(clock=FakeClock())  # the first look comes at once

    def run(seeds: Any) -> float:
        images = picture(*seeds, size=(256, 192)) if fake.clock.total else picture(*seeds)
        started = time.perf_counter()
        service.run(make(command), images)
        return time.perf_counter() - started

    return run


def call_bare(command: str, fake: Any, seed: int) -> float:
    """Send the calls of one request by hand and return the seconds they took."""
    import requests

    from tests.remote.host import picture
    from upscale_bridge.images import codecs

    data = codecs.encode(picture(seed)[0]).data
    text = base64.b64encode(data).decode()
    url = fake.base_url
    started = time.perf_counter()
    with requests.Session() as session:
        if command == "photio":
            session.post(f"{url}/v1/inference/upscale", json={"image": text}).json()
        elif command == "novita":
            body = {"request": {"model_name": "4x-UltraSharp", "image_base64": text}}
            body["request"]["scale_factor"] = 2
            ticket = session.post(f"{url}/v3/async/upscale", json=body).json()["task_id"]
            found = session.get(f"{url}/v3/async/task-result?task_id={ticket}").json()
            session.get(found["images"][0]["image_url"])
        else:
            about = {"filename": "image.png", "size": len(data), "content_type": "image/png"}
            place = session.post(f"{url}/api/v3/media/uploads", json=about).json()["data"]
            headers = place["upload"]["headers"]
            session.put(place["upload"]["url"], data=data, headers=headers)
            body = {"image": place["download_url"], "output_format": "png"}
            made = session.post(f"{url}/api/v3/wavespeed-ai/image-upscaler", json=body).json()
            found = session.get(made["data"]["urls"]["get"]).json()
            session.get(found["data"]["outputs"][0])
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
