"""A server on this machine that says exactly what a test tells it, and remembers what it heard."""

import contextlib
import socket
import struct
import threading

RESET = struct.pack("ii", 1, 0)


class RawServer:
    """Answers each connection with `talk(server, connection, head)`.

    `heads` are the requests as they came, up to the empty line; `sent` counts the bytes that
    `pour` could get rid of.
    """

    def __init__(self, talk, read_head=True):
        self.talk, self.read_head = talk, read_head
        self.heads, self.sent = [], 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._open = []

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with contextlib.suppress(OSError), connection:
            head = b""
            while self.read_head and b"\r\n\r\n" not in head:
                block = connection.recv(1)
                if not block:
                    return
                head += block
            self.heads.append(head.decode("latin-1"))
            self.talk(self, connection, head)

    def pour(self, connection, size):
        """Send `size` bytes of nothing much."""
        block = b" " * (1 << 16)
        while size > 0:
            connection.sendall(block[:size])
            self.sent += min(size, len(block))
            size -= len(block)


def say(text):
    """Answer these bytes and hang up."""
    data = text.encode("latin-1") if isinstance(text, str) else text

    def talk(server, connection, head):
        connection.sendall(data)

    return talk


def answered(body=b"{}", status="200 OK", **headers):
    """Answer well."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines])
    return say(head.encode("latin-1") + b"\r\nConnection: close\r\n\r\n" + body)


def hang_up(server, connection, head):
    """Take no more of the request and reset the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
