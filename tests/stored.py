"""Makes the files of one version of journal and queue, which later versions must still open.

`python -m tests.stored` writes `tests/data/journal/vN.sqlite3` and `tests/data/queue/vN.sqlite3`
with the code of the checkout that it runs in, N being the version that this code writes, and
beside each its rows, one JSON object a line. A version that is there already is left alone: v1 was
made by the first code that had these files. Run it once when a migration is released.
"""

import json
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from upscale_bridge.remote.clock import Clock
from upscale_bridge.remote.journal import Journal, Task
from upscale_bridge.server.queue import Job
from upscale_bridge.server.sqlite_queue import SqliteQueue

DATA = Path(__file__).parent / "data"
FILES = {"journal": ("journal.sqlite3", "tasks"), "queue": ("queue.sqlite3", "jobs")}
WAVESPEED = {
    "model": "wavespeed-ai/image-upscaler",
    "target_resolution": "4k",
    "creativity": 0.0,
    "output_format": "png",
    "enable_base64_output": False,
    "enable_sync_mode": False,
    "image_url": "",
}
NOVITA = {
    "model_name": "RealESRGAN_x4plus_anime_6B",
    "scale_factor": 2.0,
    "response_image_type": "png",
    "enable_nsfw_detection": False,
}
PHOTIO = {
    "upscale_by": "2",
    "prompt": "größer, 大きく, 🙂 'quoted' \"twice\"\n",
    "negative_prompt": "",
    "quality": "LOW",
    "denoising_strength": 0.2,
    "image_url": "",
}
_MINUTE = 60.0


class Slow(Clock):
    """Every look at it is a second later."""

    time = 1_780_000_000.25

    def now(self):
        self.time += 1
        return self.time


def task(number, kind="wavespeed"):
    """Return one of the requests that the journal holds."""
    values = {
        "wavespeed": ("https://api.wavespeed.ai", "WaveSpeedUpscale", WAVESPEED),
        "novita": ("https://api.novita.ai", "NovitaUpscale", NOVITA),
        "photio": ("https://api.photio.io", "PhotioUpscale", PHOTIO),
    }
    base_url, operation, parameters = values[kind]
    name = f"{number:02d}" + "0123456789abcdef" * 2
    return Task(name[:32], kind, base_url, operation, json.dumps(parameters), 640 + number, 480)


def fill_journal(folder):
    """Bring tasks into all states, the way a program does."""
    clock = Slow()
    journal = Journal(folder, clock)

    def submitted(one, ticket="", upload=""):
        journal.claim(one, 7)
        if upload:
            journal.keep_upload(one.request, upload)
        journal.begin_submit(one.request)
        if ticket:
            journal.accept(one.request, ticket)

    def done(one, ticket="", upload=""):
        submitted(one, ticket, upload)
        clock.time += 12
        (journal.results / f"{one.request}.png").write_bytes(b"\x89PNG not a whole picture")
        journal.finish(one.request, f"{one.request}.png")

    done(task(1), "b3c8c1d2e4f54a0f9d", "https://files.wavespeed.ai/u/1.png?sig=a%2Fb%3D")
    done(task(2, "photio"))
    done(task(3, "novita"), "56f6a1de-0d25-4b6e-a2a4-7a8d17b6a5f0")
    submitted(task(4), "running-1")
    journal.leave(task(4).request)
    submitted(task(5, "novita"), "running-2-whose-owner-died")
    submitted(task(6, "novita"), "failed-1")
    journal.fail(task(6, "novita").request, "Novita says that task failed-1 failed: out of memory.")
    submitted(task(7), "expired-1")
    journal.fail(task(7).request, "WaveSpeed does not know it any more.", expired=True)
    submitted(task(8, "photio"))
    journal.doubt(task(8, "photio").request, "The connection to api.photio.io broke off.")
    submitted(task(9), upload="https://files.wavespeed.ai/u/9.png")
    journal.leave(task(9).request)
    journal.claim(task(10), 7)
    journal.keep_upload(task(10).request, "https://files.wavespeed.ai/u/10.png")
    submitted(task(11, "novita"))
    submitted(task(12))
    journal.doubt(task(12).request, "It broke.")
    journal.retake(task(12).request)
    other = task(13)
    journal.attach(
        replace(other, state="running", ticket="an id of another machine", parameters="{}")
    )


def job(number, customer="anna", **values):
    """Return one of the jobs that the queue holds."""
    parameters = json.dumps({**NOVITA, "scale_factor": 1.5 + number})
    fields = {"width": 640, "height": 480 + number, "digest": f"{number:064x}", **values}
    return Job("", customer, "NovitaUpscale", parameters, f"{number}.png", 3600.5, **fields)


def fill_queue(folder):
    """Bring jobs into all states, the way server and workers do."""
    clock = Slow()
    queue = SqliteQueue(folder, clock=clock)

    def taken(one):
        queue.submit(one)
        found = queue.take()
        clock.time += 7
        return found

    done = taken(job(1, key="key of the client 1", base_url="https://up.example:8190"))
    queue.advance(done, 0.5)
    queue.finish(done, "1-result.png")
    queue.fail(taken(job(2, webhook="https://hook.example/?a=1")), "Too large for this machine.")
    told = taken(job(3, "bob", webhook="https://hook.example/bob", key="ключ"))
    queue.finish(told, "3-result.webp")
    queue.note_tell(told, over=False, pause=4 * _MINUTE)
    heard = taken(job(4, "bob", webhook="https://hook.example/bob"))
    queue.finish(heard, "4-result.png")
    queue.note_tell(heard, over=True, pause=0.0)
    removed = taken(job(5))
    queue.finish(removed, "5-result.png")
    queue.remove(removed.id)
    queue.give_back(taken(job(6, "carol")))
    queue.advance(taken(job(7)), 0.25)
    queue.submit(job(8, "dora", key="waits"))


def rows(path, table):
    """Return a table as a list of objects, in the order of their making."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()
        return [dict(row) for row in found]


def recorded(path):
    """Return the rows that were written down beside a stored file."""
    return [json.loads(line) for line in path.with_suffix(".jsonl").read_text("utf-8").splitlines()]


def main():
    """Write the files of this version that are not there."""
    for kind, fill in (("journal", fill_journal), ("queue", fill_queue)):
        name, table = FILES[kind]
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder))
            with closing(sqlite3.connect(Path(folder) / name)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                (version,) = connection.execute("PRAGMA user_version").fetchone()
            target = DATA / kind / f"v{version}.sqlite3"
            if target.exists():
                sys.stdout.write(f"{target} is there and stays.\n")
                continue
            target.parent.mkdir(exist_ok=True)
            found = rows(Path(folder) / name, table)
            shutil.copyfile(Path(folder) / name, target)
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in found]
            target.with_suffix(".jsonl").write_text("".join(lines), "utf-8")
            sys.stdout.write(f"{target}: {len(found)} rows\n")


if __name__ == "__main__":
    main()
