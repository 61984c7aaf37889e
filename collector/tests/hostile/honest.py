"""An honest agent: sends a report every 50 ms, keeps each until it is committed, and reconnects if its
connection breaks. Prints for each report when it was made and the milliseconds until its commit was
known. At the end of its input it delivers the rest and prints `end` with their number and bytes.

usage: honest.py HOST PORT IDENTITY CLIENT
"""

import asyncio
import random
import sys
import time

import peer
import wire

EVERY = 0.05
BYTES = 1000

# Seconds: longest time for the rest; time without any arrival before sending again; shortest time
# between two repetitions of missing reports.
DRAIN = 60.0
STUCK = 2.0
AGAIN = 0.25


class Honest:
    def __init__(self, address, pki, client):
        self.address, self.pki, self.client = address, pki, client
        self.certificate = pki.client(client)
        self.session = random.getrandbits(63)
        self.made, self.again = [], {}
        self.committed = self.received = 0
        self.link = self.maker = None
        self.stopping, self.over = False, asyncio.Event()

    def frame(self, seq):
        wall_ns, _ = self.made[seq - 1]
        row = wire.sample("eth0", wall_ns, int(EVERY * wire.SECOND), rx=BYTES, tx=BYTES,
                          total=(seq * BYTES, seq))
        return wire.frame(self.session, seq, samples=[row])

    async def make(self):
        begin = time.monotonic()
        while not self.stopping:
            self.made.append((time.time_ns(), time.monotonic()))
            if not self.link.gone:
                self.link.datagram(self.frame(len(self.made)))
            due = begin + len(self.made) * EVERY
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def done(self):
        delivered = self.stopping and self.committed >= len(self.made)
        return delivered or self.over.is_set()

    def take(self, committed, received):
        now = time.monotonic()
        for seq in range(self.committed + 1, min(committed, len(self.made)) + 1):
            made = self.made[seq - 1][1]
            print(f"{made:.4f} {(now - made) * 1000:.2f}", flush=True)
        self.committed = max(self.committed, committed)
        self.received = max(received, self.committed)

    def send_missing(self, backlog, ranges):
        now = time.monotonic()
        for first, last in ranges:
            for seq in range(first, min(last, len(self.made)) + 1):
                if now - self.again.get(seq, 0.0) > AGAIN:
                    self.again[seq] = now
                    self.link.write(self.frame(seq), backlog)

    def send_again(self, backlog):
        for seq in range(self.received + 1, len(self.made) + 1):
            self.link.write(self.frame(seq), backlog)

    async def deliver(self):
        """Runs one connection until it ends."""
        link = await peer.agent(self.address, self.pki, self.client, [self.session],
                                certificate=self.certificate)
        self.link, self.received = link, self.committed
        link.write(wire.inventory(["eth0"]))
        backlog = link.uni(b"")
        self.send_again(backlog)
        if self.maker is None:
            print("ready", flush=True)
            self.maker = asyncio.ensure_future(self.make())
        moved = time.monotonic()
        while not self.done():
            try:
                _, body = await link.next(wire.ACK, patience=STUCK / 4)
                session, committed, received = wire.read_ack(body)
                if session == self.session:
                    moved = time.monotonic() if received > self.received else moved
                    self.take(committed, received)
                    self.send_missing(backlog, wire.read_missing(body))
            except asyncio.TimeoutError:
                pass
            if self.received < len(self.made) and time.monotonic() - moved > STUCK:
                self.send_again(backlog)
                moved = time.monotonic()

    async def run(self):
        loop = asyncio.get_event_loop()

        def stop(_):
            self.stopping = True
            loop.call_later(DRAIN, self.over.set)

        loop.run_in_executor(None, sys.stdin.read).add_done_callback(stop)
        while not self.done():
            try:
                await self.deliver()
            except (peer.Closed, asyncio.TimeoutError) as error:
                print(f"again {error}", flush=True)
                await asyncio.sleep(0.1)
        now = time.monotonic()
        for _, made in self.made[self.committed:]:
            print(f"{made:.4f} {(now - made) * 1000:.2f} never", flush=True)
        print(f"end {self.committed} {self.committed * BYTES}", flush=True)


async def main():
    host, port, identity, client = sys.argv[1:5]
    await Honest((host, int(port)), peer.Pki(identity), client).run()


if __name__ == "__main__":
    asyncio.run(main())
