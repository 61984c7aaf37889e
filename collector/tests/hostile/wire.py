"""A second implementation of the wire format, independent of the Rust code.

Layouts are those of the golden files (`wire/tests/golden`); `python3 wire.py` checks them. Everything
is little-endian and without padding.
"""

import functools
import hashlib
import os
import struct

MAGIC, VERSION = b"NMON", 1
(FRAME, HELLO, WELCOME, REFUSED, ACK, INVENTORY, PROBE, PROBE_REPLY, ENROLL_REQUEST, ENROLL_REPLY,
 RENEW_REQUEST, PACKED_FRAME, CLAIM, DIGESTS, AGREED) = range(1, 16)
TAGS = 22

SECOND = 1_000_000_000
I64_MAX = (1 << 63) - 1
U64_MAX = (1 << 64) - 1

SAMPLE = struct.Struct("<16sQQ" + 2 * "QQQIIQQ" + "QIIIIQQQQQQ")
MIX = struct.Struct("<16sQQ" + 46 * "Q" + "QQQQQQ")
NIC = struct.Struct("<16sI6sIQ8sBB")


def message(kind, body, version=VERSION, length=None):
    """A header and its body."""
    length = len(body) if length is None else length
    return MAGIC + struct.pack("<BBHI", version, kind, 0, length) + body


def read(data):
    """Splits one message off the front of `data`: its kind, its body, and the remaining bytes."""
    if len(data) < 12:
        return None
    kind, length = data[5], struct.unpack_from("<I", data, 8)[0]
    if len(data) < 12 + length:
        return None
    return kind, data[12:12 + length], data[12 + length:]


class Archive:
    """An archive whose root comes last. Lists and long texts precede it, at relative offsets."""

    def __init__(self):
        self.before = b""

    def list(self, items):
        at = len(self.before)
        self.before += b"".join(items)
        return ("list", at, len(items))

    def bytes(self, data):
        at = len(self.before)
        self.before += data
        return ("list", at, len(data))

    def text(self, text):
        text = text.encode() if isinstance(text, str) else text
        if len(text) <= 8:
            return text.ljust(8, b"\xff")
        at = len(self.before)
        self.before += text
        return ("text", at, len(text))

    def end(self, *parts):
        root = b""
        for part in parts:
            if isinstance(part, bytes):
                root += part
                continue
            what, at, length = part
            here = len(self.before) + len(root)
            if what == "list":
                root += struct.pack("<iI", at - here, length)
            else:
                coded = (length & 0x3F) | 0x80 | ((length & ~0x3F) << 2)
                root += struct.pack("<Ii", coded, at - here)
        return self.before + root


