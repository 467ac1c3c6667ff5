"""Asks over one connection, and prints which backend answers, if it has changed."""

from __future__ import annotations

import http.client
import json
import sys
import time

connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]))
last = ""
while True:
    connection.request("GET", "/")
    answer = connection.getresponse()
    name = json.loads(answer.read())["name"]
    if name != last:
        print(name, flush=True)
        last = name
    time.sleep(0.001)
