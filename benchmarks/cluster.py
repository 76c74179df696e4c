"""A cluster that is killed at random, and one of 100 workers under load.

    python benchmarks/cluster.py [--rounds 50] [--tasks 500] [--seconds 40] [--write]
        [--rabbitmq]

- kills: two listeners, three machines with a CPU worker each, a broker (Redis, or RabbitMQ, which
  must be installed), PostgreSQL and an S3 server. Four keys submit all tasks at once; then, at
  random moments, a worker, a whole machine, a listener or the broker gets SIGKILL and is started
  again. All results are compared with what the local engine makes.
- load: workers that sleep 2 to 6 s for a task, as a GPU would work, and the most of them once more
  with 8 to 24 s, all else real; requests at a steady rate, three polls for each submit or more.
  Times count from when a request was due.

All parts share this machine's processor. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
KEYS, RATE, LISTENERS = 4, 200, 2
SLEEP, LONG_SLEEP = 4.0, 16.0  # seconds for a task on average
CONNECTIONS = 96  # to the database, beside two of each worker
_STATES = "SELECT state, COUNT(*) FROM jobs GROUP BY state"


def main() -> None:
    """Run all parts and print (with --write: also keep) a Markdown report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50, help="kills")
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=40.0, help="of each load")
    parser.add_argument("--workers", default="1,2,5,10,20,50,100", help="of each load")
    parser.add_argument("--parts", default="kills,load", help="which, with commas between")
    parser.add_argument("--rabbitmq", action="store_true", help="as the broker that is killed")
    parser.add_argument("--write", action="store_true", help="keep the report under results/")
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    lines = [
        "# A cluster under load and under fire",
        "",
        f"Python {platform.python_version()}, {os.cpu_count()} CPU cores for all parts together: "
        "clients, listeners, workers, Redis, PostgreSQL, S3 server. Made by "
        "`benchmarks/cluster.py`, which says more.",
    ]
    for part in args.parts.split(","):
        lines += ["", *{"kills": kills, "load": load}[part](args)]
        print("\n".join(lines), flush=True)
    if args.write:
        path = ROOT / "benchmarks" / "results" / "cluster.md"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def kills(args: argparse.Namespace) -> list[str]:
    """Return the table of a cluster that is killed."""
    from tests.server import storms
    from tests.server.clusters import S3, Cluster, RabbitMQ, Redis

    broker = RabbitMQ if args.rabbitmq else Redis
    storms.TASK_SECONDS = 3600.0  # all tasks are submitted at once, and wait for each other
    report, pairs, dice = storms.Report(), storms.pictures(), random.Random(1)
    done_by: dict[str, int] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(S3()) as s3,
        Cluster(Path(folder), 2, (1, 1, 1), files=s3.url, broker=broker) as cluster,
    ):
        clients = [
            storms.Customer(_Balanced(cluster.listeners), f"key-{index}", pairs, report, True)
            for index in range(KEYS)
        ]
        threads = [
            threading.Thread(target=_use, args=(one, args.tasks // KEYS, report)) for one in clients
        ]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        counted = Counter[str]()
        for _ in range(args.rounds):
            _wait_for_more(cluster)  # else the next kill comes before anybody works again
            time.sleep(dice.uniform(0.0, 2.0))
            counted[_kill(cluster, dice)] += 1
            done_by = done_by or _half(cluster, args.tasks)
        while not done_by and any(thread.is_alive() for thread in threads):
            done_by = _half(cluster, args.tasks)
            time.sleep(0.5)
        for thread in threads:
            thread.join()
        report.seconds = time.monotonic() - started
        counts = _rows(cluster, _STATES)
    print(f"{report.seconds:.0f} s", *report.errors, sep="\n", file=sys.stderr)
    shares = [KEYS * value / sum(done_by.values()) for value in done_by.values()] or [0.0]
    killed = ", ".join(f"{count} {name}" for name, count in sorted(counted.items()))
    return [
        f"{args.rounds} kills ({killed}; the broker is {broker.__name__}) while {KEYS} keys had "
        f"{args.tasks} tasks. *Made twice*: tasks in the store beyond those that were submitted. "
        "*Shares*: of the keys when half of all was done, 1 is fair.",
        "",
        "| delivered | lost | different | given up | errors | calls sent again | made twice "
        "| shares |",
        "|---|---|---|---|---|---|---|---|",
        f"| {report.delivered} of {report.submitted} | {report.lost} | {report.different} "
        f"| {report.died} | {len(report.errors)} | {report.repeats} "
        f"| {sum(counts.values()) - report.submitted} | {min(shares):.2f} to {max(shares):.2f} |",
    ]


def load(args: argparse.Namespace) -> list[str]:
    """Return the table of workers that sleep; draws the picture."""
    counts = [int(count) for count in args.workers.split(",")]
    rows, points = [], []
    for count, sleep in [*((count, SLEEP) for count in counts), (max(counts), LONG_SLEEP)]:
        found = _load(count, sleep, args.seconds)
        if sleep == SLEEP:
            points.append((count, found["tasks"]))
        rows.append(
            f"| {count} | {sleep:.0f} s | {found['tasks']:.2f} | {count / sleep:.2f} "
            f"| {100 * found['busy']:.1f} % "
            f"| {found['submits'][0]:.0f} ms | {found['submits'][1]:.0f} ms "
            f"| {found['polls'][0]:.0f} ms | {found['polls'][1]:.0f} ms | {found['refused']} |"
        )
        print(rows[-1], file=sys.stderr, flush=True)
    if args.write:
        draw(points)
    return [
        f"Workers that sleep for each task, {LISTENERS} listeners, {RATE} requests a second; "
        f"{args.seconds:.0f} s each.",
        "",
        "| workers | a task, mean | tasks a second | at most | busy | submit p50 | p99 | poll p50 "
        "| p99 | refused |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *rows,
    ]


class _Balanced:
    """Listeners behind a load balancer: each new connection goes to the next one."""

    def __init__(self, listeners: list[Any]) -> None:
        self.ports = [one.port for one in listeners]
        self._turn = random.randrange(len(listeners))

    @property
    def port(self) -> int:
        self._turn += 1
        return int(self.ports[self._turn % len(self.ports)])


def _use(client: Any, tasks: int, report: Any) -> None:
    """Submit all tasks, then poll for them."""
    try:
        for _ in range(tasks):
            client.submit()
        while client.look():
            time.sleep(0.1)
    except Exception as error:
        report.errors.append(f"{type(error).__name__}: {error}")
    finally:
        client.close()


def _kill(cluster: Any, dice: random.Random) -> str:
    """Kill something and start it again; return what it was."""
    target = dice.choice(("worker", "worker", "worker", "machine", "listener", "broker"))
    if target == "worker":
        dice.choice(cluster.machines).kill_worker()
    elif target == "machine":
        machine = dice.choice(cluster.machines)
        machine.kill()
        machine.start()
    elif target == "listener":
        listener = dice.choice(cluster.listeners)
        listener.kill()
        listener.start()
    else:
        cluster.broker.kill()
        cluster.broker.start()
    return target


def _wait_for_more(cluster: Any) -> None:
    """Wait until one task more is done, or all are."""
    before = _rows(cluster, _STATES)
    until = time.monotonic() + 120
    while before.get("queued") or before.get("running"):
        assert time.monotonic() < until, "nothing is done any more"
        if _rows(cluster, _STATES).get("done", 0) > before.get("done", 0):
            return
        time.sleep(0.1)


def _half(cluster: Any, tasks: int) -> dict[str, int]:
    """Return how many tasks of each key are done, once half of all are."""
    found = _rows(cluster, "SELECT customer, COUNT(*) FROM jobs WHERE state = 'done' GROUP BY 1")
    return found if sum(found.values()) >= tasks / 2 else {}


def _rows(cluster: Any, query: str) -> dict[str, int]:
    import psycopg

    with psycopg.connect(cluster.store) as connection:
        return {str(name): int(count) for name, count in connection.execute(query)}


def _load(workers: int, sleep: float, seconds: float) -> dict[str, Any]:
    """Return what listeners with so many sleeping workers do under load."""
    from tests.server.clusters import Cluster

    submits = workers / sleep  # what the workers can do; the rest are polls
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), LISTENERS, ())
        cluster.databases.allow(2 * workers + CONNECTIONS)
        with cluster:
            with _sleepers(cluster, workers, sleep):
                ports = ",".join(str(one.port) for one in cluster.listeners)
                # A queue for until the time counts, and longer: no worker has to wait for a submit.
                _poll(ports, workers + 10.0, 0.0, 3.0)
                time.sleep(2 * sleep)
                began = time.time()
                found = _poll(ports, submits, max(RATE - submits, 1.0), seconds)
                ended = time.time()
            done, busy = _worked(cluster, began, ended)
    return {
        "tasks": done / (ended - began),
        "busy": busy / workers / (ended - began),
        "submits": _quantiles(found["submits"]),
        "polls": _quantiles(found["polls"]),
        "refused": found["refused"],
    }


