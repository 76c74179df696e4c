"""What clients are told about jobs, in the words of the API that each came through."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..remote.provider import RemoteOperation, Wire
from ..remote.providers import OPERATIONS, WaveSpeedUpscale
from ..remote.providers.wavespeed import WaveSpeedWire
from ..remote.wire import Done, Failed, Json, Output, Queued, Reply, Running, Status, Ticket
from ..texts import printable
from .files import Files
from .queue import Job

MODEL_HEADER = "x-upscale-bridge-model"
"""Tells in every answer about a task which model does it, or did."""

Answer = Callable[[Job], Reply]

_SYNC_SECONDS, _RESULT_SECONDS = 60.0, 900.0


@dataclass(frozen=True)
class Stored:
    """An answer that is a file of the server; it may be gone when it is sent."""

    path: Path
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Wait:
    """An answer that has to wait for a job, or for memory: it may hold a whole image."""

    job: str
    seconds: float
    """0 for no waiting for the job."""
    done: Answer
    """Makes the answer when the job is done or has failed."""
    late: Answer
    """Makes the answer when the time is over."""


class Replies:
    """Tells of jobs; thread-safe."""

    def __init__(self, files: Files) -> None:
        """`files` holds the results."""
        self._files = files

    def accepted(self, operation: RemoteOperation, job: Job, base_url: str) -> Reply | Wait:
        """Return what the submit of a job is answered."""
        wire, note = operation.wire, _note(job)
        if not wire.has_tickets:
            return Wait(
                job.id,
                _RESULT_SECONDS,
                lambda job: self._result(wire, job),
                lambda job: wire.write_error(500, "The server is busy; the image was not done."),
            )
        accepted = Ticket(job.id)
        if isinstance(operation, WaveSpeedUpscale) and isinstance(wire, WaveSpeedWire):
            if operation.enable_sync_mode:
                return Wait(
                    job.id,
                    _SYNC_SECONDS,
                    lambda job: self.polled(job, base_url),
                    lambda job: wire.write_late(job.id, base_url),
                )
            reply = wire.write_submit(accepted, base_url, operation.model, note=note)
        else:
            reply = wire.write_submit(accepted, base_url, note=note)
        return _naming_models(job, reply)

    def asked(self, job: Job, base_url: str) -> Reply | Wait:
        """Return what a poll is answered, or the wish for memory to answer it in."""
        if job.state == "done" and _in_base64(job):
            return Wait(
                job.id,
                0.0,
                lambda job: self.polled(job, base_url),
                lambda job: self.polled(job, base_url),
            )
        return self.polled(job, base_url)

    def polled(self, job: Job, base_url: str) -> Reply:
        """Return what a poll is answered."""
        wire, status, note = wire_of(job), self._status(job, base_url), _note(job)
        if isinstance(wire, WaveSpeedWire):
            model = json.loads(job.parameters)["model"]
            reply = wire.write_status(job.id, status, base_url, model, note=note)
        else:
            reply = wire.write_status(job.id, status, base_url, note=note)
        return _naming_models(job, reply)

    def event(self, job: Job) -> Json:
        """Return what a webhook is told about a job that has ended."""
        return wire_of(job).write_event(job.id, self._status(job, job.base_url), job.base_url)

    def _result(self, wire: Wire, job: Job) -> Reply:
        data = self._files.read(job.result) if job.state == "done" else None
        if data is None:
            return wire.write_error(500, job.reason or "The result is gone.")
        return _naming_models(job, wire.write_submit(Done((Output(data=data),))))

    def _status(self, job: Job, base_url: str) -> Status:
        match job.state:
            case "queued":
                return Queued()
            case "running":
                return Running(job.fraction or None)
            case "failed":
                return Failed(job.reason)
        if _in_base64(job):
            return Done((Output(data=self._files.read(job.result) or b""),))
        return Done((Output(url=f"{base_url}/files/{job.result}"),))


def models_of(job: Job) -> dict[str, str]:
    """Return which model does the work of which one that was asked for."""
    models: dict[str, str] = json.loads(job.models or "{}")
    return models


def _note(job: Job) -> str:
    """Return what the customer should know about the models; empty for nothing."""
    pairs = models_of(job).items()
    own = job.operation == WaveSpeedUpscale.__name__  # whose models nobody else has
    asked = json.loads(job.parameters)["model"] if own else ""
    told = [f"{used} stands in for {asked or name}" for name, used in pairs if own or used != name]
    return "; ".join(told)


def _naming_models(job: Job, reply: Reply) -> Reply:
    """Return an answer whose head names the models that do the work."""
    names = ", ".join(dict.fromkeys(models_of(job).values()))
    if not names:
        return reply
    # Names of files may have any letters, headers may not.
    shown = printable(names).encode("ascii", "backslashreplace").decode()
    return replace(reply, headers={**reply.headers, MODEL_HEADER: shown})


def _in_base64(job: Job) -> bool:
    return bool(json.loads(job.parameters).get("enable_base64_output"))


def wire_of(job: Job) -> Wire:
    """Return the wire that a job came through."""
    return next(kind.wire for kind in OPERATIONS if kind.__name__ == job.operation)
