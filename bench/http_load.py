"""Requests at a fixed rate over kept connections, whatever the answers take: prints quantiles of the milliseconds from the moment each was due, as JSON. A process of
its own for bench/lookup_over_http.py. Reads from standard input: where to, requests a second, seconds to warm up and to measure, and the requests, as
``[bytes of a request in hexadecimal, bytes of the answer or 0 where Content-Length says]``.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import uvloop

CONNECTIONS = 32


async def main(asked: dict[str, Any]) -> list[float]:
    requests = [(bytes.fromhex(request), size) for request, size in asked["requests"]]
    dice, started = random.Random(1), time.perf_counter() + 0.5
    total = int(asked["rate"] * (asked["warm_s"] + asked["seconds"]))
    due = ((started + number / asked["rate"], *dice.choice(requests)) for number in range(total))
    waits: list[float] = []
    streams = [await asyncio.open_connection("127.0.0.1", asked["port"], limit=1 << 20) for _ in range(CONNECTIONS)]
    await asyncio.gather(*(worker(due, waits, *pair, after=started + asked["warm_s"]) for pair in streams))
    return waits


async def worker(due: Iterator[tuple[float, bytes, int]], waits: list[float], reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, after: float) -> None:
    """Takes the next request that is due, one at a time."""
    for at, request, size in due:
        if (early := at - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        writer.write(request)
        await (reader.readexactly(size) if size else answer(reader))
        if at >= after:
            waits.append((time.perf_counter() - at) * 1000)
    writer.close()


async def answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the API answered {head[:40]!r}")
    await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))


if __name__ == "__main__":
    uvloop.install()
    waited = asyncio.run(main(json.load(sys.stdin)))
    print(json.dumps({f"p{int(q * 100)}": round(float(np.quantile(waited, q)), 2) for q in (0.5, 0.95, 0.99)}))
