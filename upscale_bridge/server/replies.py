"""What clients are told about jobs, in the words of the API that each came through."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import IO

from ..contract.enlarging import Enlarging
from ..contract.http import Json, Reply
from ..contract.operation import RemoteOperation
from ..contract.server import ServedTask, ServerWire, Submit, SyncServerWire, TaskServerWire
from ..contract.tasks import Done, Failed, Output, Queued, Running, Status
from ..texts import printable
from ..vendors import operation_named, server_for
from .files import Files
from .queue import Job

MODEL_HEADER = "x-upscale-bridge-model"
"""Tells in every answer about a task which model does it, or did."""

MakeReply = Callable[[Job], Reply]

_RESULT_SECONDS = 900.0


@dataclass(frozen=True)
class Stored:
    """An answer that is a file of the server, open; whoever sends it closes it."""

    file: IO[bytes]
    size: int
    """Bytes."""
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Wait:
    """An answer that has to wait for a job, or for memory: it may hold a whole image."""

    job: str
    seconds: float
    """0 for no waiting for the job."""
    done: MakeReply
    """Makes the answer when the job is done or has failed."""
    late: MakeReply
    """Makes the answer when the time is over."""


class Replies:
    """Tells of jobs; thread-safe."""

    def __init__(self, files: Files) -> None:
        """`files` holds the results."""
        self._files = files

    def accepted(self, submit: Submit, job: Job, base_url: str) -> Reply | Wait:
        """Return what the submit of a job is answered."""
        wire = wire_of(job)
        if isinstance(wire, SyncServerWire):
            return Wait(
                job.id,
                _RESULT_SECONDS,
                lambda job: self._result(wire, job),
                lambda job: wire.write_error(500, "The server is busy; the image was not done."),
            )
        assert isinstance(wire, TaskServerWire)
        if submit.wait_seconds:
            return Wait(
                job.id,
                submit.wait_seconds,
                lambda job: self.polled(job, base_url),
                lambda job: wire.write_late(_served(job, base_url)),
            )
        return _naming_models(job, wire.write_submit(_served(job, base_url)))

    def asked(self, job: Job, base_url: str) -> Reply | Wait:
        """Return what a poll is answered, or the wish for memory to answer it in."""
        if job.state == "done" and _sends_data(job):
            return Wait(
                job.id,
                0.0,
                lambda job: self.polled(job, base_url),
                lambda job: self.polled(job, base_url),
            )
        return self.polled(job, base_url)

    def polled(self, job: Job, base_url: str) -> Reply:
        """Return what a poll is answered."""
        reply = _task_wire(job).write_status(_served(job, base_url), self._status(job, base_url))
        return _naming_models(job, reply)

    def listed(self, job: Job, base_url: str) -> tuple[ServedTask, Status]:
        """Return what a list of tasks tells of a job; results are named by their addresses."""
        return _served(job, base_url), self._status(job, base_url, may_hold_data=False)

    def event(self, job: Job) -> Json:
        """Return what a webhook is told about a job that has ended."""
        task = _served(job, job.base_url)
        return _task_wire(job).write_event(task, self._status(job, job.base_url))

    def _result(self, wire: SyncServerWire, job: Job) -> Reply:
        data = self._files.read(job.result) if job.state == "done" else None
        if data is None:
            return wire.write_error(500, job.reason or "The result is gone.")
        return _naming_models(job, wire.write_result(Output(data=data)))

    def _status(self, job: Job, base_url: str, *, may_hold_data: bool = True) -> Status:
        match job.state:
            case "queued":
                return Queued()
            case "running":
                return Running(job.fraction or None)
            case "failed":
                return Failed(job.reason)
        if may_hold_data and _sends_data(job):
            return Done((Output(data=self._files.read(job.result) or b""),))
        return Done((Output(url=self._files.address(job.result, base_url, job.lifetime)),))


def models_of(job: Job) -> dict[str, str]:
    """Return which model does the work of which one that was asked for."""
    models: dict[str, str] = json.loads(job.models or "{}")
    return models


def wire_of(job: Job) -> ServerWire:
    """Return the API that a job came through."""
    return server_for(job.operation)


def _task_wire(job: Job) -> TaskServerWire:
    wire = wire_of(job)
    assert isinstance(wire, TaskServerWire)
    return wire


def _served(job: Job, base_url: str) -> ServedTask:
    image = f"{base_url}/files/{job.source}" if job.source else ""
    told = json.loads(job.parameters)
    model = _operation(job).own_model
    return ServedTask(job.id, told, base_url, job.created, image, model, _note(job))


def _operation(job: Job) -> RemoteOperation:
    return operation_named(job.operation)(**json.loads(job.parameters))


def _note(job: Job) -> str:
    """Return what the customer should know about the models; empty for nothing."""
    pairs = models_of(job).items()
    asked = _operation(job)
    own = "" if isinstance(asked, Enlarging) else asked.own_model
    told = [f"{used} stands in for {own or name}" for name, used in pairs if own or used != name]
    return "; ".join(told)


def _naming_models(job: Job, reply: Reply) -> Reply:
    """Return an answer whose head names the models that do the work."""
    names = ", ".join(dict.fromkeys(models_of(job).values()))
    if not names:
        return reply
    # Names of files may have any letters, headers may not.
    shown = printable(names).encode("ascii", "backslashreplace").decode()
    return replace(reply, headers={**reply.headers, MODEL_HEADER: shown})


def _sends_data(job: Job) -> bool:
    wire = wire_of(job)
    return isinstance(wire, TaskServerWire) and wire.sends_data(json.loads(job.parameters))
