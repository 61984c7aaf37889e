"""Attacks on a collector by a hostile agent or by somebody without a certificate: one function per
attack. Each ends by itself and prints its observations as JSON.

usage: attacks.py ATTACK JSON    (`Stage` names what the JSON must have)
"""

import asyncio
import inspect
import json
import os
import random
import subprocess
import sys
import time

import peer
import web
import wire


class Stage:
    def __init__(self, told):
        self.address = (told["host"], told["port"])
        self.identity = told["identity"]
        # Longest duration of an attack in seconds, and its strength (1: a real attacker's).
        self.seconds = told["seconds"]
        self.scale = told["scale"]
        # The collector's command line, without the command.
        self.collector = told["collector"]
        # The file of the embedded store.
        self.store = told.get("store")
        self.pki = peer.Pki(self.identity)
        self.begin = time.monotonic()

    @property
    def over(self):
        return time.monotonic() - self.begin > self.seconds

    def many(self, number):
        return max(1, int(number * self.scale))

    async def agent(self, name, sessions, **about):
        return await peer.agent(self.address, self.pki, name, sessions, **about)

    async def agents(self, name, number):
        """Connects many agents with a session each. The attack starts once all are connected."""
        links = []
        for n in range(self.many(number)):
            id = session()
            try:
                links.append((id, await self.agent(f"{name}-{n}", [id])))
            except (peer.Closed, asyncio.TimeoutError):
                break
        self.begin = time.monotonic()
        return links

    async def command(self, *args):
        """Runs a command of the collector. Returns its exit code and output."""
        run = lambda: subprocess.run([*self.collector, *args], capture_output=True, text=True,
                                     timeout=60)
        done = await asyncio.get_event_loop().run_in_executor(None, run)
        return done.returncode, done.stdout + done.stderr


def session():
    return random.getrandbits(63) | 1


async def told(link):
    """The other end's reason for closing the connection; None while it is open."""
    await asyncio.sleep(0.05)
    return link.ended.result() if link.gone else None


async def pour(stage, link, messages, chunk=256 << 10):
    """Sends on one stream as fast as possible, until time is up or the other end refuses. Returns the
    number of messages given to QUIC."""
    stream, sent, waiting = link.uni(b""), 0, b""
    for message in messages:
        waiting += message
        sent += 1
        if len(waiting) < chunk:
            continue
        try:
            link.write(waiting, stream)
        except peer.Closed:
            return sent
        waiting = b""
        while not stage.over and not link.gone:
            if await link.drained(stream, chunk, patience=0.2):
                break
        if stage.over or link.gone:
            return sent
    if waiting and not link.gone:
        link.write(waiting, stream)
    while not stage.over and not await link.drained(stream, patience=0.2) and not link.gone:
        pass
    return sent


# 1. Commits


async def figures_beyond_any_link(stage):
    """Sends a count of 2^63-1 bytes, then small counts in the same minute. Each is valid by itself."""
    id, now = session(), time.time_ns()
    link = await stage.agent("poisoner", [id])

    def frames():
        yield wire.frame(id, 1, samples=[wire.sample("eth0", now, rx=wire.I64_MAX)])
        for seq in range(2, stage.many(20_000)):
            yield wire.frame(id, seq, samples=[wire.sample("eth0", now + seq, rx=1)])

    sent = await pour(stage, link, frames())
    return {"frames": sent, "told": await told(link)}


async def figures_that_are_too_much_only_together(stage):
    """Sends thousands of the largest valid counts in the same minute."""
    now, found = time.time_ns() // (60 * wire.SECOND) * 60 * wire.SECOND, None
    for bits in range(62, 20, -2):
        id = session()
        link = await stage.agent("summer", [id])
        link.uni(wire.frame(id, 1, samples=[wire.sample("eth0", now, rx=1 << bits)]))
        try:
            while True:
                _, body = await link.next(wire.ACK, patience=2.0)
                if wire.read_ack(body)[1] >= 1:
                    break
            found = bits
            break
        except (peer.Closed, asyncio.TimeoutError):
            link.close()
    if found is None:
        return {"largest": None}
    rows = lambda seq: [wire.sample(f"n{n}", now + seq, rx=1 << found) for n in range(4)]
    frames = (wire.frame(id, seq, samples=rows(seq)) for seq in range(2, stage.many(20_000)))
    sent = await pour(stage, link, frames)
    return {"largest": f"2^{found}", "frames": sent, "told": await told(link)}


