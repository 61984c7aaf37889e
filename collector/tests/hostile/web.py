"""Attacks on a collector by a hostile page or by anybody who reaches the HTTP port."""

import asyncio
import contextlib
import json
import sqlite3
import time

HOST, PORT = "127.0.0.1", 8083


async def ask(request, patience=2.0):
    """The status of an answer and the answer; 0 if none comes in time."""
    writer = None
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(HOST, PORT)
            writer.write(request)
            answer = await reader.read()
        return int(answer.split(b" ", 2)[1]), answer
    except (OSError, TimeoutError, IndexError, ValueError):
        return 0, b""
    finally:
        if writer is not None:
            writer.close()


def get(path, host="localhost", more=""):
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n".encode()


def post(path, body, more=""):
    body = body if isinstance(body, bytes) else body.encode()
    head = (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"{more}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n")
    return head.encode() + body


# Addresses of attackers; honest clients use 127.0.0.1.
ATTACKERS = [(f"127.0.0.{n}", 0) for n in range(2, 10)]


async def occupied(stage, head, drip, wanted=600):
    """Holds as many connections as possible, each sending a little now and then, and measures normal
    requests beside them."""
    held, answered, silent, slowest = [], 0, 0, 0.0

    async def hold(address):
        while not stage.over:
            writer = None
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(max(0.1, stage.seconds)):
                    reader, writer = await asyncio.open_connection(HOST, PORT, local_addr=address)
                    writer.write(head)
                    ended = asyncio.ensure_future(reader.read())
                    while not ended.done() and not stage.over:
                        if drip:
                            writer.write(drip)
                        await asyncio.wait([ended], timeout=1.0)
                    ended.cancel()
            if writer is not None:
                writer.close()
            await asyncio.sleep(0.2)

    for n in range(stage.many(wanted)):
        held.append(asyncio.ensure_future(hold(ATTACKERS[n % len(ATTACKERS)])))
    await asyncio.sleep(1.0)
    while not stage.over:
        begin = time.monotonic()
        status, _ = await ask(get("/metrics"))
        took = time.monotonic() - begin
        answered, silent = answered + (status == 200), silent + (status != 200)
        slowest = max(slowest, took)
        await asyncio.sleep(0.2)
    for one in held:
        one.cancel()
    return {"connections": len(held), "answered": answered, "unanswered": silent,
            "slowest_ms": round(1000 * slowest)}


async def slow_bodies(stage):
    """Sends hundreds of sign-ins whose body never ends."""
    head = (b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
    return await occupied(stage, head, b" ")


async def slow_headers(stage):
    """Sends hundreds of requests whose headers never end."""
    return await occupied(stage, b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n")


async def idle_connections(stage):
    """Opens hundreds of connections that send one request and stay."""
    return await occupied(stage, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"")


def fill(store, rows):
    """Stores samples of a client without an agent, as data for queries."""
    database = sqlite3.connect(store, timeout=30)
    columns = [row[1] for row in database.execute("PRAGMA table_info(clients)")]
    known = {"client_id": "history", "alias": "", "agent_version": "", "os": "", "kernel": "",
             "created_at": 1, "last_seen_at": 1, "cpus": 1, "sample_interval_ns": 10_000_000}
    known = {name: value for name, value in known.items() if name in columns}
    marks = ", ".join("?" * len(known))
    with database:
        client = database.execute(
            f"INSERT INTO clients ({', '.join(known)}) VALUES ({marks})", [*known.values()]).lastrowid
        nic = database.execute("INSERT INTO nics (client, name) VALUES (?, 'eth0')", [client]).lastrowid
    begin = time.time_ns() - rows * 10_000_000
    for first in range(0, rows, 50_000):
        with database:
            database.execute(
                "WITH RECURSIVE n (n) AS (SELECT ? UNION ALL SELECT n + 1 FROM n WHERE n < ?) "
                "INSERT INTO hot_samples SELECT ?, ?, ? + n * 10000000, 0, 10000000, 1000, 1000, "
                "10, 10, 10, 10, 100, 100, 1000, 1000, 0, 0 FROM n",
                [first, min(first + 50_000, rows) - 1, client, nic, begin])
    database.close()
    return begin // 1_000_000_000


async def aborted_queries(stage):
    """Requests long series hundreds of times and hangs up each time."""
    rows = stage.many(1_000_000)
    first = await asyncio.get_event_loop().run_in_executor(None, fill, stage.store, rows)
    stage.begin, asked = time.monotonic(), 0
    path = f"/api/v1/series?client=history&nic=eth0&resolution=raw&max_points=10000&from={first}"
    status, _ = await ask(get(path), patience=30.0)
    alone = time.monotonic() - stage.begin
    while not stage.over and asked < stage.many(560):
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(2.0):
                attacker = ATTACKERS[asked % len(ATTACKERS)]
                _, writer = await asyncio.open_connection(HOST, PORT, local_addr=attacker)
                writer.write(get(f"{path}&to={first + 100_000_000 + asked}"))
                await writer.drain()
                await asyncio.sleep(0.01)
                writer.transport.abort()
        asked += 1
    begin, status_after = time.monotonic(), 0
    while status_after != 200 and time.monotonic() - begin < 60:
        status_after, _ = await ask(get(f"{path}&to={first + 200_000_000}"), patience=30.0)
    return {"rows": rows, "alone_ms": round(1000 * alone), "status": status, "asked": asked,
            "next_answer_ms": round(1000 * (time.monotonic() - begin))}


async def wrong_tokens(stage):
    """Tries to sign in with many wrong tokens."""
    statuses = {}
    for n in range(stage.many(2000)):
        if stage.over:
            break
        status, _ = await ask(post("/api/v1/session", json.dumps({"token": f"guess-{n}"})))
        statuses[str(status)] = statuses.get(str(status), 0) + 1
    return {"statuses": statuses}


async def other_names(stage):
    """A foreign page whose name resolves to this collector (DNS rebinding), with forged proxy headers."""
    vouched = "Remote-User: admin\r\n"
    statuses = {}
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8083", ""]:
        for more in ["", vouched]:
            status, _ = await ask(get("/api/v1/clients", host, more))
            statuses[f"{host or 'no host'}{' vouched' if more else ''}"] = status
    return {"statuses": statuses}
