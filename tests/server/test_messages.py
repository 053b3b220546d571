"""Every message survives being written and read; garbage is an error and never worse."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import messages
from server.frames import SMALL, Frame, Frames
from server.messages import (
    Bind,
    CancelRequest,
    Close,
    CopyData,
    CopyDone,
    CopyFail,
    Describe,
    Execute,
    Flush,
    FunctionCall,
    GssRequest,
    Message,
    Parse,
    Query,
    Reader,
    SaslInitial,
    SaslResponse,
    SslRequest,
    Startup,
    Sync,
    Terminate,
)
from storage.errors import DatabaseError, ProtocolViolation

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
oids = st.integers(0, 2**32 - 1)
codes = st.lists(st.integers(0, 65535), max_size=4).map(tuple)
raw = st.binary(max_size=30)
kinds = st.sampled_from(["S", "P"])
written = st.one_of(
    st.builds(Query, texts),
    st.builds(Parse, texts, texts, st.lists(oids, max_size=5).map(tuple)),
    st.builds(Bind, texts, texts, codes, st.lists(st.none() | raw, max_size=5).map(tuple), codes),
    st.builds(Describe, kinds, texts),
    st.builds(Close, kinds, texts),
    st.builds(Execute, texts, st.integers(-(2**31), 2**31 - 1)),
    st.builds(FunctionCall, raw),
    st.builds(CopyData, raw),
    st.builds(CopyFail, texts),
    st.sampled_from([Sync(), Flush(), Terminate(), CopyDone()]),
)


@given(st.lists(written, max_size=6), st.data())
def test_round_trip_in_any_pieces(sent: list[Message], data: st.DataObject) -> None:
    stream = b"".join(message.write() for message in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    frames, read = Frames(1 << 20), []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        cut: list[Frame] = []
        frames.messages(stream[start:stop], cut)
        read += [messages.read(tag, body) for tag, body in cut]
    assert read == sent
    assert not frames.pending


@given(st.binary(max_size=200))
def test_garbage_is_a_protocol_violation(data: bytes) -> None:
    cut: list[Frame] = []
    try:
        Frames(1 << 20).messages(data, cut)
        for tag, body in cut:
            messages.read(tag, body)
    except DatabaseError as error:
        assert error.sqlstate in ("08P01", "22021")


@given(written, st.data())
def test_cut_and_stuffed_bodies(message: Message, data: st.DataObject) -> None:
    """A body that is too short or too long for its message is refused, or is another message."""
    sent = message.write()
    body = sent[5:]
    end = data.draw(st.integers(0, len(body)))
    for changed in (body[:end], body + b"\0", body[:end] + data.draw(raw)):
        try:
            assert messages.read(sent[0], changed).tag == sent[0]
        except DatabaseError as error:
            assert error.sqlstate in ("08P01", "22021")


def test_counts_are_checked_before_anything_is_kept() -> None:
    with pytest.raises(ProtocolViolation, match="insufficient data left in message"):
        messages.read(ord("P"), b"\0\0" + b"\xff\xff")
    with pytest.raises(ProtocolViolation, match="insufficient data left in message"):
        messages.read(ord("B"), b"\0\0\0\0\0\1" + struct.pack(">i", 1 << 30) + b"x")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (struct.pack(">BI", ord("Q"), (1 << 20) + 1), "invalid message length"),
        (struct.pack(">BI", ord("Q"), 3), "invalid message length"),
        (struct.pack(">BI", ord("S"), SMALL + 1), "invalid message length"),
        (struct.pack(">BI", ord("D"), 1 << 31), "invalid message length"),
        (struct.pack(">BI", ord("!"), 4), "invalid frontend message type 33"),
        (struct.pack(">BI", ord("p"), 4), "invalid frontend message type 112"),
    ],
)
def test_the_first_five_bytes_decide(head: bytes, said: str) -> None:
    cut: list[Frame] = []
    with pytest.raises(ProtocolViolation, match=said):
        Frames(1 << 20).messages(Sync().write() + head, cut)
    assert cut == [(Sync.tag, b"")]  # what came before it can be followed


@pytest.mark.parametrize("length", [0, 7, SMALL + 1, 2**32 - 1])
def test_length_of_the_first_packet(length: int) -> None:
    frames = Frames(1 << 20)
    frames.feed(struct.pack(">I", length))
    with pytest.raises(ProtocolViolation, match="invalid length of startup packet"):
        frames.packet()


@given(st.integers(0, 65535), st.dictionaries(texts.filter(bool), texts, max_size=4))
def test_startup_round_trip(minor: int, parameters: dict[str, str]) -> None:
    startup = Startup(minor, parameters)
    assert messages.read_first(startup.write()[4:]) == startup


@given(st.integers(-(2**31), 2**31 - 1), st.binary(max_size=40))
def test_cancel_round_trip(pid: int, key: bytes) -> None:
    assert messages.read_first(CancelRequest(pid, key).write()[4:]) == CancelRequest(pid, key)


def test_requests() -> None:
    assert messages.read_first(SslRequest().write()[4:]) == SslRequest()
    assert messages.read_first(GssRequest().write()[4:]) == GssRequest()


@given(st.binary(min_size=4, max_size=100))
def test_garbage_in_the_first_packet(body: bytes) -> None:
    try:
        messages.read_first(body)
    except DatabaseError as error:
        assert error.sqlstate in ("08P01", "0A000")


def test_a_startup_packet_without_its_end() -> None:
    body = Startup(0, {"user": "ann"}).write()[4:]
    for end in range(4, len(body)):
        with pytest.raises(ProtocolViolation, match="expected terminator as last byte"):
            messages.read_first(body[:end])


@given(texts, raw)
def test_sasl_round_trip(mechanism: str, data: bytes) -> None:
    initial = SaslInitial(mechanism, data)
    assert SaslInitial.read(Reader(initial.write()[5:])) == initial
    assert SaslResponse.read(Reader(SaslResponse(data).write()[5:])) == SaslResponse(data)


def test_text_that_is_not_utf8() -> None:
    with pytest.raises(DatabaseError, match='invalid byte sequence for encoding "UTF8": 0xff') as caught:
        messages.read(ord("Q"), b"select '\xff'\0")
    assert caught.value.sqlstate == "22021"
