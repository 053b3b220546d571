"""Who may come in: trust on loopback for roles without a password, SCRAM-SHA-256 for all others.

A role with a password proves it everywhere. One without comes in only over loopback, and only while the
server listens on loopback alone: behind a listener that others reach, a forwarded connection looks local
too. Whoever may not come in, or is not there, goes through the same exchange as a wrong password, with a
salt of his own that stays the same, so that nobody learns which roles there are.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from dataclasses import dataclass, field

from scramp import ScramException, ScramMechanism

from server.messages import Reader, SaslInitial, SaslResponse
from storage.catalog import Catalog
from storage.definitions import Role
from storage.errors import InvalidAuthorization, InvalidPassword, ProtocolViolation

SCRAM, SCRAM_PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"
_ITERATIONS = 4096
_EPOCH = 946_684_800_000_000  # 2000-01-01 in microseconds since 1970
_BINDING = "tls-server-end-point"


@dataclass(frozen=True)
class Verifier:
    """What is kept of a password: SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    @classmethod
    def parse(cls, text: str) -> Verifier | None:
        """None: this is no verifier, and no password matches it."""
        try:
            mechanism, parameters, keys = text.split("$")
            iterations, salt = parameters.split(":")
            stored, server = (base64.b64decode(key, validate=True) for key in keys.split(":"))
            count, raw = int(iterations), base64.b64decode(salt, validate=True)
        except ValueError:
            return None
        return cls(count, raw, stored, server) if mechanism == SCRAM else None

    @classmethod
    def of(cls, password: str) -> Verifier:
        """Of a new password, with a new salt."""
        salt, stored, server, iterations = ScramMechanism(SCRAM).make_auth_info(
            password, salt=secrets.token_bytes(16)
        )
        return cls(iterations, salt, stored, server)

    def __str__(self) -> str:
        salt, stored, server = (
            base64.b64encode(raw).decode() for raw in (self.salt, self.stored_key, self.server_key)
        )
        return f"{SCRAM}${self.iterations}:{salt}${stored}:{server}"


@dataclass(frozen=True)
class Policy:
    """How roles come in. `trusted`: the server listens on loopback only."""

    trusted: bool
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def exchange(
        self, catalog: Catalog, user: str, *, loopback: bool, binding: str | None = None
    ) -> Exchange | None:
        """The exchange that `user` must go through; None: he is trusted.

        `binding` is the server's certificate (PEM) on a connection that TLS protects.
        """
        role = catalog.role(user)
        if self.trusted and loopback and (role is None or role.password is None):
            admit(catalog, user)
            return None
        password = None if role is None or _is_over(role) else role.password
        verifier = None if password is None else Verifier.parse(password)
        return Exchange(user, verifier or self._mock(user), verifier is not None, binding)

    def _mock(self, user: str) -> Verifier:
        """What a role that nobody can be is asked."""
        salt = hmac.digest(self.secret, user.encode(), "sha256")[:16]
        return Verifier(_ITERATIONS, salt, bytes(32), bytes(32))


def _is_over(role: Role) -> bool:
    """Whether the password of a role was valid until now only."""
    return role.until is not None and role.until < time.time_ns() // 1000 - _EPOCH


def admit(catalog: Catalog, user: str) -> Role:
    """The role, or the error of one that is not there or may not log in."""
    role = catalog.role(user)
    if role is None:
        raise InvalidAuthorization(f'role "{user}" does not exist')
    if not role.login:
        raise InvalidAuthorization(f'role "{user}" is not permitted to log in')
    return role


class Exchange:
    """One SASL exchange: `answer` each of the client's two messages; then `done`."""

    def __init__(self, user: str, verifier: Verifier, real: bool, binding: str | None) -> None:
        self._user = user
        self._verifier = verifier
        self._real = real
        self._binding = None if binding is None else (_BINDING, binding)
        self._server: ScramMechanism | None = None
        self.done = False

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """What the client may choose from."""
        return (SCRAM,) if self._binding is None else (SCRAM_PLUS, SCRAM)

    def answer(self, body: bytes) -> bytes:
        """The server's message to the client's. Raises InvalidPassword."""
        if self._server is None:
            initial = SaslInitial.read(reader := Reader(body))
            reader.end()
            return self._first(initial)
        return self._final(SaslResponse.read(Reader(body)))

    def _first(self, initial: SaslInitial) -> bytes:
        if initial.mechanism not in self.mechanisms:
            raise ProtocolViolation("client selected an invalid SASL authentication mechanism")
        v = self._verifier
        self._server = ScramMechanism(initial.mechanism).make_server(
            lambda name: (v.salt, v.stored_key, v.server_key, v.iterations), self._binding
        )
        try:
            header, name, rest = _split(initial.data.decode())
            # The name in here does not count, the startup packet's does, so PostgreSQL's clients leave it
            # out or put a star; the library wants one. What is signed is what the client sent.
            self._server.set_client_first(f"{header}n={name or '*'},{rest}")
            self._server.client_first_bare = f"n={name},{rest}"
            answer: bytes = self._server.get_server_first().encode()
        except (ScramException, UnicodeDecodeError) as error:
            raise self._malformed(error) from None
        return answer

    def _final(self, response: SaslResponse) -> bytes:
        assert self._server is not None
        try:
            self._server.set_client_final(response.data.decode())
            answer: bytes = self._server.get_server_final().encode()
        except (ScramException, UnicodeDecodeError):
            raise self._refused() from None
        if not self._real:
            raise self._refused()
        self.done = True
        return answer

    def _refused(self) -> InvalidPassword:
        return InvalidPassword(f'password authentication failed for user "{self._user}"')

    def _malformed(self, error: Exception) -> ProtocolViolation:
        return ProtocolViolation("malformed SCRAM message", detail=str(error))


def _split(first: str) -> tuple[str, str, str]:
    """(GS2 header, name, what follows the name) of a client-first message."""
    parts = first.split(",", 3)
    if len(parts) < 4 or not parts[2].startswith("n="):
        raise ScramException("the client's first message has no name")
    return f"{parts[0]},{parts[1]},", parts[2][2:], parts[3]
