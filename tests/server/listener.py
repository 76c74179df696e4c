"""The server behind real sockets, with a worker thread."""

import contextlib
import socket
import threading
import time

import uvicorn

from upscale_bridge.server import http
from upscale_bridge.server.protocol import Protocol


class Listener:
    """Listens at a free port of the loopback while it is entered."""

    def __init__(self, server, host="127.0.0.1", wrap=None, works=True, **options):
        self.server = server
        folder = server.customers.path.parent
        chosen = http.Options(folder, server.customers.path, host, **options)
        app = http.make_asgi(server.app, server.queue, chosen)
        self._endpoint = getattr(app, "app", app)  # behind the check of names
        config = uvicorn.Config(
            wrap(app) if wrap else app,
            http=Protocol,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
        )
        self._uvicorn = uvicorn.Server(config)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._uvicorn.run, kwargs={"sockets": [self._socket]})
        ]
        if works:
            self._threads.append(threading.Thread(target=self._work))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        until = time.monotonic() + 10
        while not self._uvicorn.started:
            assert time.monotonic() < until
            time.sleep(0.002)
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._uvicorn.should_exit = True
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def connections(self):
        """Return all open connections."""
        return set(self._uvicorn.server_state.connections)

    def held_calls(self):
        """Return how many calls with a key are under way."""
        return self._endpoint._calls._taken.total()

    def held_bytes(self):
        """Return how many bytes of bodies are on their way."""
        return self._endpoint._bodies._taken.total()

    def _work(self):
        while not self._stop.wait(0.005):
            self.server.work()

    def raw(self, *parts, head=b"", close=False):
        """Send bytes and return all that comes back before the end."""
        found = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            for part in parts:
                connection.sendall(part)
            if close:
                connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(65536):
                    found += piece
        return found


def status(answer):
    """Return the status of a raw answer."""
    return int(answer.split(b" ", 2)[1])


def request(line, *headers, body=b"", host="127.0.0.1"):
    """Return a raw request that asks for the connection's end."""
    lines = [line + " HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
