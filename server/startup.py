"""A connection before its session, as a state machine without I/O: packets in, steps out.

    SSLRequest       -> S, and TLS begins; or N
    GSSENCRequest    -> N
    CancelRequest    -> the connection ends without a word
    StartupMessage   -> AuthenticationOk, or SASL messages until there is one

Each of the first two may come once. A protocol of 3.1 and later, or options that start with _pq_., are
answered with NegotiateProtocolVersion, and 3.0 is spoken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from server import responses
from server.auth import Exchange, Policy, admit
from server.messages import CancelRequest, GssRequest, SslRequest, Startup, read_first
from storage.catalog import Catalog
from storage.errors import (
    FeatureNotSupported,
    InsufficientPrivilege,
    InvalidAuthorization,
    InvalidCatalogName,
    SqlSyntaxError,
)
from storage.rights import DATABASE, RIGHTS, held

_NAMES = 63  # bytes of a user's or a database's name that count, as in PostgreSQL


@dataclass(frozen=True)
class Reply:
    """Send this and wait for more."""

    data: bytes


@dataclass(frozen=True)
class Secure:
    """Send this, and speak TLS from here on."""

    data: bytes


@dataclass(frozen=True)
class Cancel:
    """Cancel what that session runs, and close."""

    pid: int
    key: bytes


@dataclass(frozen=True)
class Admitted:
    """Send this and begin the session."""

    data: bytes
    user: str
    database: str
    settings: dict[str, str]


Step = Reply | Secure | Cancel | Admitted


@dataclass
class Entry:
    """What the state machine knows of the server and of this connection."""

    catalog: Callable[[], Catalog]
    policy: Policy
    databases: tuple[str, ...]
    loopback: bool
    offers_tls: bool
    secure: bool = False  # TLS is spoken
    binding: str | None = None  # the certificate (PEM), under TLS
    _asked: set[type] = field(default_factory=set)
    _exchange: Exchange | None = None
    _head: bytes = b""
    _admitted: Admitted | None = None

    @property
    def authenticating(self) -> bool:
        """Whether 'p' messages are expected rather than packets."""
        return self._exchange is not None

    def packet(self, body: bytes) -> Step:
        """An untagged packet. Raises DatabaseError, and then the connection ends."""
        match first := read_first(body):
            case SslRequest() | GssRequest():
                if type(first) in self._asked:
                    raise FeatureNotSupported("an encryption request may come only once")
                self._asked.add(type(first))
                if isinstance(first, GssRequest) or not self.offers_tls or self.secure:
                    return Reply(responses.NO)
                return Secure(responses.YES)
            case CancelRequest():
                return Cancel(first.pid, first.key)
            case Startup():
                return self._startup(first)

    def _startup(self, startup: Startup) -> Step:
        parameters = dict(startup.parameters)
        user = _shortened(parameters.pop("user", ""))
        if not user:
            raise InvalidAuthorization("no PostgreSQL user name specified in startup packet")
        database = _shortened(parameters.pop("database", "") or user)
        if parameters.pop("replication", "false").lower() not in ("false", "off", "no", "0"):
            raise FeatureNotSupported("replication is not supported")
        unknown = [name for name in parameters if name.startswith("_pq_.")]
        for name in unknown:
            del parameters[name]
        settings = {**options(parameters.pop("options", "")), **parameters}
        if startup.minor or unknown:
            self._head = responses.negotiate_protocol_version(0, unknown)
        self._admitted = Admitted(b"", user, database, settings)
        self._exchange = self.policy.exchange(
            self.catalog(), user, loopback=self.loopback, binding=self.binding
        )
        if self._exchange is None:
            return self._admit(b"")
        return Reply(self._take_head() + responses.sasl_mechanisms(self._exchange.mechanisms))

    def password(self, body: bytes) -> Step:
        """A message of the SASL exchange. Raises InvalidPassword."""
        assert self._exchange is not None
        answer = self._exchange.answer(body)
        if not self._exchange.done:
            return Reply(responses.sasl_continue(answer))
        return self._admit(responses.sasl_final(answer))

    def _admit(self, data: bytes) -> Admitted:
        found = self._admitted
        assert found is not None
        catalog = self.catalog()
        role = admit(catalog, found.user)
        if found.database not in self.databases:
            raise InvalidCatalogName(f'database "{found.database}" does not exist')
        if RIGHTS["CONNECT"] not in held(catalog, role.oid, DATABASE):
            raise InsufficientPrivilege(
                f'permission denied for database "{found.database}"',
                detail="User does not have CONNECT privilege.",
            )
        data = self._take_head() + data + responses.AUTHENTICATION_OK
        return Admitted(data, found.user, found.database, found.settings)

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        return head


def _shortened(name: str) -> str:
    return name.encode()[:_NAMES].decode(errors="ignore")


def options(text: str) -> dict[str, str]:
    """The settings in `options`: '-c name=value' and '--name=value', blanks escaped by a backslash."""
    words = _words(text)
    settings: dict[str, str] = {}
    while words:
        word = words.pop(0)
        if word == "-c" and words:
            pair = words.pop(0)
        elif word != "-c" and word.startswith(("-c", "--")):
            pair = word[2:]
        else:
            raise SqlSyntaxError(f"invalid command-line argument for server process: {word}")
        name, equals, value = pair.partition("=")
        if not equals:
            raise SqlSyntaxError(f"{word[:2]} {pair} requires a value")
        settings[name.replace("-", "_")] = value
    return settings


def _words(text: str) -> list[str]:
    """Split at blanks that no backslash escapes."""
    words: list[str] = []
    word: list[str] | None = None
    escaped = False
    for char in text:
        if char.isspace() and not escaped:
            if word is not None:
                words.append("".join(word))
            word = None
            continue
        word = [] if word is None else word
        if char == "\\" and not escaped:
            escaped = True
            continue
        escaped = False
        word.append(char)
    return [*words, "".join(word)] if word is not None else words
