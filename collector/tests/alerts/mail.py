"""A mail server (aiosmtpd) that demands STARTTLS and a password, and refuses the first mail for now.

usage: mail.py CERTIFICATE KEY PASSWORD; prints its port, then each mail as JSON, a line each.
"""
import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Handler:
    refusals = 1

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        print(json.dumps({
            "encrypted": session.ssl is not None,
            "authenticated": session.authenticated,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name.lower(): str(value) for name, value in mail.items()},
            "text": mail.get_content(),
        }), flush=True)
        if self.refusals:
            self.refusals -= 1
            return "451 4.3.0 try again later"
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    known = LoginPassword(b"netmon", sys.argv[3].encode())
    return AuthResult(success=data == known)


async def main():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sys.argv[1], sys.argv[2])
    handler = Handler()

    def serve():
        return SMTP(handler, hostname="localhost", tls_context=tls, require_starttls=True,
                    auth_required=True, authenticator=authenticate, enable_SMTPUTF8=True)

    server = await asyncio.get_running_loop().create_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
