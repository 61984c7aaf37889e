"""The two ends of a connection, built on aioquic without any code of the programs under test."""

import asyncio
import base64
import datetime
import os
import ssl
import struct

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic import events
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicFrameType, QuicPacketType, QuicProtocolVersion
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.tls import Epoch
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import wire

ALPN, ALPN_ENROLL = "netmon/1", "netmon-enroll/1"
COLLECTOR_NAME = "collector.netmon"


class Closed(Exception):
    """The other end is gone or has refused."""


class Pki:
    """Issues certificates with the key of a collector's CA, to which a test has access."""

    def __init__(self, identity):
        self.identity = identity
        read = lambda file: open(os.path.join(identity, file), "rb").read()
        self.ca_pem = read("ca.pem")
        self.ca = x509.load_pem_x509_certificate(self.ca_pem)
        self.ca_key = serialization.load_pem_private_key(read("ca.key"), None)

    def client(self, name, begin=-3600, end=86400, key=None, server=False):
        """A certificate valid from `begin` to `end`, in seconds from now, and its key."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.timezone.utc)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Network Monitor")])
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.ca.subject)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now + datetime.timedelta(seconds=begin))
                   .not_valid_after(now + datetime.timedelta(seconds=end))
                   .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
                   .add_extension(x509.ExtendedKeyUsage([usage]), False))
        return builder.sign(self.ca_key, hashes.SHA256()), key


def csr(key=None):
    """A certificate signing request, DER."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class Beginner:
    """Makes first packets, each of a new connection. Seals the same ClientHello again for each, which
    is much faster than making a new one."""

    def __init__(self, config, address):
        quic = QuicConnection(configuration=config)
        quic.connect(address, now=0.0)
        self.hello = bytes(quic._crypto_streams[Epoch.INITIAL].sender._buffer)
        self.id = quic.host_cid

    def first(self, id=None, token=b""):
        """A first packet to `id`, with the token of a retry packet."""
        id, version = id or os.urandom(8), QuicProtocolVersion.VERSION_1
        builder = QuicPacketBuilder(host_cid=self.id, peer_cid=id, peer_token=token, is_client=True,
                                    version=version, max_datagram_size=1200)
        seal = CryptoPair()
        seal.setup_initial(id, is_client=True, version=version)
        builder.start_packet(QuicPacketType.INITIAL, seal)
        # Offset and length, then the data.
        frame = builder.start_frame(QuicFrameType.CRYPTO)
        frame.push_uint_var(0)
        frame.push_uint_var(len(self.hello))
        frame.push_bytes(self.hello)
        (packet,), _ = builder.flush()
        return packet


def packet_kind(data):
    """The type of the first packet of a datagram (RFC 9000, 17.2)."""
    if not data[0] & 0x80:
        return "short"
    return ["initial", "0-rtt", "handshake", "retry"][data[0] >> 4 & 3]


def retried(data):
    """The id and the token of a retry packet."""
    own = 6 + data[5]
    id = data[own + 1:own + 1 + data[own]]
    return id, data[own + 1 + len(id):-16]