def _worked(cluster: Any, began: float, ended: float) -> tuple[int, float]:
    """Return how many tasks ended between two times, and seconds of work of all workers then."""
    import psycopg

    with psycopg.connect(cluster.store) as connection:
        done, busy = connection.execute(
            "SELECT COUNT(*) FILTER (WHERE finished BETWEEN %(b)s AND %(e)s), "
            "SUM(LEAST(CASE WHEN finished > 0 THEN finished ELSE %(e)s END, %(e)s) "
            "- GREATEST(started, %(b)s)) FROM jobs "
            "WHERE started > 0 AND started < %(e)s AND (finished = 0 OR finished > %(b)s)",
            {"b": began, "e": ended},
        ).fetchone() or (0, 0.0)
    return int(done), float(busy or 0.0)


@contextmanager
def _sleepers(cluster: Any, workers: int, sleep: float) -> Any:
    """Run sleeping workers."""
    command = [sys.executable, "-m", "tests.server.sleepers", cluster.broker.url, cluster.store]
    process = subprocess.Popen(
        [*command, cluster.files, str(workers), str(sleep)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 120
    query = "SELECT 'all', COUNT(*) FROM workers"
    while _rows(cluster, query)["all"] < workers:
        assert time.monotonic() < until, "the workers do not start"
        time.sleep(0.2)
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def _poll(ports: str, submits: float, polls: float, seconds: float) -> dict[str, Any]:
    numbers = [str(one) for one in (submits, polls, seconds)]
    made = subprocess.run(
        [sys.executable, "-m", "tests.server.pollers", ports, *numbers],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(made.stdout)
    return found


def _quantiles(times: list[float]) -> tuple[float, float]:
    ordered = sorted(times) or [0.0]
    return ordered[len(ordered) // 2], ordered[min(int(0.99 * len(ordered)), len(ordered) - 1)]


def draw(points: list[tuple[int, float]]) -> None:
    """Draw tasks a second against workers, for light pages and for dark ones."""
    wide, high, left, base = 640, 360, 60, 310
    last = max(workers for workers, _ in points)
    most = last / SLEEP

    def place(workers: float, tasks: float) -> str:
        return f"{left + workers / last * 550:.1f},{base - tasks / most * 280:.1f}"

    for name, ink, soft, mark in (
        ("light", "#1b1f24", "#d0d7de", "#0a5fc4"),
        ("dark", "#e8eaed", "#3a424d", "#6cb1ff"),
    ):
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" '
            f'font-family="system-ui, sans-serif" font-size="13" fill="{ink}">',
            "<title>Tasks a second against the number of workers</title>",
        ]
        for step in range(6):
            workers, tasks = last * step / 5, most * step / 5
            x, y = place(workers, tasks).split(",")
            parts += [
                f'<line x1="{left}" y1="{y}" x2="610" y2="{y}" stroke="{soft}"/>',
                f'<text x="{left - 8}" y="{float(y) + 4:.1f}" text-anchor="end">{tasks:.0f}</text>',
                f'<text x="{x}" y="{base + 20}" text-anchor="middle">{workers:.0f}</text>',
            ]
        ideal = f"{place(0, 0)} {place(last, most)}"
        line = " ".join(place(*point) for point in points)
        parts += [
            f'<polyline points="{ideal}" fill="none" stroke="{ink}" stroke-dasharray="4 4"/>',
            f'<polyline points="{line}" fill="none" stroke="{mark}" stroke-width="2.5"/>',
        ]
        for point in points:
            x, y = place(*point).split(",")
            parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{mark}"/>')
        parts += [
            f'<text x="335" y="{high - 8}" text-anchor="middle">workers, 4 s for a task</text>',
            f'<text x="{left}" y="18">tasks a second (dashed: all workers always busy)</text>',
            "</svg>",
        ]
        (PICTURES / f"cluster-{name}.svg").write_text("\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
