"""TLS on a connection, without I/O: bytes of the socket in and out on one side, plain ones on the other.

So TLS can begin after an SSLRequest or with the first byte (as PostgreSQL 17's clients may ask), and the
loop's own transport stays what it is.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CLIENT_HELLO = 0x16  # the first byte of a TLS connection; no PostgreSQL packet begins with it
_ALPN = "postgresql"
_READ = 256 << 10


@dataclass(frozen=True)
class Identity:
    """The server's certificate: how TLS is spoken with it, and its PEM text for SCRAM-SHA-256-PLUS."""

    context: ssl.SSLContext
    binding: str

    @classmethod
    def load(cls, certificate: Path, key: Path | None) -> Identity:
        """Of PEM files; without `key` it stands in the certificate's. Raises OSError, ssl.SSLError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
        context.set_alpn_protocols([_ALPN])
        return cls(context, certificate.read_text())


class Channel:
    """One connection's TLS. Methods raise ssl.SSLError where the client breaks it."""

    def __init__(self, identity: Identity) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = identity.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established = False
        self.ended = False  # by the client's close_notify

    def receive(self, data: bytes) -> bytes:
        """Bytes of the socket: the plain ones in them. What is then to be sent is `outgoing`."""
        self._incoming.write(data)
        plain = bytearray()
        try:
            if not self.established:
                self._object.do_handshake()
                self.established = True
            while piece := self._object.read(_READ):
                plain += piece
            self.ended = True
        except ssl.SSLWantReadError:
            pass  # the rest of a record has yet to come
        except ssl.SSLZeroReturnError:
            self.ended = True
        return bytes(plain)

    def send(self, data: bytes) -> bytes:
        """Plain bytes as bytes for the socket."""
        self._object.write(data)
        return self.outgoing()

    def outgoing(self) -> bytes:
        """Bytes for the socket: of the handshake, of alerts."""
        return self._outgoing.read()

    def end(self) -> bytes:
        """A close_notify."""
        with suppress(ssl.SSLError):  # it waits for the client's own, which nobody needs
            self._object.unwrap()
        return self.outgoing()

    @property
    def speaks_postgresql(self) -> bool:
        """Whether ALPN agreed on PostgreSQL's protocol, as TLS from the first byte demands."""
        return self._object.selected_alpn_protocol() == _ALPN
