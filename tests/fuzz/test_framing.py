"""Does the gateway stay sound, whatever comes over its socket? Requests framed oddly, cut, doubled, or no HTTP at all.

Read as a client would: answers one after the other, each whole and in its shape. What is taken must have been answered
with 200, and nothing else may have been: a 400 that belongs to another request would make an app push twice.
"""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from http import HTTPStatus
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.target import KEY, SECONDS, SHRINKING_S, Answered, Target, for_a_while, in_shape
from tests.harness.gateway import NUMBER, OTHER, TOKEN, push_of
from tests.harness.picky import inbound

pytestmark = [pytest.mark.processes, pytest.mark.timeout(SECONDS + SHRINKING_S)]

BATCH = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)

#: When nothing has come for so long, in seconds, nothing more will: the gateway waits for the rest of a request.
QUIET_S = 0.05
PUSH = json.dumps(push_of("hello")).encode()
#: Pushes of another caller, one for each request that an example may hold: when they are answered, so is the example.
BARRIER = json.dumps(push_of("barrier", application=OTHER)).encode()
ROUNDS = 4
HOOK = json.dumps(inbound(unique__id="framed")).encode()
PATHS = ["/api/v2/push", f"/webhooks/picky/{NUMBER}?key={KEY}", "/v1/numbers", "/healthz", "/api/v2/nothing"]

