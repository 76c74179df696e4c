"""Requests at a steady rate: `python -m tests.server.pollers PORT,PORT SUBMITS POLLS SECONDS`.

Prints JSON: the times of submits and polls in ms, and how many were refused.
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


def client(index, ports, submits, polls, until, found):
    """Send `submits` and `polls` a second until a time, whether answers are late or not."""
    dice = random.Random(index)
    headers = {"Authorization": f"Bearer sk-{index % 8}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", ports[index % len(ports)], timeout=60)
    tickets, rate = [], submits + polls
    due = time.monotonic() + dice.random() / rate
    while due < until:
        time.sleep(max(due - time.monotonic(), 0))
        submit = not tickets or dice.random() < submits / rate
        if submit:
            connection.request("POST", "/v2/upscale", BODY, headers)
        else:
            ticket = dice.choice(tickets[-50:])
            connection.request("GET", f"/v2/progress?task_id={ticket}", headers=headers)
        answer = json.loads(connection.getresponse().read())
        found["submits" if submit else "polls"].append(1000 * (time.monotonic() - due))
        if answer["code"]:
            found["refused"] += 1
        elif submit:
            tickets.append(answer["data"]["task_id"])
        due += 1 / rate


def main():
    """Run all clients."""
    ports, submits, polls, seconds = sys.argv[1:]
    found = {"submits": [], "polls": [], "refused": 0}
    until = time.monotonic() + float(seconds)
    each = float(submits) / CLIENTS, float(polls) / CLIENTS
    numbers = [int(port) for port in ports.split(",")]
    threads = [
        threading.Thread(target=client, args=(index, numbers, *each, until, found))
        for index in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