# 2. Limits


async def frames_that_wait_for_a_missing_one(stage):
    """Many agents send all frames but the first, each with 1,024 rows in few bytes."""
    links = await stage.agents("holder", 60)
    for id, link in links:
        try:
            link.uni(b"".join(wire.bomb(id, seq) for seq in range(2, 66)))
        except peer.Closed:
            pass
        await asyncio.sleep(0)
    while not stage.over:
        await asyncio.sleep(0.1)
    return {"agents": len(links), "ended": sum(link.gone for _, link in links)}


async def sessions_of_empty_frames(stage):
    """One connection opens 4,096 sessions, each with empty frames that wait for the first frame."""
    ids = [session() for _ in range(stage.many(4096))]
    link = await stage.agent("hoarder", ids, patience=60.0)
    frames = (wire.frame(id, seq) for seq in range(2, 1024) for id in ids)
    sent = await pour(stage, link, frames)
    return {"sessions": len(ids), "frames": sent, "told": await told(link)}


async def still_open(links, most):
    """How many connections are open once they are as few as may stay: one that was closed is drained
    for some round trips, and a busy machine takes its time."""
    open_now = lambda: sum(not link.gone for link in links)
    deadline = time.monotonic() + 20
    while open_now() > most and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    return open_now()


async def connections_of_one_client(stage):
    """Opens as many connections as possible with one certificate, all as the same agent."""
    id, links = session(), []
    certificate = stage.pki.client("crowd")
    while len(links) < stage.many(200) and not stage.over:
        try:
            links.append(await stage.agent("crowd", [id], certificate=certificate))
        except (peer.Closed, asyncio.TimeoutError):
            break
    await asyncio.sleep(1.0)
    return {"connections": len(links), "still_open": await still_open(links, 1)}


async def handshakes_that_are_never_finished(stage):
    """Sends first packets from one address as fast as possible and answers retry packets, but never
    finishes a handshake."""
    loop, sent, flooded, answers = asyncio.get_event_loop(), 0, 0.0, {}
    begin_one = peer.Beginner(peer.configuration(stage.pki), stage.address)

    class Silent(asyncio.DatagramProtocol):
        def datagram_received(self, data, _):
            kind = peer.packet_kind(data)
            answers[kind] = answers.get(kind, 0) + 1
            if kind == "retry":
                transport.sendto(begin_one.first(*peer.retried(data)), stage.address)

    transport, _ = await loop.create_datagram_endpoint(Silent, local_addr=("127.0.0.1", 0))
    entered, refused = [], 0
    while not stage.over and sent < stage.many(20_000):
        begin = time.monotonic()
        for _ in range(20):
            transport.sendto(begin_one.first(), stage.address)
        sent += 20
        await asyncio.sleep(0)
        flooded += time.monotonic() - begin
        if sent % 2000 == 0:
            begin = time.monotonic()
            try:
                link = await stage.agent("latecomer", [session()])
                entered.append(time.monotonic() - begin)
                link.close()
            except (peer.Closed, asyncio.TimeoutError):
                refused += 1
    return {"handshakes": sent, "a_second": round(sent / flooded), "answers": answers,
            "entered": len(entered), "refused": refused, "slowest_entry_ms": round(1000 * max(entered, default=0))}


