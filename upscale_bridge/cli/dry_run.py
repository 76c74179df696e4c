"""What a command that pays would do: sizes, what is kept already, and what the rest costs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence

from .. import batch
from ..contract.operation import RemoteOperation
from ..contract.pricing import Price, money
from ..errors import UpscaleError
from ..file_plans import FilePlan
from ..monitor import Monitor
from ..remote.gate import check_total
from ..service import Service
from .terminal import note, report_stream

Plan = Callable[[batch.FileJob, Monitor], FilePlan]

HELP = "send no file: say sizes, what would be paid, and what is kept already"


def show(
    args: argparse.Namespace,
    jobs: Sequence[batch.FileJob],
    operation: RemoteOperation,
    plan: Plan,
    service: Service,
    monitor: Monitor,
) -> int:
    """Say what would become of each file and what it costs; returns the exit status."""
    offers = service.client.offers
    if operation.catalogue is not None:
        offers.check(operation)
    plans, failures = _plans(jobs, plan, monitor)
    new = sum(one.outlook == "new" and not one.free for one in plans)
    price = offers.price(operation)
    left = offers.balance(operation) if price else None
    stream = report_stream(picture_on_output=False)
    if args.json:
        for one in plans:
            print(json.dumps(one.as_dict()), file=stream)
        for job, error in failures:
            fields = {"error": type(error).__name__, "message": str(error)}
            print(json.dumps({"file": str(job.source), "outlook": "failed", **fields}), file=stream)
        print(json.dumps(_total(price, left, new)), file=stream)
    else:
        for one in plans:
            note(one.described)
        for job, error in failures:
            note(f"{job.source}: WOULD FAIL: {error}")
        note(f"{_said(operation, price, left, new)} Nothing was sent.")
    check_total(price, new, service.client.settings().max_cost_run)
    return failures[0][1].exit_code if failures else 0


def refuse_costly(
    jobs: Sequence[batch.FileJob],
    operation: RemoteOperation,
    plan: Plan,
    service: Service,
    monitor: Monitor,
) -> None:
    """Raise `CostLimitError` when all files together cost more than one run may."""
    client = service.client
    most = client.settings().max_cost_run
    if not most or len(jobs) < 2:
        return
    price = client.offers.price(operation)
    if price is not None and price.amount * len(jobs) > most:
        plans, _ = _plans(jobs, plan, monitor)
        check_total(price, sum(one.outlook == "new" for one in plans), most)


def _plans(
    jobs: Sequence[batch.FileJob], plan: Plan, monitor: Monitor
) -> tuple[list[FilePlan], list[tuple[batch.FileJob, UpscaleError]]]:
    plans, failures = [], []
    for job in jobs:
        monitor.check()
        try:
            plans.append(plan(job, monitor))
        except UpscaleError as error:
            failures.append((job, error))
    return plans, failures


def _total(price: Price | None, left: Price | None, new: int) -> dict[str, object]:
    return {
        "payments": new,
        "price": price.amount if price else None,
        "total": round(price.amount * new, 6) if price else None,
        "least": price.least if price else None,
        "currency": price.currency if price else None,
        "balance": left.amount if left else None,
    }


def _said(operation: RemoteOperation, price: Price | None, left: Price | None, new: int) -> str:
    title = operation.vendor.title
    payments = "1 payment" if new == 1 else f"{new} payments"
    if price is None:
        return f"{payments}; {title} tells no price." if new else "Nothing to pay."
    total = money(price.amount * new, price.currency)
    least = "at least " if price.least else ""
    balance = f"; {left.text} are left on the account" if left else ""
    return f"{payments} of {price.text}: {least}{total}{balance}."
