"""Faults for `FakeService.faults`: each is taken by one request and may be used again.

A fault before acceptance creates no task; one after it has created a billed one.
"""

import datetime
import email.utils
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.fakes import pictures
from tests.fakes.answers import Answer, as_json, made


@dataclass(frozen=True)
class Fault:
    """What happens instead of the usual answer; `act` gets the exchange."""

    name: str
    act: Callable
    reads: bool = True
    """Whether the body is read first."""


# --- connections


def reset_before_accept(read=True):
    """Reset the connection, with no task created; `read` says whether the body was taken."""
    return Fault("reset_before_accept", lambda x: x.reset(), reads=read)


def reset_after_accept():
    """Create the task, then reset the connection."""

    def act(x):
        x.behave()
        x.reset()

    return Fault("reset_after_accept", act)


def drop_answer(accept=True):
    """Create the task, then close the connection without an answer."""

    def act(x):
        if accept:
            x.behave()
        x.close()

    return Fault("drop_answer", act)


def close_after():
    """Answer well and close the connection, though the answer promised to keep it."""

    def act(x):
        x.send(x.behave())
        x.close()

    return Fault("close_after", act)


def stall(until=None, accept=True, silent=False):
    """Send half of the answer, wait, then send the rest.

    `until` is an event, a number of seconds, or None to wait for the end of the service; `silent`
    sends nothing before the wait, and without `accept` nothing after it either.
    """

    def act(x):
        found = x.behave() if accept else Answer(200)
        half = 0 if silent else len(found.body) // 2
        if accept and not silent:
            x.send_head(found, len(found.body))
            x.write(found.body[:half])
        x.service.rest(until)
        if not accept or x.service.closing.is_set():
            x.close()
        elif silent:
            x.send(found)
        else:
            x.write(found.body[half:])

    return Fault("stall", act)


