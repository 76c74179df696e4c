"""Rounds in which a process is killed during its request and another one runs it again."""

import random
import re
import sqlite3
import time
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes import faults
from tests.fakes.faults import Fault
from tests.fakes.service import FakeService
from tests.remote.host import KEY, wait_until
from tests.vendors import environment

COMMANDS = ("novita", "wavespeed", "photio")


def late(seconds):
    """Accept the submit only after a while."""

    def act(x):
        x.service.rest(seconds)
        x.send(x.behave())

    return Fault("late", act)


def slow_calls(seconds):
    """Return phases, and faults that make one call of them slow."""
    return (
        ("", None),
        ("submit", late(seconds)),
        ("submit", faults.stall(seconds, silent=True)),
        ("submit", faults.stall(seconds)),
        ("ticket", faults.stall(seconds, silent=True)),
        ("put", faults.stall(seconds, silent=True)),
        ("download", faults.stall(seconds)),
    )


@dataclass
class Report:
    """What came of all rounds."""

    states: Counter = field(default_factory=Counter)
    """In which state the journal was when the process was killed."""
    doubts: int = 0
    """Rounds whose second run was refused because nobody knew whether the service had accepted."""
    found: int = 0
    """Those where the service knew the task and its id brought the result."""
    again: int = 0
    """Those where a task was given up that the service had accepted: its API has no ids."""
    delivered: int = 0
    tasks: Counter = field(default_factory=Counter)
    """How many tasks requests made by themselves, before anybody gave one up."""
    paid: Counter = field(default_factory=Counter)
    """How many tasks requests made in the end."""
    leftovers: int = 0
    """Incomplete files in the folder of results."""


class Crashes:
    """Kills processes and runs their requests again.

    Against a service with a list of tasks nobody is asked: what was accepted is found, and the run
    after one that finds nothing submits anew. The list lags by up to `longest_lag` seconds.
    """

    longest_lag = 1.0

    def __init__(self, fake, children, home, seed, commands=()):
        self.fake, self.children, self.home = fake, children, Path(home)
        self.commands = commands or (("wavespeed",) if fake.history else COMMANDS)
        self.random = random.Random(seed)
        self.report = Report()
        self._slow = slow_calls(fake.clock.seconds)
        self._durations = {}

    def warm_up(self):
        """Learn how long each request takes."""
        for index, command in enumerate(self.commands):
            started = time.monotonic()
            assert self.children.do("run", command, 900_000 + index)["right"]
            self._durations[command] = time.monotonic() - started

    def round(self, number):
        """Kill one request, run it again, and do what its error says."""
        command = self.commands[number % len(self.commands)]
        self.fake.history_lag = self.random.uniform(0, self.longest_lag)
        self._kill(command, number)
        before = self._before
        found = self.children.do("run", command, number)
        self.report.tasks[len(self.fake.tasks) - before] += 1
        if found.get("error") == "AmbiguousSubmitError":
            found = self._resolve(command, number, found["text"], self.fake.tasks[before:])
        assert found.get("right"), found
        self.report.delivered += 1
        self.report.paid[len(self.fake.tasks) - before] += 1
        requests = len(self.fake.requests)
        assert self.children.do("run", command, number) == {"right": True, "how": "reused"}
        assert len(self.fake.requests) == requests

    def _kill(self, command, number):
        phase, fault = self.random.choice(self._slow)
        self._before, rows = len(self.fake.tasks), len(self._states())
        if phase:
            self.fake.faults[phase].append(fault)
        seconds = self.fake.clock.seconds
        after = self.random.uniform(0, self._durations[command] + seconds * bool(phase))
        self.children.do("run", command, number, until=lambda: time.sleep(after))
        self._note(rows, seconds * (phase == "submit"))

    def _note(self, rows, seconds):
        """Note the state of the row of who was killed, and let the service accept meanwhile."""
        states = self._states()
        self.report.states[states[0] if len(states) > rows else "no row"] += 1
        time.sleep(seconds)  # the service may accept only now
        for waiting in self.fake.faults.values():
            waiting.clear()

    def _resolve(self, command, number, text, tasks):
        """Do what the sentence says and return what came of it."""
        self.report.doubts += 1
        if self.fake.history:
            assert not tasks, "somebody is asked though the service has accepted"
            assert "was not accepted. Run again" in text
            return self.children.do("run", command, number)
        name = re.search(r"forget ([0-9a-f]{12})", text)[1]
        if tasks and "--ticket" in text:
            self.report.found += 1
            return self.children.do("attach", command, number, name, tasks[0].id)
        self.report.again += bool(tasks)
        return self.children.do("forget", command, number, name)

    def _states(self):
        """Return the states of all rows, the newest first."""
        with closing(sqlite3.connect(self.home / "journal.sqlite3")) as connection:
            rows = connection.execute("SELECT state FROM tasks ORDER BY created DESC")
            return [state for (state,) in rows]


class PaidCrashes(Crashes):
    """Kills processes in their paid call, while the service has it."""

    def _kill(self, command, number):
        seconds = self.fake.clock.seconds
        fault = self.random.choice([late(seconds), faults.stall(seconds, silent=True)])
        self._before, rows = len(self.fake.tasks), len(self._states())
        self.fake.faults["submit"].append(fault)
        calls, rest = self.fake.count("submit"), self.random.uniform(0, 0.9 * seconds)

        def in_the_call():
            wait_until(lambda: self.fake.count("submit") > calls)
            time.sleep(rest)

        self.children.do("run", command, number, until=in_the_call)
        self._note(rows, seconds)


@contextmanager
def crashes(
    folder, children, *, idempotent, seed, seconds, history=False, commands=(), kind=Crashes
):
    """Lend one of `kind` with a stand-in of its own, whose tasks take so many seconds.

    `commands` are run in turn, else those of which there is one for each course of a request.
    """
    home = Path(folder) / "home"
    with FakeService(key=KEY, seconds=seconds, idempotent=idempotent) as fake:
        fake.history = history
        children.environment = {
            "UPSCALE_BRIDGE_HOME": str(home),
            **environment(fake.base_url, KEY),
        }
        made = kind(fake, children, home, seed, commands)
        made.warm_up()
        yield made
        made.report.leftovers = len(list((home / "results").glob("*.part")))
