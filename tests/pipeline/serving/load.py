"""Clients that load a server: many that ask and compare the answers, and hostile ones beside them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
GARBAGE = (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"{" * 5000)
HUGE = HEAD % 4_000_000 + b"a" * 4_000_000
SLOW = HEAD % 60 + b"x" * 60


@dataclass
class Load:
    """What the clients saw.

    Attributes:
        statuses: number of answers of each status.
        wrong: answers that are neither right nor a polite refusal.
        seconds: time of each answered request.
        closed: connections of hostile clients that the server closed, by kind.
        memory: resident memory of the server in bytes, each half second.
    """

    statuses: Counter = field(default_factory=Counter)
    wrong: list = field(default_factory=list)
    seconds: list = field(default_factory=list)
    closed: Counter = field(default_factory=Counter)
    memory: list = field(default_factory=list)

    def percentile(self, share):
        """The time within which a share of the requests was answered."""
        return sorted(self.seconds)[int(share * (len(self.seconds) - 1))]

    def growth(self):
        """Largest memory of the last three quarters, relative to the end of the first quarter."""
        quarter = len(self.memory) // 4
        return max(self.memory[quarter:]) / self.memory[quarter] - 1

    def __str__(self):
        n, first = sum(self.statuses.values()), self.memory[len(self.memory) // 4]
        return (f"{n} answers {dict(self.statuses)}, {len(self.wrong)} wrong; median "
                f"{self.percentile(0.5) * 1000:.0f} ms, 99 % within {self.percentile(0.99) * 1000:.0f} ms; memory "
                f"{first / 2**20:.0f} to {self.memory[-1] / 2**20:.0f} MiB, growth {self.growth():.1%}; closed "
                f"{dict(self.closed)}")


async def read_answer(reader):
    """Read one answer: status, headers, body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    headers = {name.lower(): value for name, value in re.findall(r"^([^:\r\n]+): (.*?)\r?$", head, re.MULTILINE)}
    return int(head.split(" ", 2)[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def ask_until(end, port, requests, load, seed):
    """Ask random requests on one connection after the other, and compare the answers."""
    choose = random.Random(seed)
    reader = writer = None
    while time.monotonic() < end:
        body, right = choose.choice(requests)
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            began = time.monotonic()
            writer.write(HEAD % len(body) + body)
            status, headers, content = await asyncio.wait_for(read_answer(reader), 60)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            load.wrong.append(repr(error))
            writer = None
            continue
        load.statuses[status] += 1
        load.seconds.append(time.monotonic() - began)
        if status == 200 and right(json.loads(content)["predictions"]):
            pass
        elif status == 503 and int(headers["retry-after"]) >= 1:
            await asyncio.sleep(choose.uniform(0.2, 1.0))
        else:
            load.wrong.append((status, content[:200]))
        if headers.get("connection") == "close" or choose.random() < 0.05:
            writer.close()
            writer = None
    if writer:
        writer.close()


async def harass_until(end, port, kind, load):
    """Send garbage, a huge body, one byte a second or nothing, again and again."""
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                if kind == "garbage":
                    writer.write(random.choice(GARBAGE))
                elif kind == "huge":
                    writer.write(HUGE)
                elif kind == "slow":
                    for byte in SLOW:
                        writer.write(bytes([byte]))
                        if reader.at_eof() or time.monotonic() > end:
                            break
                        await asyncio.sleep(1)
                await asyncio.wait_for(reader.read(), max(0.1, end - time.monotonic()))
                load.closed[kind] += 1
            except TimeoutError:
                pass
            except OSError:  # closed while there was more to read
                load.closed[kind] += 1
            finally:
                writer.close()
        await asyncio.sleep(1)


async def watch_until(end, pid, load):
    """Record the memory of the server."""
    while time.monotonic() < end:
        status = Path(f"/proc/{pid}/status").read_text()
        load.memory.append(1024 * int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]))
        await asyncio.sleep(0.5)


def load_server(port, pid, requests, *, clients, seconds, hostile=5):
    """Load a server; return what was seen.

    Args:
        port: its port.
        pid: its process.
        requests: bodies, each with a function that checks the predictions.
        clients: number of clients that ask at the same time.
        seconds: how long.
        hostile: number of hostile clients of each kind.
    """
    load = Load()

    async def all_clients():
        end = time.monotonic() + seconds
        await asyncio.gather(
            watch_until(end, pid, load), *(ask_until(end, port, requests, load, seed) for seed in range(clients)),
            *(harass_until(end, port, kind, load) for kind in ("garbage", "huge", "slow", "silent")
              for _ in range(hostile)))

    asyncio.run(all_clients())
    return load
