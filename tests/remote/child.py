"""Requests in processes of their own.

`python -m tests.remote.child COMMAND SEED` runs one. Without arguments it reads orders from its
input, a JSON object a line, and forks a process for each: torch is imported only once.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path

import torch

from tests.fakes import videos as films
from tests.fakes.videos import clip
from tests.remote.host import enlarged, make, picture
from upscale_bridge.errors import UpscaleError
from upscale_bridge.remote import hosts, inquiry
from upscale_bridge.remote.run import ResumeTask
from upscale_bridge.service import Service
from upscale_bridge.storage.settings import home
from upscale_bridge.vendors import WaveSpeedUpscaleVideo

ROOT = Path(__file__).resolve().parents[2]
FILM = WaveSpeedUpscaleVideo.command
FILM_BYTES = 400_000


def run(command, seed):
    """Run a request and return what came of it."""
    if command == FILM:
        return send(seed)
    images = picture(seed)
    result = Service().run(make(command), images)
    right = torch.equal(result.images, enlarged(command, images))
    return {"right": right, "how": result.info["tasks"][0]["how"]}


def send(seed):
    """Run a request of a video and return what came of it."""
    source = home() / f"{seed}.mp4"
    source.parent.mkdir(exist_ok=True)
    source.write_bytes(clip(seed, FILM_BYTES))
    found = Service().run_video(WaveSpeedUpscaleVideo(), source, TAKEN.take)
    return {"right": TAKEN.is_of(seed), "how": found.info["tasks"][0]["how"]}


class Taken:
    """Remembers the file that was handed over."""

    def take(self, kept):
        self.data = kept.read_bytes()

    def is_of(self, seed):
        return self.data == films.enlarged(clip(seed, FILM_BYTES))


TAKEN = Taken()


def attach(command, seed, name, ticket):
    """Give an ambiguous task its ticket and fetch its result, as the command does."""
    service = Service()
    service.client.attach(name, ticket)
    if command == FILM:
        service.resume_video(ResumeTask(task_id=name), TAKEN.take)
        return {"right": TAKEN.is_of(seed)}
    found = service.resume(ResumeTask(task_id=name))
    return {"right": torch.equal(found.images, enlarged(command, picture(seed)))}


def forget(command, seed, name):
    """Give an ambiguous task up, as the command does, and run the request again."""
    journal = Service().client.journal
    journal.forget(journal.find(name).request)
    return run(command, seed)


DEEDS = {"run": run, "attach": attach, "forget": forget}


def obey(order):
    """Carry out one order, in the child."""
    os.environ.update(order["environment"])
    try:
        found = DEEDS[order["deed"]](*order["with"])
    except UpscaleError as error:
        found = {"error": type(error).__name__, "text": str(error)}
    except BaseException:
        found = {"error": "bug", "text": traceback.format_exc()}
    Path(order["answer"]).write_text(json.dumps(found), "utf-8")


def serve():
    """Fork a process for each order; tell its number, then how it ended."""
    hosts._PRIVATE_FIRST_POLL = 0.05
    inquiry._APART = 3.0  # a minute, in lists that lag by seconds
    torch.set_num_threads(1)
    import requests  # noqa: F401 - imported by the first request otherwise

    for line in sys.stdin:
        order = json.loads(line)
        number = os.fork()
        if number == 0:
            obey(order)
            os._exit(0)
        say(number)
        say(os.waitpid(number, 0)[1])


def say(number):
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


class Children:
    """Forks processes that carry out orders, in an `environment` that may change between them."""

    def __init__(self, folder):
        self._answer = Path(folder) / "answer.json"
        self.environment = {}
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.remote.child"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._parent.stdin.close()
        self._parent.stdout.close()
        self._parent.wait(30)

    def do(self, deed, *arguments, until=None):
        """Return what came of a deed, None when the process was killed before it ended.

        It is killed as soon as `until`, which blocks, has returned.
        """
        self._answer.unlink(missing_ok=True)
        order = {"deed": deed, "with": arguments, "answer": str(self._answer)}
        order["environment"] = self.environment
        self._parent.stdin.write(json.dumps(order) + "\n")
        self._parent.stdin.flush()
        number = int(self._parent.stdout.readline())
        if until is not None:
            until()
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        status = int(self._parent.stdout.readline())
        if os.WIFSIGNALED(status) or not self._answer.exists():
            return None
        return json.loads(self._answer.read_text("utf-8"))


def main():
    """Run one request, or serve."""
    if len(sys.argv) == 1:
        serve()
        return
    sys.stdout.write(json.dumps(run(sys.argv[1], int(sys.argv[2]))) + "\n")


if __name__ == "__main__":
    main()
