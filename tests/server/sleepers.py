"""Workers that sleep as a GPU would work: `python -m tests.server.sleepers BROKER STORE FILES N S`.

Each is a process with all that a worker does about a task, but for the task.
"""

import multiprocessing
import random
import sys
import threading
import time
from pathlib import Path

from upscale_bridge.server.cluster.database import Store, StoreTable
from upscale_bridge.server.cluster.presence import OwnPresence, Presence
from upscale_bridge.server.cluster.queue import ClusterQueue
from upscale_bridge.server.cluster.turns import Turns
from upscale_bridge.server.files import Files, Folder
from upscale_bridge.server.ledger import INDEXES, MIGRATIONS, Ledger, LedgerEntry

RESULT = b"\x89PNG not a whole picture"


def work(broker, address, folder, index, seconds):
    """Do tasks for ever, which take so many seconds on average."""
    random.seed(index)
    store = Store(address, patience=60.0, connections=2)
    table = StoreTable(store, "files", LedgerEntry, MIGRATIONS, INDEXES)
    files = Files(Folder(Path(folder)), Ledger(table, store.now, store.alone), 20 << 30)
    with OwnPresence(Presence(store), f"sleeper:{index}") as own, Turns(broker) as turns:
        queue = ClusterQueue(store, announce=turns.announce, own=own)

        def turn():
            job = queue.take()
            if job is None:
                return
            own.begin()
            assert files.read(job.source)
            time.sleep(seconds * random.uniform(0.5, 1.5))  # all at once would be no usual load
            name = files.new_name("image/png")
            files.write(name, RESULT, room=job.id)
            if not queue.finish(job, name):
                files.remove(name)
            files.release(job.id)
            own.end([], 0)

        turns.work(turn, threading.Event())


def main():
    """Start them and wait until the end of standard input."""
    broker, address, folder, count, seconds = sys.argv[1:]
    forked = multiprocessing.get_context("fork")
    processes = [
        forked.Process(target=work, args=(broker, address, folder, index, float(seconds)))
        for index in range(int(count))
    ]
    for process in processes:
        process.start()
    sys.stdin.read()
    for process in processes:
        process.kill()


if __name__ == "__main__":
    main()
