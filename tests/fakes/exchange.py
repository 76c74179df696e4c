"""One request and its answer, and the server that carries both."""

import contextlib
import json
import ssl
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, SO_LINGER, SOL_SOCKET
from socket import close as close_socket

from tests.fakes import routes
from tests.fakes.answers import Refusal, parameter


class Exchange:
    """One request, and what may be done about it; faults work through this."""

    def __init__(self, handler):
        self.handler, self.service = handler, handler.server.service
        self.method = handler.command
        self.path, _, self.query = handler.path.partition("?")
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.route, self.match = routes.find_route(self.method, self.path)
        self.manner = self.route.manner if self.route else routes.OWN
        self.phase = self.route.phase if self.route else ""
        self.body = b""
        self.word = self.failure = self.alter = None

    def read(self):
        """Read the body."""
        if "transfer-encoding" in self.headers:  # none of the vendors takes pieces
            self.close()
        length = int(self.headers.get("content-length", 0))
        self.body = self.handler.rfile.read(length)

    def json(self, kind="body"):
        """Return the body, which must be a JSON object."""
        try:
            found = json.loads(self.body)
        except ValueError:
            raise Refusal(kind, "the body is not JSON") from None
        if not isinstance(found, dict):
            raise Refusal(kind, "the body is not a JSON object")
        return found

    def parameter(self, name):
        """Return a value of the query."""
        return parameter(self.query, name)

    def behave(self):
        """Do what the vendor does and return its answer."""
        if self.route is None:
            return self.manner.refuse("path", "no such address")
        try:
            refused = self.service.refused_key(self.manner.key_header, self.headers)
            if refused:
                raise Refusal(refused, "the API key is missing or wrong")
            return self.route.answer(self.service, self)
        except Refusal as refusal:
            return self.manner.refuse(refusal.kind, refusal.message)

    def send(self, answer, length=None):
        """Send an answer; `length` is what its head promises if that is not the truth."""
        self.send_head(answer, len(answer.body) if length is None else length)
        self.write(answer.body)

    def send_head(self, answer, length=None):
        """Send status and headers; without `length` the end of the connection ends the body."""
        self.handler.send_response(answer.status)
        for name, value in answer.headers.items():
            self.handler.send_header(name, value)
        if length is None:
            self.handler.send_header("Connection", "close")
        else:
            self.handler.send_header("Content-Length", str(length))
        self.handler.end_headers()

    def write(self, data):
        """Send a piece of the body."""
        self.handler.wfile.write(data)

    def close(self):
        """End the connection in good manners after this exchange."""
        self.handler.close_connection = True

    def reset(self):
        """Break the connection off at once, so that the other side sees a reset."""
        self.close()
        connection = self.handler.connection
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        connection.setsockopt(SOL_SOCKET, SO_LINGER, linger)
        close_socket(connection.detach())


class Handler(BaseHTTPRequestHandler):
    """Leads a request to its fault, or to its endpoint."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        x = Exchange(self)
        fault = self.server.service.next_fault(x.phase)
        if fault:
            self.server.service.record(x, fault.name)
            if fault.reads:
                x.read()
            fault.act(x)
            return
        x.read()
        answer = x.behave()
        self.server.service.record(x, answer.status)
        x.send(answer)

    do_POST = do_PUT = do_GET  # noqa: N815 - names that http.server looks for

    def log_message(self, *args):
        """Print nothing."""


class Server(ThreadingHTTPServer):
    """Remembers its connections, so that none outlives it."""

    request_queue_size = 128

    def __init__(self, service, tls, port):
        self.service, self.tls = service, None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*tls)
        self.connections, self.changed = set(), threading.Condition()
        super().__init__(("127.0.0.1", port), Handler)

    def finish_request(self, request, client_address):
        with contextlib.ExitStack() as stack:
            if self.tls:
                request = stack.enter_context(self.tls.wrap_socket(request, server_side=True))
            with self.changed:
                self.connections.add(request)
            try:
                super().finish_request(request, client_address)
            finally:
                with self.changed:
                    self.connections.discard(request)
                    self.changed.notify_all()

    def hang_up(self):
        """Cut what is still open and wait for its threads."""
        with self.changed:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(SHUT_RDWR)
            self.changed.wait_for(lambda: not self.connections, timeout=5)

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        hung_up = (ConnectionError, TimeoutError, ssl.SSLError)
        if not isinstance(error, hung_up):
            self.service.errors.append(error)
