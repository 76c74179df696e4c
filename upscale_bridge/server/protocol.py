"""uvicorn's HTTP/1.1, without patience for who sends nothing, reads nothing or just stays.

A request's head must come in time, and what is written must be read in time. When there are too
many connections, those in which nothing happens end first.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 20.0
WRITE_SECONDS = 30.0
MOST_CONNECTIONS = 512


class Protocol(H11Protocol):
    """One connection."""

    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _since = 0.0

    def connection_made(self, transport: Any) -> None:
        self._since = self.loop.time()
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # so that all that waits to be read is seen
        self._start_head()
        if len(self.connections) > MOST_CONNECTIONS:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        self._since = self.loop.time()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._end_head()
        elif self._head_timer is None:
            self._start_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        self._end_write()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._end_write()
        self._write_timer = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        self._end_write()
        super().resume_writing()

    @property
    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _make_room(self) -> None:
        """End the connection that has been idle longest; without one refuse what comes here."""
        others = [one for one in self.connections if isinstance(one, Protocol) and one is not self]
        idle = [one for one in others if one._idle and not one.transport.is_closing()]
        if idle:
            min(idle, key=lambda one: one._since).transport.abort()
        else:
            self.app = service_unavailable

    def _start_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _end_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_write(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
