"""Requests at a steady rate: `python -m tests.server.pollers PORT,PORT SUBMITS POLLS SECONDS`.

Prints JSON: the times of submits and polls in ms, and how many were refused. Each client submits
one more before that begins.
"""

import http.client
import json
import random
import sys
import threading
import time

from tests.server.sockless import MODEL, image, text

CLIENTS = 20
BODY = json.dumps({"image": text(image()), "upscaler_1": MODEL, "upscaling_resize": 2}).encode()


def client(index, ports, submits, polls, start, seconds, found):
    """Send `submits` and `polls` a second, whether answers are late or not."""
    dice = random.Random(index)
    headers = {"Authorization": f"Bearer sk-{index % 8}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", ports[index % len(ports)], timeout=60)
    tickets, rate = [], submits + polls

    def ask(submit):
        if submit:
            connection.request("POST", "/v2/upscale", BODY, headers)
        else:
            ticket = dice.choice(tickets[-50:])
            connection.request("GET", f"/v2/progress?task_id={ticket}", headers=headers)
        answer = json.loads(connection.getresponse().read())
        if submit and not answer["code"]:
            tickets.append(answer["data"]["task_id"])
        return not answer["code"]

    ask(True)  # so that there is something to poll for; all clients at once are no steady rate
    start.wait()
    due = time.monotonic() + dice.random() / rate
    until = due + seconds
    while due < until:
        time.sleep(max(due - time.monotonic(), 0))
        submit = not tickets or dice.random() < submits / rate
        found["refused"] += not ask(submit)
        found["submits" if submit else "polls"].append(1000 * (time.monotonic() - due))
        due += 1 / rate


def main():
    """Run all clients."""
    ports, submits, polls, seconds = sys.argv[1:]
    found = {"submits": [], "polls": [], "refused": 0}
    start = threading.Barrier(CLIENTS)
    each = float(submits) / CLIENTS, float(polls) / CLIENTS
    numbers = [int(port) for port in ports.split(",")]
    threads = [
        threading.Thread(target=client, args=(index, numbers, *each, start, float(seconds), found))
        for index in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