methods = st.sampled_from(
    ["POST"] * 30 + ["GET", "HEAD", "PUT", "OPTIONS", "CONNECT", "TRACE", "PRI", "post", "P\x00ST", "", "Q" * 9000]
)
targets = st.sampled_from(
    PATHS[:1] * 30 + PATHS * 3
    + ["*", "//", "http://x/api/v2/push", "http://[::1", "/é", "/%00", "/%ff%fe", "/%zz", "/api/v2/push/../push", "/\\",
       "", "/v1/messages/%0d%0aa", "/v1/numbers/%F0%9F", "/" + "a" * 70_000, "/api/v2/push?" + "a=%ff&" * 500,
       "/webhooks/picky/1%2F2"]
)  # fmt: skip
versions = st.sampled_from(
    ["HTTP/1.1"] * 30 + ["HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.9", "", "http/1.1", "ICY/1.0"]
)
odd_headers = st.sampled_from(
    [
        "Expect: 100-continue", "Expect: nothing", "Connection: close", "Connection: upgrade\r\nUpgrade: websocket",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk", "Idempotency-Key: framed",
        "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity", "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: xchunked", "Content-Length: 0", "Content-Length: 5",
        "Content-Length: -1", "Content-Length: +5", "Content-Length: 1e3", "Content-Length: 99999999999999999999999",
        "Content-Length: 1, 1", "content-length:\t7 ", "Content-Length: 99999999", "Host: a\r\nHost: b", "X:", ": x",
        "X", " folded", "X: a\r\n b", "X: \x00", "X: \x7f\xff", "X: " + "y" * 70_000, "\xff: x",
        f"Authorization: Bearer {TOKEN}", "Authorization: Bearer wrong", "X-Forwarded-For: 1.2.3.4, x, \xff",
    ]
)  # fmt: skip
oddities: st.SearchStrategy[list[str]] = st.one_of(st.just([]), st.just([]), st.lists(odd_headers, max_size=2))
ends = st.sampled_from(["\r\n"] * 30 + ["\n", "\r", "\r\r\n", "\n\r\n"])


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    """Draw a body in chunks, most of the time by the rules."""
    cuts = sorted(draw(st.lists(st.integers(1, max(1, len(body) - 1)), max_size=4, unique=True)))
    pieces = [body[start:end] for start, end in pairwise([0, *cuts, len(body)])]
    out = b""
    for piece in pieces:
        size = draw(
            st.sampled_from(
                [f"{len(piece):x}"] * 24 + [f"{len(piece):04X};a=b", "ffffffffffffffffff", "-1", "", "0x5", "g", "1"]
            )
        )
        out += size.encode() + draw(st.sampled_from([b"\r\n"] * 20 + [b"\n", b""])) + piece
        out += draw(st.sampled_from([b"\r\n"] * 20 + [b"\n", b"", b"xx"]))
    return out + draw(
        st.sampled_from([b"0\r\n\r\n"] * 8 + [b"0\r\nX: y\r\n\r\n", b"0\r\n", b"", b"00000\r\n\r\n", b"0\r\n\rx"])
    )


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Draw a request: good ones too, or nothing would be tried in depth."""
    method, target, version = draw(methods), draw(targets), draw(versions)
    body = HOOK if "webhooks" in target else PUSH
    lines = [f"{method} {target} {version}".rstrip(), "Host: x", *draw(oddities)]
    framing = draw(st.sampled_from(["length"] * 5 + ["chunked"] * 4 + ["both", "none", "short", "long"]))
    lengths = {"length": len(body), "both": len(body), "short": len(body) - 3, "long": len(body) + 3}
    if framing in lengths:
        lines.append(f"Content-Length: {lengths[framing]}")
    if framing in ("chunked", "both"):
        lines.append("Transfer-Encoding: chunked")
        body = draw(chunked(body))
    end = draw(ends)
    return (end.join(lines) + end + end).encode("latin-1", "replace") + body


streams = st.one_of(
    requests(),
    requests(),
    st.lists(requests(), min_size=1, max_size=3).map(b"".join),
    requests(),
    st.binary(max_size=200),
    st.builds(lambda request, at, junk: request[:at] + junk, requests(), st.integers(0, 400), st.binary(max_size=20)),
    st.builds(
        lambda request, junk: request + junk,
        requests(),
        st.sampled_from([b"\x00", b"garbage\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\r\n\r\n"]),
    ),
)


def talk(target: Target, pieces: list[bytes]) -> tuple[bytes, bool]:
    """Say the pieces on a new connection; return all that is answered until it closes or falls quiet.

    And whether it was reset: who says more than is heard, to one who has closed already, may lose the answer.
    """
    heard, was_reset = b"", False
    with socket.create_connection(target.address, timeout=5) as line:
        try:
            for piece in pieces:
                line.sendall(piece)
        except ConnectionError:
            was_reset = True
        for _ in range(ROUNDS):
            assert target.send("POST", "/api/v2/push", BARRIER).status == 200
        line.settimeout(QUIET_S)
        try:
            while came := line.recv(65536):
                heard += came
        except ConnectionError:
            was_reset = True
        except TimeoutError:
            pass
    return heard, was_reset


def answers(heard: bytes) -> list[Answered]:
    """Take answers apart, as strictly as they were promised: each has a length. Some may be of HEAD, without a body."""
    found = []
    while heard:
        head, end, rest = heard.partition(b"\r\n\r\n")
        assert end, f"half an answer: {heard[:200]!r}"
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if status == "100":
            heard = rest
            continue
        length = int(headers["content-length"])
        is_of_head = rest.startswith(b"HTTP/1.1 ") or not rest
        body, heard = (b"", rest) if is_of_head else (rest[:length], rest[length:])
        assert is_of_head or len(body) == length, "an answer was cut"
        found.append(Answered(HTTPStatus(int(status)), headers, body))
    return found


def test_odd_framing_is_answered_or_cut_off(target: Target) -> None:
    """Each answer is whole and in shape, the next caller is served, and what stands on the lanes was answered 200."""
    seen: Counter[int] = Counter()

    @BATCH
    @given(streams, st.lists(st.integers(1, 600), max_size=3))
    def batch(stream: bytes, cuts: list[int]) -> None:
        before = target.look()
        places = [0, *sorted({at for at in cuts if at < len(stream)}), len(stream)]
        heard, was_reset = talk(target, [stream[start:end] for start, end in pairwise(places)])
        found = answers(heard)
        for answer in found:
            seen[answer.status] += 1
            if answer.body:
                in_shape("/api/v2/" if answer.headers["content-type"] == "application/json" else "/", answer)
        taken = sum(answer.status == 200 and b"push_id" in answer.body for answer in found)
        replayed = sum("idempotent-replayed" in answer.headers for answer in found)
        waiting = target.look().waiting - before.waiting - ROUNDS
        assert waiting == taken - replayed or (was_reset and waiting > taken - replayed)

    for_a_while(batch, target)
    assert seen[200], f"nothing was taken, so nothing was tried in depth: {seen}"
    assert seen[400], f"nothing was refused: {seen}"


def test_many_lines_that_say_nothing_hold_up_nobody(target: Target) -> None:
    """A hundred connections with half a request each: the next caller is answered at once."""
    halves = [
        b"",
        b"POST",
        b"POST /api/v2/push HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n{",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n",
    ]
    lines = [socket.create_connection(target.address, timeout=5) for _ in range(100)]
    try:
        for index, line in enumerate(lines):
            line.sendall(halves[index % len(halves)])
        began = time.monotonic()
        assert target.send("POST", "/api/v2/push", PUSH).status == 200
        assert time.monotonic() - began < 5
    finally:
        for line in lines:
            line.close()
