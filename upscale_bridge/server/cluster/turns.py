"""Turns, sent through a broker: whoever gets one does the next job of the store.

Imported only by cluster commands: Celery belongs to the extra [cluster]. A turn names no job. One
that is lost is announced anew (`ClusterQueue.announce_late`), one too many finds nothing to do; so
neither a broker that forgets nor one that repeats itself does any harm.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.worker import WorkController, state
from kombu.exceptions import KombuError

log = logging.getLogger("upscale_bridge.server")

_TURN, _QUEUE = "upscale_bridge.turn", "upscale-bridge"
_CONNECT_SECONDS = 3
_ANSWER_SECONDS = 10.0  # in which a broker answers; a line that went dead would never say so
_SOON_SECONDS = 0.01
_HIDDEN_SECONDS = 7200  # for which Redis keeps a turn for who took it, before another gets it
_MOST_UNSENT = 1000


class Turns:
    """One broker; thread-safe."""

    def __init__(self, broker: str) -> None:
        """`broker` is redis://HOST, amqp://USER:PASSWORD@HOST or what else Celery speaks."""
        self._app = Celery("upscale_bridge", broker=broker, set_as_current=False)
        self._app.conf.update(
            task_default_queue=_QUEUE,
            task_acks_late=True,
            task_reject_on_worker_lost=True,
            task_ignore_result=True,
            worker_prefetch_multiplier=1,
            worker_hijack_root_logger=False,
            worker_redirect_stdouts=False,
            worker_enable_remote_control=False,
            worker_send_task_events=False,
            worker_cancel_long_running_tasks_on_connection_loss=False,
            broker_connection_timeout=_CONNECT_SECONDS,
            broker_connection_retry_on_startup=True,
            broker_connection_max_retries=None,
            broker_transport_options={
                "visibility_timeout": _HIDDEN_SECONDS,
                "socket_connect_timeout": _CONNECT_SECONDS,
                "socket_timeout": _ANSWER_SECONDS,
                "confirm_publish": True,  # RabbitMQ answers only then
                "read_timeout": _ANSWER_SECONDS,
                "write_timeout": _ANSWER_SECONDS,
                "socket_keepalive": True,
                "health_check_interval": 10,
                "max_retries": 1,
            },
        )
        self._wanted = threading.Condition()
        self._unsent, self._over = 0, False
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._told = True

    def __enter__(self) -> Turns:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._wanted:
            self._over = True
            self._wanted.notify()
        self._thread.join(2 * _CONNECT_SECONDS)
        self._app.close()

    def announce(self, turns: int) -> None:
        """Send so many turns soon; waits for nothing."""
        with self._wanted:
            self._unsent = min(self._unsent + turns, _MOST_UNSENT)
            self._wanted.notify()

    def under_way(self) -> int:
        """Return how many turns wait for a worker; 0 where the broker does not tell."""
        try:
            with self._app.connection_for_read() as connection:
                connection.ensure_connection(max_retries=1)
                found = connection.default_channel.queue_declare(_QUEUE, passive=True)
                return int(found.message_count)
        except Exception as error:  # each transport has errors of its own
            log.debug("The broker does not tell how many turns it holds: %s", error)
            return 0

    def work(self, turn: Callable[[], None], stop: threading.Event) -> None:
        """Take turns, one at a time, until `stop` is set and the turn in hand is over."""

        def take() -> None:
            turn()
            # kombu's loop sleeps before it acknowledges what was done within one of its own calls.
            if controller.hub is not None:
                controller.hub.call_later(_SOON_SECONDS, _wake)

        self._app.set_current()  # where Celery looks for a task that it was sent
        self._app.task(name=_TURN, shared=False)(take)
        controller: Any = WorkController(
            app=self._app,
            pool="solo",
            concurrency=1,
            hostname=f"upscale-bridge@{secrets.token_hex(8)}",
            queues=[_QUEUE],
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        )

        def end() -> None:
            stop.wait()
            state.should_stop = 0

        threading.Thread(target=end, daemon=True).start()
        controller.start()

    def _send(self) -> None:
        while True:
            with self._wanted:
                self._wanted.wait_for(lambda: self._unsent or self._over)
                if self._over:
                    return
                turns, self._unsent = self._unsent, 0
            try:
                for _ in range(turns):
                    self._app.send_task(_TURN, queue=_QUEUE, retry=False, ignore_result=True)
                self._told = True
            except (KombuError, OSError) as error:  # they are announced anew
                if self._told:
                    told = str(error) or "it does not answer"
                    log.warning("The broker cannot be reached; tasks wait: %s", told)
                self._told = False


def _wake() -> None:
    """Do nothing, at a time when a loop should not sleep."""