def u64(*numbers):
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def sample(nic, start_ns, interval_ns=SECOND // 10, rx=0, tx=0, packets=1, total=(0, 0)):
    """A sample with any given figures, however absurd. `total` are bytes and packets."""
    one = lambda count: (count, packets, packets, 0, 0, *total)
    kernel = (packets, packets, rx, tx, 0, 0)
    return SAMPLE.pack(name(nic), start_ns, interval_ns, *one(rx), *one(tx), 0, 0, 0, 0, 0,
                       *kernel)


def name(nic):
    return (nic if isinstance(nic, bytes) else nic.encode()).ljust(16, b"\0")


def frame_body(session, first, last=None, gap=0, samples=(), mixes=()):
    archive = Archive()
    samples, mixes = archive.list(samples), archive.list(mixes)
    return archive.end(u64(session, first, first if last is None else last), bytes([gap]), samples,
                       mixes)


def frame(*args, **kwargs):
    return message(FRAME, frame_body(*args, **kwargs))


def bomb(session, first, start_ns=1):
    """A frame of 1,024 samples in few bytes: all but the first differ by zero."""
    rows = 1024 * SAMPLE.size
    head = pack(sample("eth0", start_ns, interval_ns=1, packets=0))
    root = u64(session, first, first) + b"\0" + struct.pack("<iIiI", -rows - 25, 1024, -33, 0)
    return message(PACKED_FRAME, struct.pack("<I", rows + len(root)) + head + follow() + pack(root))


@functools.cache
def follow():
    """The packed samples of a bomb after the first."""
    return pack(1023 * SAMPLE.pack(name("eth0"), *([0] * 27)))


def pack(data):
    """Packs bytes by leaving out zeros: a tag before every 8 bytes marks those that are not zero."""
    out = bytearray()
    words = [data[at:at + 8] for at in range(0, len(data), 8)]
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        tag = sum(1 << bit for bit, byte in enumerate(word) if byte)
        out.append(tag)
        if tag:
            out += bytes(byte for byte in word if byte)
            continue
        more = 0
        while more < 255 and at < len(words) and not any(words[at]):
            more, at = more + 1, at + 1
        out.append(more)
    return bytes(out)


def hello(sessions, alias="", version="0.1.0", os_name="Linux", kernel="6.1.0"):
    archive = Archive()
    listed = archive.list([u64(session, started) for session, started in sessions])
    alias, version = archive.text(alias), archive.text(version)
    os_name, kernel = archive.text(os_name), archive.text(kernel)
    tail = struct.pack("<IQ", 2, SECOND // 10)
    return message(HELLO, archive.end(listed, alias, version, os_name, kernel, tail))


def claim(session, host=b""):
    key = hashlib.sha256(host or b"hostile").digest()
    return message(CLAIM, key + u64(session))


def agreed(session):
    return message(AGREED, u64(session))


def inventory(nics, kind="veth"):
    """`nics` are names. Each NIC gets an index and no MAC, and is up unless its name is paired with
    False."""
    archive = Archive()
    kind = archive.text(kind)
    assert isinstance(kind, bytes), "kinds of up to 8 bytes"
    rows = []
    for index, nic in enumerate(nics):
        nic, up = nic if isinstance(nic, tuple) else (nic, True)
        rows.append(NIC.pack(name(nic), index + 1, b"", 1500, 0, kind, up, 0))
    return message(INVENTORY, archive.end(archive.list(rows)))


def probe_reply(asked_ns, arrived_ns, answered_ns):
    return message(PROBE_REPLY, u64(asked_ns, arrived_ns, answered_ns))


def enroll_request(secret, client, csr_der):
    archive = Archive()
    secret, client, csr = archive.bytes(secret), archive.text(client), archive.bytes(csr_der)
    return message(ENROLL_REQUEST, archive.end(secret, client, csr))


def renew_request(csr_der):
    archive = Archive()
    return message(RENEW_REQUEST, archive.end(archive.bytes(csr_der)))


def tags(pairs, age_ns=0):
    archive = Archive()
    texts = [archive.text(text) for pair in pairs for text in pair]
    rows, start = [], len(archive.before)
    for at, text in enumerate(texts):
        if not isinstance(text, bytes):
            _, long, length = text
            coded = (length & 0x3F) | 0x80 | ((length & ~0x3F) << 2)
            text = struct.pack("<Ii", coded, long - (start + 8 * at))
        rows.append(text)
    archive.list(rows)
    return message(TAGS, archive.end(("list", start, len(pairs)), u64(age_ns)))


def welcome(committed=(), version="0.1.0"):
    archive = Archive()
    listed = archive.list([u64(session, seq) for session, seq in committed])
    return message(WELCOME, archive.end(archive.text(version), listed))


def refused(reason):
    archive = Archive()
    return message(REFUSED, archive.end(archive.text(reason)))


def ack(session, committed, received, missing=()):
    archive = Archive()
    listed = archive.list([u64(first, last) for first, last in missing])
    return message(ACK, archive.end(u64(session, committed, received), listed))


def read_ack(body):
    """Session, committed, received."""
    return struct.unpack_from("<QQQ", body, len(body) - 32)


def read_missing(body):
    """The ranges that an acknowledgement requests."""
    at = len(body) - 8
    offset, length = struct.unpack_from("<iI", body, at)
    return [struct.unpack_from("<QQ", body, at + offset + 16 * n) for n in range(length)]


def read_text(body, at):
    """The text whose eight-byte field is at `at`."""
    if body[at] & 0xC0 != 0x80:
        return body[at:at + 8].rstrip(b"\xff").decode(errors="replace")
    coded, offset = struct.unpack_from("<Ii", body, at)
    length = (coded & 0x3F) | ((coded & ~0xFF) >> 2)
    return body[at + offset:at + offset + length].decode(errors="replace")


def read_session(body):
    """The running session of a Hello: the last of its list."""
    root = len(body) - (8 + 8 + 3 * 8 + 12)
    offset, length = struct.unpack_from("<iI", body, root)
    return struct.unpack_from("<Q", body, root + offset + 16 * (length - 1))[0]


def read_frame(body):
    """Session, first and last number of an unpacked frame."""
    return struct.unpack_from("<QQQ", body, len(body) - 41)


def unpack(data, length):
    out, at = bytearray(), 0
    while len(out) < length:
        tag = data[at]
        at += 1
        if tag == 0:
            out += bytes(8 * (1 + data[at]))
            at += 1
            continue
        for bit in range(8):
            if tag >> bit & 1:
                out.append(data[at])
                at += 1
            else:
                out.append(0)
    return bytes(out[:length])


def numbers(kind, body):
    """Session, first and last number of a frame, packed or not."""
    if kind == PACKED_FRAME:
        length = struct.unpack_from("<I", body)[0]
        body = unpack(body[4:], length)
    return read_frame(body)


def check(golden):
    """Checks everything here against the golden files of the format."""
    held = lambda file: open(os.path.join(golden, file + ".bin"), "rb").read()
    counts = (1, 2, 3, 4, 5, 6, 7)
    other = (0x0102030405060708, *counts[1:])
    row = SAMPLE.pack(name("eth0"), 1_800_000_000 * SECOND, SECOND // 2, *counts, *other, 8, 9, 10,
                      11, 12, 13, 0, 0, 0, 0, 0)
    mix = [0] * 52
    mix[2:9] = [1, 2, 3, 4, 5, 6, 7]
    mix = MIX.pack(name("eth0"), 1_800_000_000 * SECOND, 10 * SECOND, *mix)
    assert frame(0xFEED, 41, 42, samples=[row], mixes=[mix]) == held("frame"), "frame"
    kind, body, _ = read(held("packed_frame"))
    assert numbers(kind, body) == (0xFEED, 41, 42), "packed frame"
    length = struct.unpack_from("<I", body)[0]
    assert pack(unpack(body[4:], length)) == body[4:], "packing"
    assert agreed(0xFEED) == held("agreed"), "agreed"
    assert welcome(version="") == held("welcome"), "welcome"
    assert tags([("site", "ams"), ("city", "东京/丸の内")], 5) == held("tags"), "tags"
    kind, body, rest = read(held("ack"))
    assert (kind, read_ack(body), rest) == (ACK, (0xFEED, 2, 3), b""), "ack"
    assert read_missing(body) == [(4, 5)], "ack"
    kind, body, _ = read(held("hello"))
    assert read_session(body) == 0xFEED, "hello"
    again = hello([(0xFEED, 1_800_000_000 * SECOND)], "web 1", "0.1.0", "Debian GNU/Linux 12")
    assert read(again)[1][:35] == body[:35], "hello"


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    check(os.path.join(here, "../../../wire/tests/golden"))
