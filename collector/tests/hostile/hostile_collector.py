"""A hostile collector with the certificate of a real one. Prints `greeted` as JSON for each agent that
sends Hello. Runs until it is killed.

usage: hostile_collector.py BEHAVIOUR PORT IDENTITY
"""

import asyncio
import json
import sys

from aioquic.asyncio.server import QuicServer
from aioquic.quic.configuration import QuicConfiguration

import peer
import wire


class Hostile(peer.Peer):
    behaviour = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.serving = asyncio.ensure_future(self.serve())

    async def serve(self):
        try:
            stream, kind, body = None, None, None
            while kind != wire.HELLO:
                stream, kind, body = await asyncio.wait_for(self.said.get(), 30)
                if kind is None:
                    return
            print(json.dumps({"greeted": f"{wire.read_session(body):016x}"}), flush=True)
            self.control = stream
            await self.behaviour(wire.read_session(body))
        except (peer.Closed, asyncio.TimeoutError):
            pass
        self.close()


async def numbers_beyond_all(link, session):
    """Welcomes with the largest number, and acknowledges it."""
    link.write(wire.welcome([(session, wire.U64_MAX)]))
    await asyncio.sleep(0.1)
    link.write(wire.ack(session, wire.U64_MAX, wire.U64_MAX, [(0, wire.U64_MAX)]))
    await asyncio.wait([link.ended], timeout=3.0)


async def acknowledges_what_was_never_sent(link, session):
    """Welcomes, then requests and acknowledges frames that don't exist."""
    link.write(wire.welcome([(session, 0)]))
    await asyncio.sleep(0.1)
    link.write(wire.ack(session, wire.I64_MAX, wire.I64_MAX, [(1, wire.I64_MAX)] * 4096))
    await asyncio.wait([link.ended], timeout=3.0)


async def never_answers(link, session):
    """Never answers Hello."""
    await link.ended


async def commits_nothing(link, session):
    """Welcomes and takes everything, but never acknowledges a commit."""
    link.write(wire.welcome([(session, 0)]))
    await link.ended


async def a_megabyte_of_reasons(link, session):
    """Refuses with a text of 1 MB that contains terminal escape sequences."""
    archive = wire.Archive()
    text = archive.text(b"\x1b]0;owned\x07\n<4>forged: a line of its own\n" * 20_000)
    link.write(wire.message(wire.REFUSED, archive.end(text)))
    await asyncio.wait([link.ended], timeout=3.0)


BEHAVIOURS = {it.__name__: it for it in [numbers_beyond_all, acknowledges_what_was_never_sent,
                                         a_megabyte_of_reasons, never_answers, commits_nothing]}


async def main():
    behaviour, port, identity = sys.argv[1:4]
    config = QuicConfiguration(alpn_protocols=[peer.ALPN, peer.ALPN_ENROLL], is_client=False,
                               max_datagram_frame_size=65536)
    certificate, key = peer.Pki(identity).client(peer.COLLECTOR_NAME, server=True)
    config.certificate, config.private_key = certificate, key
    config.certificate_chain = [peer.Pki(identity).ca]
    Hostile.behaviour = BEHAVIOURS[behaviour]
    loop = asyncio.get_event_loop()
    await loop.create_datagram_endpoint(
        lambda: QuicServer(configuration=config, create_protocol=Hostile),
        local_addr=("127.0.0.1", int(port)))
    print(json.dumps({"ready": True}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
