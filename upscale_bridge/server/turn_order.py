"""Whose turn it is, in SQL that sqlite and PostgreSQL both read.

Customers take turns: the one who was served longest ago comes first, with the oldest job. Two
things go before that, both bounded in time: jobs that are not urgent let others go first, and a
worker may go on with the models that it has in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .queue import USUAL

_YIELDS_SECONDS = 60.0  # for which a job that is not urgent lets others go first
_TOGETHER_SECONDS = 60.0  # a customer's later jobs may go first if they came within that time
_TURN_SECONDS = 5.0  # for which another customer's turn may wait to save the loading of a model

# The first job of the customer who was served longest ago. Each step finds the next customer, and
# that one's turn, by an index, so that the time does not grow with the number of jobs.
_NEXT = """
WITH RECURSIVE waiting(customer) AS (
  SELECT MIN(customer) FROM jobs WHERE state = 'queued'
  UNION ALL
  SELECT (SELECT MIN(customer) FROM jobs WHERE state = 'queued' AND customer > waiting.customer)
  FROM waiting WHERE customer IS NOT NULL
), since AS (
  SELECT customer, (SELECT MAX(started) FROM jobs WHERE customer = waiting.customer) AS served,
    (SELECT MIN(created) FROM jobs WHERE state = 'queued' AND customer = waiting.customer) AS oldest
  FROM waiting WHERE customer IS NOT NULL
), turns AS (
  {turns}
)
SELECT jobs.* FROM turns JOIN jobs ON jobs.{number} = turns.first
ORDER BY CASE WHEN urgency > {usual} AND created > ? THEN 1 ELSE 0 END,
  {other}served, jobs.created, jobs.{number} LIMIT 1
"""

_TURNS = """SELECT served, (
    SELECT {number} FROM jobs WHERE state = 'queued' AND customer = since.customer
    ORDER BY urgency, created, {number} LIMIT 1
  ) AS first FROM since"""

# With models that are loaded: those jobs of a customer first that came together with the oldest
# one, and those customers whose turn comes soon anyway.
_TURNS_LOADED = """SELECT served, first FROM (
    SELECT served, jobs.{number} AS first, ROW_NUMBER() OVER (
      PARTITION BY jobs.customer ORDER BY urgency,
        CASE WHEN models IN ({loaded}) AND created <= oldest + ? THEN 0 ELSE 1 END,
        created, jobs.{number}
    ) AS place
    FROM since JOIN jobs ON jobs.customer = since.customer WHERE jobs.state = 'queued'
  ) AS ranked WHERE place = 1"""
_OTHER = """CASE WHEN models IN ({loaded}) AND served <= ? + (SELECT MIN(served) FROM turns)
  THEN 0 ELSE 1 END, """


def next_turn(number: str, loaded: Sequence[str], now: float) -> tuple[str, list[Any]]:
    """Return a statement that finds the next job, and its values.

    `number` is the column that counts the jobs, `loaded` the `models` of jobs for which a worker
    has to load nothing, `now` the present in seconds since 1970.
    """
    marks = ", ".join("?" * len(loaded))
    turns = (_TURNS_LOADED if loaded else _TURNS).format(number=number, loaded=marks)
    other = _OTHER.format(loaded=marks) if loaded else ""
    sql = _NEXT.format(number=number, usual=USUAL, turns=turns, other=other)
    yields = now - _YIELDS_SECONDS
    if not loaded:
        return sql, [yields]
    return sql, [*loaded, _TOGETHER_SECONDS, yields, *loaded, _TURN_SECONDS]
