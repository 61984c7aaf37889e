"""Replaces an agent's certificate by one of another lifetime, signed with the collector's CA key.

usage: shorten.py IDENTITY_OF_COLLECTOR IDENTITY_OF_AGENT CLIENT SECONDS_LEFT
"""

import os
import sys

from cryptography.hazmat.primitives import serialization

import peer

DAY = 86_400


def main():
    collector, agent, client, left = sys.argv[1:5]
    key = serialization.load_pem_private_key(open(os.path.join(agent, "key.pem"), "rb").read(), None)
    certificate, _ = peer.Pki(collector).client(client, begin=-89 * DAY, end=int(left), key=key)
    # `key.pem` holds both, so that they change together; `cert.pem` is a copy.
    certificate = certificate.public_bytes(serialization.Encoding.PEM)
    key = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                            serialization.NoEncryption())
    for name, content in [("key.pem", key + certificate), ("cert.pem", certificate)]:
        with open(os.path.join(agent, name), "wb") as file:
            file.write(content)


if __name__ == "__main__":
    main()