class Peer(QuicConnectionProtocol):
    """One end of a connection. `said` collects every message that arrives, on any stream."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.said = asyncio.Queue()
        self.ended = asyncio.get_event_loop().create_future()
        self.control = None
        self._buffers = {}

    def quic_event_received(self, event):
        if isinstance(event, events.StreamDataReceived):
            buffer = self._buffers.get(event.stream_id, b"") + event.data
            while (found := wire.read(buffer)) is not None:
                kind, body, buffer = found
                self.said.put_nowait((event.stream_id, kind, body))
            self._buffers[event.stream_id] = buffer
        elif isinstance(event, events.DatagramFrameReceived):
            found = wire.read(event.data)
            if found is not None:
                self.said.put_nowait((None, *found[:2]))
        elif isinstance(event, events.ConnectionTerminated) and not self.ended.done():
            self.ended.set_result(event.reason_phrase or f"error {event.error_code:#x}")
            self.said.put_nowait((None, None, event.reason_phrase))

    @property
    def gone(self):
        return self.ended.done()

    async def next(self, *kinds, patience=10.0):
        """The next message of one of these kinds; skips others."""
        while True:
            _, kind, body = await asyncio.wait_for(self.said.get(), patience)
            if kind is None:
                raise Closed(body)
            if not kinds or kind in kinds:
                return kind, body

    def write(self, data, stream=None, end=False):
        """Writes to a stream, by default the control stream. Fails if the connection has ended."""
        if self.gone:
            raise Closed(self.ended.result())
        if stream is None:
            if self.control is None:
                self.control = self._quic.get_next_available_stream_id()
            stream = self.control
        try:
            self._quic.send_stream_data(stream, data, end)
        except AssertionError as error:
            raise Closed("the stream was stopped") from error
        self.transmit()
        return stream

    def uni(self, data, end=False):
        """Opens a one-way stream."""
        if self.gone:
            raise Closed(self.ended.result())
        return self.write(data, self._quic.get_next_available_stream_id(True), end)

    def bidi(self, data, end=False):
        """Opens a two-way stream."""
        if self.control is None:
            self.control = self._quic.get_next_available_stream_id()
            self._quic.send_stream_data(self.control, b"")
        return self.write(data, self._quic.get_next_available_stream_id(), end)

    def datagram(self, data):
        if self.gone:
            raise Closed(self.ended.result())
        self._quic.send_datagram_frame(data)
        self.transmit()

    def unsent(self, stream):
        """Bytes of a stream that wait for flow control or for an acknowledgement."""
        sender = self._quic._streams[stream].sender
        return 0 if sender.buffer_is_empty else len(sender._buffer)

    async def drained(self, stream, below=1, patience=30.0):
        """Waits until fewer bytes of a stream wait than given. Returns False if that takes too long."""
        deadline = asyncio.get_event_loop().time() + patience
        while not self.gone and stream in self._quic._streams and self.unsent(stream) >= below:
            if asyncio.get_event_loop().time() > deadline:
                return False
            await asyncio.sleep(0.005)
        return not self.gone

    async def introduce(self, sessions, host=b"", patience=30.0, **about):
        """Sends Hello as an agent does, and waits for the welcome."""
        sessions = [it if isinstance(it, tuple) else (it, 1) for it in sessions]
        running = sessions[-1][0]
        self.write(wire.claim(running, host) + wire.hello(sessions, **about))
        kind, body = await self.next(wire.WELCOME, wire.REFUSED, patience=patience)
        if kind == wire.REFUSED:
            raise Closed(wire.read_text(body, len(body) - 8))
        self.write(wire.agreed(running))
        return body


def configuration(identity=None, certificate=None, alpn=ALPN):
    config = QuicConfiguration(alpn_protocols=[alpn], is_client=True, server_name=COLLECTOR_NAME,
                               max_datagram_frame_size=65536, idle_timeout=60.0)
    if identity is None:
        config.verify_mode = ssl.CERT_NONE
    else:
        config.load_verify_locations(cadata=identity.ca_pem)
    if certificate is not None:
        config.certificate, config.private_key = certificate
    return config


async def connect(address, config, patience=30.0):
    """Connects. The connection ends with the program at the latest."""
    loop = asyncio.get_event_loop()
    quic = QuicConnection(configuration=config)
    local = ("::1" if ":" in address[0] else "127.0.0.1", 0)
    _, peer = await loop.create_datagram_endpoint(lambda: Peer(quic), local_addr=local)
    peer.connect(address)
    try:
        await asyncio.wait_for(peer.wait_connected(), patience)
    except ConnectionError as error:
        raise Closed(str(error) or "refused") from error
    return peer


async def agent(address, pki, name, sessions, host=b"", certificate=None, **about):
    """A welcomed agent."""
    config = configuration(pki, certificate or pki.client(name))
    peer = await connect(address, config)
    await peer.introduce(sessions, host or name.encode(), **about)
    return peer


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def certificate(pem):
    """The first certificate in a PEM text."""
    return x509.load_pem_x509_certificate(pem.encode())


def secret(token):
    """The secret of a token, which follows the CA's fingerprint."""
    coded = token.split("_", 1)[1]
    return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))[32:64]
