"""`upscale-bridge tasks`: what was paid for, and how to get it."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import batch
from ..errors import InvalidInputError
from ..images import codecs
from ..remote.run import ResumeTask
from ..remote.task import Task
from ..service import Service
from .common import add_common, add_params, values
from .terminal import Terminal, interruptible, note, report_stream, say


def add_commands(commands: Any) -> None:
    """Add `tasks` and its verbs."""
    tasks = commands.add_parser("tasks", help="list, resume or forget remote tasks")
    tasks.set_defaults(command=_list)
    add_common(tasks)
    verbs = tasks.add_subparsers(metavar="list|resume|forget|repair")
    unset = argparse.SUPPRESS  # a verb that set defaults would undo the flags before it
    listing = verbs.add_parser("list", help="all tasks, the newest first", argument_default=unset)
    listing.set_defaults(command=_list)
    add_common(listing)
    resume = verbs.add_parser("resume", help="fetch the result of a task")
    resume.set_defaults(command=_resume)
    resume.add_argument("task_id", metavar="ID", help="the service's id, or the name in the list")
    resume.add_argument(
        "-o", "--output", metavar="OUT", help="a file, or -. Default: the task's name and .png"
    )
    resume.add_argument("--ticket", help="the service's id of a task whose id is not known here")
    resume.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    add_params(resume, ResumeTask, leave_out=("task_id",))
    add_common(resume)
    forget = verbs.add_parser("forget", help="forget a task and its kept result")
    forget.set_defaults(command=_forget)
    forget.add_argument("task_id", metavar="ID")
    add_common(forget)
    repair = verbs.add_parser("repair", help="save what can be read of a damaged list of tasks")
    repair.set_defaults(command=_repair)
    add_common(repair)


def _list(args: argparse.Namespace) -> int:
    tasks = Service().client.journal.all()
    if args.json:
        hidden = ("key", "owner", "upload")
        rows = [{k: v for k, v in asdict(task).items() if k not in hidden} for task in tasks]
        print(json.dumps(rows))
        return 0
    now = time.time()
    for task in tasks:
        say(
            f"{task.request[:12]} {task.state:10} {_age(now - task.created):>5} "
            f"{task.operation} {task.ticket} {task.reason}".rstrip()
        )
    if not tasks:
        note("No tasks.")
    return 0


def _resume(args: argparse.Namespace) -> int:
    format = batch.format_of(args.output or "")
    service = Service()
    if args.ticket:
        service.client.attach(args.task_id, args.ticket)
    shown = Terminal(1, quiet=args.json)
    with interruptible(shown):
        result = service.resume(ResumeTask(**values(args, ResumeTask)), shown.lane(0, args.task_id))
    name = args.output or result.info["tasks"][0]["request"] + ".png"
    target: Path | str = name if name == batch.STREAM else Path(name)
    batch.write(target, codecs.encode(result.images[0], format).data, overwrite=args.overwrite)
    if args.json:
        stream = report_stream(picture_on_output=target == batch.STREAM)
        print(json.dumps({"output": str(target), **result.info}), file=stream)
    else:
        note(f"{target}: {result.summary}")
    return 0


def _forget(args: argparse.Namespace) -> int:
    journal = Service().client.journal
    task: Task | None = journal.find(args.task_id)
    if task is None:
        raise InvalidInputError("ID", f"There is no task {args.task_id}; see `tasks list`.")
    journal.forget(task.request)
    note(f"Task {task.request[:12]} is forgotten; the same request makes, and pays, a new one.")
    return 0


def _repair(args: argparse.Namespace) -> int:
    journal = Service().client.journal
    repaired = journal.repair()
    if repaired is None:
        note(f"Nothing is damaged; there are {len(journal.all())} tasks.")
        return 0
    count, kept = repaired
    note(
        f"{count} tasks could be read and are kept; the damaged file is {kept}. A task that is "
        "missing here is submitted, and paid, again by the same request; look into your account "
        "first."
    )
    return 0


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
