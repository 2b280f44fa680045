"""Damage to a file: bytes flipped, cut, put in, taken out, doubled or blanked, as stored or inside what is packed."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

import pyarrow as pa

Kind = Literal["flip", "byte", "cut", "insert", "remove", "double", "blank", "swap", "number"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SCALE = 1 << 16
LONGEST = 96
NUMBERS = (b"-1", b"nan", b"inf", b"1e400", b"99999999999", b"0", b"0.5", b"", b"x", b'"', b"\n", b"\xe9", b"\x00")


class Mutation(NamedTuple):
    """One damage.

    Parameters
    ----------
    kind : Kind
    at : int
        Where, of SCALE parts of the file.
    length : int
        Bytes, for those kinds that have a length.
    value : int
        Which bit, byte or number.
    """

    kind: Kind
    at: int
    length: int
    value: int


class Damage(NamedTuple):
    """What is done to one file of a sample: to its bytes, or to what is packed in it."""

    file: int
    inside: bool
    mutations: tuple[Mutation, ...]


def drawn(rng: random.Random) -> Damage:
    """Damage by chance, mostly of one place."""
    n = rng.choice((1, 1, 1, 2, 3, 8))
    mutations = (
        Mutation(rng.choice(KINDS), rng.randrange(SCALE), rng.randint(1, LONGEST), rng.randrange(256)) for _ in range(n)
    )
    return Damage(rng.randrange(1 << 10), rng.random() < 0.5, tuple(mutations))


def damaged(data: bytes, damage: Damage) -> tuple[bytes, bool]:
    """The bytes after the damage, and whether it was done inside a packed file, which was packed again."""
    packing = _packing(data) if damage.inside else None
    if packing is None:
        return mutated(data, damage.mutations), False
    unpacked, pack = packing
    return pack(mutated(unpacked, damage.mutations)), True


def mutated(data: bytes, mutations: Sequence[Mutation]) -> bytes:
    """Apply mutations, one after the other."""
    for mutation in mutations:
        data = _mutate(data, mutation)
    return data


def _mutate(data: bytes, mutation: Mutation) -> bytes:
    kind, at, length, value = mutation
    place = at * len(data) // SCALE
    before, block, after = data[:place], data[place : place + length], data[place + length :]
    one, rest = data[place : place + 1], data[place + 1 :]
    made: dict[Kind, Callable[[], bytes]] = {
        "flip": lambda: before + bytes(byte ^ 1 << value % 8 for byte in one) + rest,
        "byte": lambda: before + bytes([value]) * len(one) + rest,
        "cut": lambda: before,
        "insert": lambda: before + random.Random(value).randbytes(length) + block + after,
        "remove": lambda: before + after,
        "double": lambda: before + block * 2 + after,
        "blank": lambda: before + bytes([value % 2 * 255]) * len(block) + after,
        "swap": lambda: before + after[:length] + block + after[length:],
        "number": lambda: before + NUMBERS[value % len(NUMBERS)] + rest,
    }
    return made[kind]()


def _packing(data: bytes) -> tuple[bytes, Callable[[bytes], bytes]] | None:
    """What is packed in gzip, zstd or the largest member of a zip, and how to pack it again."""
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data), lambda content: gzip.compress(content, 1)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        unpacked = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
        return unpacked, lambda content: pa.Codec("zstd").compress(content, asbytes=True)
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            members = {name: file.read(name) for name in file.namelist()}
        name = max(members, key=lambda member: (len(members[member]), member))
        return members[name], lambda content: _zipped(members | {name: content})
    return None


def _zipped(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return target.getvalue()
