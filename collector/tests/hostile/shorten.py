"""Gives an agent's key a certificate of another length, by the key of the collector's CA.

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
    with open(os.path.join(agent, "cert.pem"), "wb") as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM))


if __name__ == "__main__":
    main()
