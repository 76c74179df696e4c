"""Load on a started server, and what is left of its tasks when it is killed meanwhile.

    python benchmarks/server.py [--clients 8] [--tasks 100] [--rounds 50] [--noise 20000] [--write]

- load: each client submits its tasks, then polls the oldest of them; the first client submits all
  of its own before the others begin. All results are compared with what the local engine makes.
- kill: SIGKILL to the worker, and to the listener, which is then started again, at random moments,
  while four clients keep six tasks each in the queue and repeat calls that break off.
- noise: requests at random, and submits with something wrong in them (tests/attacks/fuzz_routes).

Clients, listener and engine share this machine's processor. Linux only.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Run both parts and print (with --write: also keep) a Markdown report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--tasks", type=int, default=100, help="tasks of each client")
    parser.add_argument("--rounds", type=int, default=50, help="kills of each process")
    parser.add_argument("--noise", type=int, default=20_000, help="requests at random")
    parser.add_argument("--write", action="store_true", help="keep the report under results/")
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    lines = [
        "# The server under load and under fire",
        "",
        f"Python {platform.python_version()}, {os.cpu_count()} CPU cores for clients, listener and "
        "engine, the model that ships, pictures of 24 x 16 to 64 x 48 px. Made by "
        "`benchmarks/server.py`, which says more.",
        "",
        *load(args),
        "",
        *kills(args),
        "",
        *noise(args),
    ]
    print("\n".join(lines))
    if args.write:
        path = ROOT / "benchmarks" / "results" / "server.md"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load(args: argparse.Namespace) -> list[str]:
    """Return the table of a server that many clients use."""
    from tests.server import storms
    from tests.server.running import RunningServer

    with tempfile.TemporaryDirectory() as folder, RunningServer(Path(folder) / "home") as server:
        report = storms.load(server, args.clients, args.tasks)
    tell(report)
    finished = sorted(report.finished)
    return [
        f"{args.clients} clients, {args.tasks} tasks each. In order of arrival the first client "
        f"would have been done after {100 / args.clients:.0f} % of the time.",
        "",
        "| delivered | lost | different | errors | first client done after, last = 100 % "
        "| polls | p50 | p99 | slowest |",
        "|---|---|---|---|---|---|---|---|---|",
        f"| {report.delivered} of {args.clients * args.tasks} | {report.lost} "
        f"| {report.different} | {len(report.errors)} "
        f"| {100 * finished[0] / finished[-1]:.0f} % | {len(report.polls)} "
        f"| {report.poll_ms(0.5):.0f} ms | {report.poll_ms(0.99):.0f} ms "
        f"| {report.poll_ms(1):.0f} ms |",
    ]


def kills(args: argparse.Namespace) -> list[str]:
    """Return the table of a server that is killed."""
    from tests.server import storms
    from tests.server.running import RunningServer

    lines = [
        f"{args.rounds} kills each. *Given up*: workers died twice with the same task, which then "
        "fails with that reason. *Made twice*: jobs in the server's queue beyond one for each "
        "Idempotency-Key.",
        "",
        "| killed | while a task ran | delivered | lost | different | given up | errors "
        "| calls sent again | made twice | workers left |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    pairs = storms.pictures()
    for target in ("worker", "server"):
        with (
            tempfile.TemporaryDirectory() as folder,
            RunningServer(Path(folder) / "home") as server,
        ):
            report = storms.kills(server, args.rounds, pairs=pairs, targets=(target,))
        tell(report)
        name = {"worker": "worker", "server": "listener, then started again"}[target]
        lines.append(
            f"| {name} | {report.kills[target, True]} of {args.rounds} "
            f"| {report.delivered} of {report.submitted} | {report.lost} | {report.different} "
            f"| {report.died} | {len(report.errors)} | {report.repeats} "
            f"| {sum(report.counts.values()) - report.submitted} | {report.orphans} |"
        )
    return lines


def noise(args: argparse.Namespace) -> list[str]:
    """Return the table of a server that is sent nonsense."""
    from tests.server import storms
    from tests.server.running import RunningServer

    with tempfile.TemporaryDirectory() as folder, RunningServer(Path(folder) / "home") as server:
        half, sizes, answers = args.noise // 2, [], Counter[int]()
        for seed in (1, 2):
            answers += storms.noise(server, half, seed)
            sizes.append(server.memory_mb())
        counts = server.counts()
    codes = ", ".join(f"{code}: {count}" for code, count in sorted(answers.items()))
    return [
        f"{2 * half} requests at random; {counts['done'] + counts['queued']} of them were tasks.",
        "",
        "| answers | memory of the listener after half of them, at the end |",
        "|---|---|",
        f"| {codes} | {sizes[0]:.0f} MB, {sizes[1]:.0f} MB |",
    ]


def tell(report: Any) -> None:
    """Show the time a part took, and its errors."""
    print(f"{report.seconds:.0f} s", *report.errors, sep="\n", file=sys.stderr)


if __name__ == "__main__":
    main()