async def connections_that_say_nothing(stage):
    """Opens connections without a certificate that finish the handshake and then stay silent."""
    links, refused = [], 0
    config = peer.configuration(stage.pki, alpn=peer.ALPN_ENROLL)
    while not stage.over and len(links) < stage.many(300):
        try:
            links.append(await peer.connect(stage.address, config, patience=3.0))
        except (peer.Closed, asyncio.TimeoutError):
            refused += 1
            await asyncio.sleep(0.05)
    begin, entered = time.monotonic(), None
    try:
        (await stage.agent("latecomer", [session()])).close()
        entered = round(1000 * (time.monotonic() - begin))
    except (peer.Closed, asyncio.TimeoutError):
        pass
    return {"connections": len(links), "refused": refused, "entry_ms": entered,
            "still_open": await still_open(links, 32)}


async def messages_that_never_end(stage):
    """Sends the first bytes of messages of 1 MiB on every stream that it may open."""
    links = await stage.agents("promiser", 60)
    for _, link in links:
        for _ in range(60):
            link.uni(wire.message(wire.FRAME, bytes(60), length=1 << 20))
    while not stage.over:
        await asyncio.sleep(0.1)
    return {"agents": len(links), "ended": sum(link.gone for _, link in links)}


async def nics_that_come_and_go(stage):
    """Sends inventories of thousands of NICs, new ones each time, whose links change constantly."""
    id, sent = session(), 0
    link = await stage.agent("shuffler", [id])
    while not stage.over and sent < stage.many(500) and not link.gone:
        nics = [(f"n{sent % 7}-{n}", (n + sent) % 2 == 0) for n in range(4096)]
        stream = link.write(wire.inventory(nics))
        sent += 1
        while not stage.over and not await link.drained(stream, 64 << 10, patience=0.2):
            if link.gone:
                break
    return {"inventories": sent, "told": await told(link)}


async def names_of_nics_without_end(stage):
    """Sends frames whose samples all belong to unknown NICs."""
    id, now = session(), time.time_ns()
    link = await stage.agent("namer", [id])
    rows = lambda seq: [wire.sample(f"{seq}-{n}", now, rx=1) for n in range(512)]
    frames = (wire.frame(id, seq, samples=rows(seq)) for seq in range(1, stage.many(400)))
    sent = await pour(stage, link, frames, chunk=64 << 10)
    return {"nics": 512 * sent, "told": await told(link)}


async def rows_as_fast_as_they_go(stage):
    """Sends valid frames in order, each with 1,024 rows in few bytes."""
    id, now = session(), time.time_ns()
    link = await stage.agent("flooder", [id])
    frames = (wire.bomb(id, seq, start_ns=now + seq * 2000) for seq in range(1, stage.many(20_000)))
    sent = await pour(stage, link, frames, chunk=64 << 10)
    return {"rows": 1024 * sent, "told": await told(link)}


# 3. Certificates and tokens


async def renewals_without_end(stage):
    """Requests new certificates until the collector's record of them becomes unreadable."""
    certificate = stage.pki.client("renewer")
    link = await stage.agent("renewer", [session()], certificate=certificate)
    csr, given, refused = peer.csr(), 0, 0
    while not stage.over and not link.gone and given + refused < stage.many(12_000):
        try:
            link.bidi(wire.renew_request(csr), end=True)
            kind, _ = await link.next(wire.ENROLL_REPLY, wire.REFUSED, patience=5.0)
        except (peer.Closed, asyncio.TimeoutError):
            break
        given, refused = given + (kind == wire.ENROLL_REPLY), refused + (kind == wire.REFUSED)
    return {"given": given, "refused": refused, "told": await told(link)}


async def revoked_while_connected(stage):
    """Keeps sending while an operator revokes it. Measures how long that still works."""
    return await revoked(stage, stage.address)


async def revoked_at_another_collector(stage):
    """The same, connected to a second collector of the database on the next port."""
    return await revoked(stage, (stage.address[0], stage.address[1] + 1))


