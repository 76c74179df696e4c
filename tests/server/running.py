"""The whole server as `upscale-bridge serve` runs it, in processes and a folder of its own."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS, STOP_SECONDS = 60.0, 60.0
PROCESSES = Path("/proc")


class RunningServer:
    """Listens at one port of the loopback; may be stopped or killed, and started again."""

    def __init__(self, home, models=None, keys=0, flags=()):
        """`home` becomes the data folder, `models` its model folder; `keys` are made at random."""
        self.home, self.log, self.flags = home, home / "log.txt", flags
        home.mkdir(parents=True, exist_ok=True)
        if models:
            (home / "models").symlink_to(models, target_is_directory=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.workers_seen = set()
        self.keys = [self._make_key(f"client-{index}") for index in range(keys)]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Start it and wait until it takes calls."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command("serve", "--port", str(self.port), *self.flags),
                cwd=ROOT,
                env=self._environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + START_SECONDS
        while not self.ready():
            told = self.log.read_text("utf-8", "replace")[-2000:]
            assert self.process.poll() is None, told
            if time.monotonic() > until:
                self.stop()
                raise AssertionError(told)
            time.sleep(0.05)

    def stop(self):
        """Stop it as an operator would, and kill what does not listen."""
        if self.process.poll() is None:
            self.workers()
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for worker in self.orphans():
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    def kill(self):
        """Kill the listener, not its workers, as a crash would."""
        self.workers()
        self.process.kill()
        self.process.wait()

    def kill_worker(self):
        """Kill all workers."""
        for worker in self.workers():
            os.kill(worker, signal.SIGKILL)

    def workers(self):
        """Return the numbers of the worker processes (Linux only)."""
        found = {
            int(path.name)
            for path in PROCESSES.glob("[0-9]*")
            if _parent(path) == self.process.pid and _is_worker(path)
        }
        self.workers_seen |= found
        return found

    def orphans(self, seconds=0.0):
        """Return the workers that outlived their listener, after waiting for them to end."""
        until = time.monotonic() + seconds
        while True:
            found = {
                number
                for number in self.workers_seen
                if _is_worker(PROCESSES / str(number))
                and _parent(PROCESSES / str(number)) != self.process.pid
            }
            if not found or time.monotonic() >= until:
                return found
            time.sleep(0.05)

    def memory_mb(self):
        """Return what the listener occupies (Linux only)."""
        text = (PROCESSES / str(self.process.pid) / "status").read_text()
        (line,) = [line for line in text.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) / 1024

    def ready(self):
        """Tell whether it takes calls and has a worker."""
        return self._ask()[0] == 200

    def counts(self):
        """Return how many jobs are in each state."""
        found = self._ask()[1]
        return {name: count for name, count in found.items() if name != "ready"}

    def _ask(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            reply = connection.getresponse()
            return reply.status, json.load(reply)
        except (OSError, http.client.HTTPException):
            return 0, {}
        finally:
            connection.close()

    def _make_key(self, name):
        made = subprocess.run(
            self._command("server-keys", "add", name),
            cwd=ROOT,
            env=self._environment(),
            capture_output=True,
            check=True,
            text=True,
        )
        return made.stdout.strip()

    def _command(self, *arguments):
        return [sys.executable, "-m", "upscale_bridge", *arguments]

    def _environment(self):
        return {
            **os.environ,
            "UPSCALE_BRIDGE_HOME": str(self.home),
            "NO_PROXY": "127.0.0.1",
        }


def _parent(path):
    try:
        text = (path / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent = text.rpartition(")")[2].split()[:2]
    return None if state == "Z" else int(parent)


def _is_worker(path):
    try:
        return b"multiprocessing.spawn" in (path / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