def drip(pause=0.02, pieces=20):
    """Answer well but slowly, in pieces with pauses between them."""

    def act(x):
        found = x.behave()
        x.send_head(found, len(found.body))
        step = max(1, -(-len(found.body) // pieces))
        for start in range(0, len(found.body), step):
            x.write(found.body[start : start + step])
            x.service.rest(pause)

    return Fault("drip", act)


# --- answers


def answer(status, body=b"", headers=None):
    """Answer this, with no task created; `body` is bytes, text or JSON."""
    return Fault(f"answer {status}", lambda x: x.send(made(status, body, headers)))


def answer_after_accept(status, body=b"", headers=None):
    """Create the task, then answer this."""

    def act(x):
        x.behave()
        x.send(made(status, body, headers))

    return Fault(f"answer_after_accept {status}", act)


def html_200(accept=False):
    """Answer a web page with status 200, as gateways and sign-in portals do."""
    page, headers = "<html><body>Please sign in</body></html>", {"Content-Type": "text/html"}
    fault = (answer_after_accept if accept else answer)(200, page, headers)
    return replace(fault, name="html_200")


def refused(kind, message="", status=None, **headers):
    """Refuse in the vendor's manner; `kind` is one of those at `answers.STATUS`."""

    def act(x):
        found = x.manner.refuse(kind, message or kind, **headers)
        x.send(replace(found, status=status or found.status))

    return Fault(f"refused {kind}", act)


def not_found():
    """Know neither the task nor the address."""

    def act(x):
        kind = "task" if x.phase in ("poll", "download") else "path"
        x.send(x.manner.refuse(kind, "not found"))

    return Fault("not_found", act)


def retry_after(seconds, status=429):
    """Refuse for now and say for how many seconds."""
    return _later("retry_after", lambda: str(seconds), status)


def retry_after_date(seconds, status=429):
    """Refuse for now and say until when, as a date `seconds` from the answer."""

    def text():
        at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
        return email.utils.format_datetime(at, usegmt=True)

    return _later("retry_after_date", text, status)


def _later(name, text, status):
    def act(x):
        found = x.manner.refuse("rate", "too many requests")
        x.send(Answer(status, found.body, {**found.headers, "Retry-After": text()}))

    return Fault(name, act)


def redirect(url=None, status=302):
    """Send the client to `url`, or to the same address once more."""

    def act(x):
        here = f"{x.path}?{x.query}" if x.query else x.path
        x.send(Answer(status, b"", {"Location": url or here}))

    return Fault("redirect", act)


def truncated(missing=None):
    """Promise the whole answer and send all but `missing` bytes, by default the second half."""

    def act(x):
        found = x.behave()
        kept = len(found.body) // 2 if missing is None else len(found.body) - missing
        x.send(replace(found, body=found.body[:kept]), length=len(found.body))
        x.close()

    return Fault("truncated", act)


def huge(megabytes=None):
    """Send so many megabytes of blanks, or without a number go on for ever."""

    def act(x):
        length = None if megabytes is None else megabytes << 20
        kind = "image/png" if x.phase == "download" else "application/json"
        x.send_head(Answer(200, headers={"Content-Type": kind}), length)
        sent, block = 0, b" " * (1 << 20)
        while not x.service.closing.is_set() and (length is None or sent < length):
            x.write(block)
            sent += len(block)
        x.close()

    return Fault("huge", act)


def gzip_bomb(megabytes=256):
    """Send a small compressed body that unpacks to so many megabytes of blanks."""

    def act(x):
        packed = gzip.compress(b" " * (1 << 20)) * megabytes
        kind = "image/png" if x.phase == "download" else "application/json"
        x.send(Answer(200, packed, {"Content-Type": kind, "Content-Encoding": "gzip"}))

    return Fault("gzip_bomb", act)


# --- JSON that is odd but may be right


def null_lists():
    """Answer with null where lists belong."""
    return _edited("null_lists", lambda value: None if isinstance(value, list) else value)


def string_numbers():
    """Answer with every number as a text."""

    def edit(value):
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        return str(value) if numeric else value

    return _edited("string_numbers", edit)


def duplicate_keys(key="status", wrong="nonsense"):
    """Answer with `key` standing twice, first wrong and then right."""

    def act(x):
        found = x.behave()
        twice = f'"{key}": {json.dumps(wrong)}, "{key}":'
        body = found.body.replace(f'"{key}":'.encode(), twice.encode())
        x.send(replace(found, body=body))

    return Fault("duplicate_keys", act)


def _edited(name, edit):
    def walk(value):
        if isinstance(value, dict):
            return edit({name: walk(inner) for name, inner in value.items()})
        if isinstance(value, list):
            return edit([walk(inner) for inner in value])
        return edit(value)

    def act(x):
        found = x.behave()
        x.send(as_json(walk(json.loads(found.body)), found.status))

    return Fault(name, act)


# --- states


def unknown_word(word="TASK_STATUS_RESTING"):
    """Tell a status that no document knows."""
    return _with("unknown_word", word=word)


def failed(reason="The model has failed.", code=1403):
    """Let the task fail for good; on a submit it is created first."""
    return _with("failed", failure=(reason, code))


def _with(name, **changes):
    """Answer as usual after setting attributes of the exchange."""

    def act(x):
        for attribute, value in changes.items():
            setattr(x, attribute, value)
        x.send(x.behave())

    return Fault(name, act)


# --- results: on a submit the task's result is spoilt for good, otherwise this answer's only


def bomb(size=(30000, 30000)):
    """Give a small PNG whose header promises a huge picture."""
    return _with("bomb", alter=lambda task, data: (pictures.bomb(size), "image/png"))


def wrong_type(kind="text"):
    """Give something else as image/png: a "text", an animated "gif", or a "html" page."""
    files = {"text": b"This is no picture.\n", "gif": pictures.animation()}
    files["html"] = b"<html><body>Expired</body></html>"
    return _with("wrong_type", alter=lambda task, data: (files[kind], "image/png"))


def smaller(factor=0.5):
    """Give a picture that is smaller than what was submitted."""
    return _resized("smaller", lambda task: [side * factor for side in task.size])


def other_aspect():
    """Give a picture of the right height and twice the width."""
    return _resized("other_aspect", lambda task: (2 * task.target[0], task.target[1]))


def _resized(name, size):
    def alter(task, data):
        sides = tuple(max(1, round(side)) for side in size(task))
        return pictures.enlarge(data, sides, task.format), pictures.MIME[task.format]

    return _with(name, alter=alter)


def expired():
    """Refuse a result's address as signed storage does when its time is over."""
    page = "<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Request has expired"
    headers = {"Content-Type": "application/xml"}
    return replace(answer(403, f"{page}</Message></Error>", headers), name="expired")