async def revoked(stage, address):
    id, name = session(), "revoked"
    code, token = await stage.command("token")
    assert code == 0, token
    certificate = await enroll(stage, token.strip().split()[-1], name)
    link = await peer.agent(address, stage.pki, name, [id], certificate=certificate)
    revoked = asyncio.ensure_future(stage.command("revoke", name))
    seq, done = 0, None
    deadline = time.monotonic() + 20
    while not link.gone and time.monotonic() < deadline:
        if done is None and revoked.done():
            done = time.monotonic()
        seq += 1
        try:
            link.datagram(wire.frame(id, seq, samples=[wire.sample("eth0", time.time_ns(), rx=1)]))
        except peer.Closed:
            break
        await asyncio.sleep(0.01)
    ended = time.monotonic()
    code, said = await revoked
    late = None if not link.gone else round(1000 * max(0.0, ended - (done or ended)))
    again = "let in"
    try:
        link = await peer.agent(address, stage.pki, name, [id], certificate=certificate)
        await asyncio.sleep(0.2)
        again = await told(link) or again
    except peer.Closed as error:
        again = str(error)
    return {"exit_code": code, "said": said, "ended_after_ms": late, "again": again}


async def enroll(stage, token, name, address=None):
    """Exchanges a token for a certificate, as a new host does."""
    secret = peer.secret(token)
    link = await peer.connect(address or stage.address, peer.configuration(alpn=peer.ALPN_ENROLL))
    key = peer.new_key()
    link.write(wire.enroll_request(secret, name, peer.csr(key)), end=True)
    kind, body = await link.next(wire.ENROLL_REPLY, wire.REFUSED)
    text = wire.read_text(body, len(body) - (16 if kind == wire.ENROLL_REPLY else 8))
    link.close()
    if kind == wire.REFUSED:
        raise peer.Closed(text)
    return peer.certificate(text), key


async def a_certificate_that_ends_while_connected(stage):
    """Connects with a certificate that expires in eight seconds, and stays."""
    id, life = session(), 8
    certificate = stage.pki.client("short-lived", begin=-10, end=life)
    begin, seq = time.monotonic(), 0
    link = await stage.agent("short-lived", [id], certificate=certificate)
    while not link.gone and time.monotonic() - begin < life + 20:
        seq += 1
        try:
            link.datagram(wire.frame(id, seq, samples=[wire.sample("eth0", time.time_ns(), rx=1)]))
        except peer.Closed:
            break
        await asyncio.sleep(0.05)
    stayed = time.monotonic() - begin if link.gone else None
    return {"life": life, "stayed": stayed and round(stayed, 2), "told": await told(link)}


async def guessed_tokens(stage):
    """Requests certificates with guessed secrets."""
    given, refused, shut = 0, 0, 0
    while not stage.over and refused + shut < stage.many(2000):
        try:
            config = peer.configuration(alpn=peer.ALPN_ENROLL)
            link = await peer.connect(stage.address, config, patience=3.0)
            request = wire.enroll_request(os.urandom(32), f"guess-{refused}", peer.csr())
            link.write(request, end=True)
            kind, _ = await link.next(wire.ENROLL_REPLY, wire.REFUSED, patience=3.0)
            given, refused = given + (kind == wire.ENROLL_REPLY), refused + (kind == wire.REFUSED)
            link.close()
        except (peer.Closed, asyncio.TimeoutError):
            shut += 1
    return {"given": given, "refused": refused, "not_let_in": shut}


async def one_token_at_two_collectors(stage):
    """Uses one token at two collectors of a database at the same time."""
    code, token = await stage.command("token")
    assert code == 0, token
    token, given = token.strip().split()[-1], 0
    second = (stage.address[0], stage.address[1] + 1)
    tries = [enroll(stage, token, f"twin-{n}", address) for n, address in
             enumerate([stage.address, second])]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    given = sum(not isinstance(outcome, Exception) for outcome in outcomes)
    return {"given": given, "said": [str(it) for it in outcomes if isinstance(it, Exception)]}


# 5. Arithmetic


