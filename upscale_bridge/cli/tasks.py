"""`upscale-bridge tasks`: what was paid for, and how to get it."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import batch, targets
from ..errors import InvalidInputError
from ..images import codecs
from ..images.folders import VIDEOS
from ..remote.run import ResumeTask
from ..remote.task import Task
from ..service import Service
from .common import add_common, add_params, values
from .terminal import Terminal, interruptible, note, report_stream, say

_SHORT = 12  # letters of a task's name in the list


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
        *("-o", "--output"),
        metavar="OUT",
        help="a file, or -. Default: the task's name and .png, or the ending of its video",
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
            f"{task.request[:_SHORT]} {task.state:10} {_age(now - task.created):>5} "
            f"{task.operation} {task.ticket} {task.reason}".rstrip()
        )
    if not tasks:
        note("No tasks.")
    return 0


def _resume(args: argparse.Namespace) -> int:
    service = Service()
    kind = service.client.maker(args.task_id, args.made_by)
    if kind is not None and kind.media == "video":
        return _resume_video(args, service)
    format = batch.format_of(args.output or "")
    if Path(args.output or "").suffix.lower() in VIDEOS.read:
        raise InvalidInputError(
            "--output", f"Task {args.task_id} is of an image; name the result .png or .jpg."
        )
    if args.ticket:
        service.client.attach(args.task_id, args.ticket)
    shown = Terminal(1, quiet=args.json)
    with interruptible(shown):
        result = service.resume(ResumeTask(**values(args, ResumeTask)), shown.lane(0, args.task_id))
    name = args.output or result.info["tasks"][0]["request"] + ".png"
    target: Path | str = name if name == batch.STREAM else Path(name)
    targets.write(target, codecs.encode(result.images[0], format).data, overwrite=args.overwrite)
    _tell(args, target, result.info, result.summary)
    return 0


def _resume_video(args: argparse.Namespace, service: Service) -> int:
    """Write a video as the service made it."""
    target: Path | str = args.output or ""
    if target and target != batch.STREAM:
        target = Path(target)
        if target.suffix.lower() not in VIDEOS.read:
            raise InvalidInputError(
                "--output", f"Task {args.task_id} is of a video; name the result .mp4."
            )
    if args.ticket:
        service.client.attach(args.task_id, args.ticket)
    shown = Terminal(1, quiet=args.json)

    def take(kept: Path) -> None:
        nonlocal target
        target = target or Path(kept.stem[:_SHORT] + kept.suffix)
        targets.copy(kept, target, overwrite=args.overwrite)

    with interruptible(shown):
        lane = shown.lane(0, args.task_id)
        result = service.resume_video(ResumeTask(**values(args, ResumeTask)), take, lane)
    _tell(args, target, result.info, result.summary)
    return 0


def _tell(args: argparse.Namespace, target: Path | str, info: dict[str, Any], summary: str) -> None:
    """Say what was fetched."""
    if args.json:
        stream = report_stream(picture_on_output=target == batch.STREAM)
        print(json.dumps({"output": str(target), **info}), file=stream)
    else:
        note(f"{target}: {summary}")


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
