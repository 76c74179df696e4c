"""What is left of remote requests whose process is killed, against a stand-in of the services.

    python benchmarks/crash.py [--rounds 200] [--seed 1] [--write]

Each round sends SIGKILL to a process at a random moment of its request (Novita, WaveSpeed and
Photio in turn; some calls are made slow, so that kills fall into them) and runs the same request
in a new process. The plain service is like the vendors': where nobody knows whether a submit was
accepted the second run is refused, and the round does what the error says. Another one has a list
of tasks like WaveSpeed's, which lags by up to 1 s where two looks are 3 s apart (20 s and a minute,
20 times as quick): nobody is asked there; once more with all kills in the paid call. The last one
is like this project's own server, which makes one task of submits with the same Idempotency-Key.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 0.3
PAID = "the same, killed in the paid call"
KINDS = {
    "plain": {"idempotent": False},
    "has a list of tasks (WaveSpeed alone)": {"idempotent": False, "history": True},
    PAID: {"idempotent": False, "history": True},
    "refuses doubles": {"idempotent": True},
}
STATES = ("no row", "preparing", "submitting", "running", "done")


def main() -> None:
    """Run all rounds and print (with --write: also keep) a Markdown report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200, help="rounds against each service")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="keep the report under results/")
    args = parser.parse_args()
    lines = [
        "# Killed requests",
        "",
        f"{args.rounds} rounds against each service, Python {platform.python_version()}: a process "
        "is killed (SIGKILL) at a random moment of its request, a new one runs the same request. "
        "Made by `benchmarks/crash.py`, which says more.",
        "",
        "| service | killed with the journal's row | delivered | tasks that a request made by "
        "itself | in doubt, hence refused | resolved by the task's id | given up though accepted "
        "| incomplete files left |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        lines.append(measure(kind, args.rounds, args.seed))
    lines += [
        "",
        "*Given up though accepted*: Photio's API names no tasks, so that an answer that was on "
        "its way cannot be fetched; the error says so and leaves it to the user to pay again.",
    ]
    print("\n".join(lines))
    if args.write:
        path = ROOT / "benchmarks" / "results" / "crash.md"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def measure(kind: str, rounds: int, seed: int) -> str:
    """Run all rounds against one service and return its line of the table."""
    sys.path.insert(0, str(ROOT))
    from tests.remote.child import Children
    from tests.remote.crashes import Crashes, PaidCrashes, crashes

    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        Children(folder) as children,
        crashes(
            folder,
            children,
            seed=seed,
            seconds=SECONDS,
            kind=PaidCrashes if kind == PAID else Crashes,
            **KINDS[kind],
        ) as made,
    ):
        for number in range(rounds):
            made.round(number)
            if sys.stderr.isatty():
                print(f"\r{number + 1}", end="", file=sys.stderr)
    report = made.report
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    states = ", ".join(f"{report.states[state]} {state}" for state in STATES)
    others = sum(report.states.values()) - sum(report.states[state] for state in STATES)
    tasks = f"{min(report.tasks)} to {max(report.tasks)}" if report.tasks else ""
    return (
        f"| {kind} | {states}"
        f"{f', {others} other' if others else ''} | {report.delivered} of {rounds} | {tasks} "
        f"| {report.doubts} | {report.found} | {report.again} | {report.leftovers} |"
    )


if __name__ == "__main__":
    main()
