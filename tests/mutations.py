"""Files spoilt at random, as a scorer may meet them."""

import gzip
import random
from collections.abc import Callable

from tests.scorers import HEADER

_Mutate = Callable[[random.Random, bytes], bytes]


def _flip(chance: random.Random, content: bytes) -> bytes:
    spoilt = bytearray(content)
    for _ in range(chance.randint(1, 20)):
        spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
    return bytes(spoilt)


def _cut(chance: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(lines))
        lines[at] = lines[at][: chance.randint(0, len(lines[at]))]
    return b"\n".join(lines)


def _truncate(chance: random.Random, content: bytes) -> bytes:
    return content[: chance.randrange(len(content))]


def _swap_columns(chance: random.Random, content: bytes) -> bytes:
    one, other = chance.sample(range(8), 2)
    lines = [line.split(b",") for line in content.split(b"\n")]
    start = chance.choice([0, 1])
    for fields in lines[start:]:
        if len(fields) == 8:
            fields[one], fields[other] = fields[other], fields[one]
    return b"\n".join(b",".join(fields) for fields in lines)


def _encode(chance: random.Random, content: bytes) -> bytes:
    text = content.decode().replace("RED", "ROT ÄÖÜ é £")
    return text.encode(chance.choice(["utf-16", "latin-1", "utf-8-sig", "cp500", "utf-32-be"]))


def _null_bytes(chance: random.Random, content: bytes) -> bytes:
    at = chance.randrange(len(content))
    return content[:at] + b"\0" * chance.randint(1, 50) + content[at:]


def _empty(_: random.Random, __: bytes) -> bytes:
    return b""


def _huge_field(chance: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    at = chance.randrange(1, len(lines))
    filler = chance.choice([b"x", b",", b'"', b"9", b'""', "\u96ea".encode()])
    fields = lines[at].split(b",")
    fields[chance.randrange(len(fields))] = filler * chance.randint(20_000, 400_000)
    lines[at] = b",".join(fields)
    return b"\n".join(lines)


def _line_ends(chance: random.Random, content: bytes) -> bytes:
    return content.replace(b"\n", chance.choice([b"\r", b"\r\n", b"\n\n", b"\r\r\n", b""]))


def _values(chance: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    odd = [
        b"NaN",
        b"-Infinity",
        b"1e308",
        b"-1e308",
        b"1e400",
        b"2147483647",
        b"",
        b'"',
        b"2010-02-30 00:00:00",
    ]
    odd += [
        b"9999-12-31 23:59:59",
        b"0001-01-01 00:00:00",
        b"-0.0",
        b"4.9e-324",
        b"null",
        b"2011-01-01 10:00:00",
    ]
    for _ in range(chance.randint(1, 10)):
        fields = lines[at := chance.randrange(1, len(lines))].split(b",")
        fields[chance.randrange(len(fields))] = chance.choice(odd)
        lines[at] = b",".join(fields)
    return b"\n".join(lines)


def _no_header(_: random.Random, content: bytes) -> bytes:
    return content.removeprefix(HEADER.encode() + b"\n")


def _packed_badly(chance: random.Random, content: bytes) -> bytes:
    packed = gzip.compress(content)
    return chance.choice([packed, packed[: chance.randrange(len(packed))], _flip(chance, packed), content])


MUTATIONS: tuple[_Mutate, ...] = (
    _flip,
    _cut,
    _truncate,
    _swap_columns,
    _encode,
    _null_bytes,
    _empty,
    _huge_field,
    _line_ends,
    _values,
    _no_header,
    _packed_badly,
)


def mutated(content: bytes, *, number: int) -> tuple[str, bytes]:
    """Return the `number`th spoilt file: its name and content, always the same."""
    chance = random.Random(number)
    mutate = MUTATIONS[number % len(MUTATIONS)]
    suffix = "csv.gz" if mutate is _packed_badly else "csv"
    return f"{number:04}{mutate.__name__}.{suffix}", mutate(chance, content)