async def totals_that_no_sum_holds(stage):
    """Two sessions report 2^63-1 bytes each, in valid figures."""
    id, now, told_of = [session(), session()], time.time_ns(), None
    link = await stage.agent("adder", id)
    frames = b""
    for one in id:
        row = wire.sample("eth0", now, rx=1, total=(wire.I64_MAX, 1))
        frames += wire.frame(one, 1, gap=1, samples=[row])
        frames += wire.frame(one, 2, samples=[row])
    link.uni(frames)
    try:
        while True:
            await link.next(wire.ACK, patience=1.5)
    except asyncio.TimeoutError:
        pass
    except peer.Closed as error:
        told_of = str(error)
    code, said = await stage.command("fsck")
    return {"told": told_of, "fsck": code, "said": said[-500:]}


# 7. Logs


EVIL = "\x1b]0;owned\x07\x1b[31m\r\n<4>forged: a line of its own\n"


async def words_that_steer_a_terminal(stage):
    """Puts escape sequences and line breaks into every text that an agent may send."""
    id = session()
    link = await stage.agent("writer", [id], alias=EVIL, version=EVIL, os_name=EVIL, kernel=EVIL)
    link.write(wire.inventory([b"e\x1b[31m\n<4>x"], kind="\x1b[2J\n<4>"))
    await asyncio.sleep(0.3)
    ends = [await told(link)]
    link._quic.close(error_code=7, reason_phrase=EVIL)
    link.transmit()
    await asyncio.sleep(0.3)
    config = peer.configuration(stage.pki, stage.pki.client("writer"))
    link = await peer.connect(stage.address, config)
    link.write(wire.refused(EVIL * 100))
    await asyncio.sleep(0.3)
    ends.append(await told(link))
    link = await stage.agent("writer", [id])
    link.write(wire.refused(EVIL * 20_000))
    await asyncio.sleep(0.5)
    ends.append(await told(link))
    return {"told": [end and end[:200] for end in ends]}


SECRET = b"hunter2-hunter2-hunter2-hunter2!"


async def a_secret_in_the_wrong_place(stage):
    """Requests a certificate in place of a Hello, and after one."""
    request, ends = wire.enroll_request(SECRET, "misplaced", peer.csr()), []
    config = peer.configuration(stage.pki, stage.pki.client("misplaced"))
    link = await peer.connect(stage.address, config)
    link.write(request)
    await asyncio.sleep(0.3)
    ends.append(await told(link))
    link = await stage.agent("misplaced", [session()])
    link.write(request)
    await asyncio.sleep(0.3)
    ends.append(await told(link))
    return {"told": [end and end[:200] for end in ends]}


# 8. Time


async def rows_of_other_centuries(stage):
    """Sends frames dated 1970, 2262, and a year from now."""
    id, told_of, committed = session(), None, 0
    link = await stage.agent("traveller", [id])
    far = [1, wire.I64_MAX - 86_400 * wire.SECOND, time.time_ns() + 365 * 86_400 * wire.SECOND]
    rows = [[wire.sample("eth0", at + n * wire.SECOND, rx=1)] for at in far for n in range(50)]
    link.uni(b"".join(wire.frame(id, seq + 1, samples=row) for seq, row in enumerate(rows)))
    try:
        while committed < len(rows):
            _, body = await link.next(wire.ACK, patience=2.0)
            committed = wire.read_ack(body)[1]
    except asyncio.TimeoutError:
        pass
    except peer.Closed as error:
        told_of = str(error)
    return {"frames": len(rows), "committed": committed, "told": told_of}


def attacks():
    all = [*globals().items(), *vars(web).items()]
    own = [(name, it) for name, it in all if inspect.iscoroutinefunction(it)]
    return {name: it for name, it in own if list(inspect.signature(it).parameters) == ["stage"]}


def main():
    attack, told_of = sys.argv[1:3]
    stage = Stage(json.loads(told_of))
    try:
        said = asyncio.run(attacks()[attack](stage))
    except (peer.Closed, asyncio.TimeoutError) as error:
        said = {"broken_off": f"{error or 'no answer'}"}
    # The preparations before `begin` aren't part of the attack.
    print(json.dumps({"began": stage.begin, **said}), flush=True)
    # Open connections need no closing.
    os._exit(0)


if __name__ == "__main__":
    main()
