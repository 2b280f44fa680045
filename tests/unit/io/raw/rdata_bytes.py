"""R workspaces made by the tests, byte by byte: one dgCMatrix under a name, in the XDR form of R's `save`."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from scipy import sparse

HEADERS = {
    2: b"RDX2\nX\n" + struct.pack(">3i", 2, 0x30600, 0x20300),
    3: b"RDX3\nX\n" + struct.pack(">4i", 3, 0x40301, 0x30500, 5) + b"UTF-8",
}


def ints(*values: int) -> bytes:
    return struct.pack(f">{len(values)}i", *values)


def char(text: str) -> bytes:
    return ints(0x40009, len(text.encode())) + text.encode()


def int_vector(values: Any) -> bytes:
    return ints(13, len(values)) + np.asarray(values, ">i4").tobytes()


def real_vector(values: Any) -> bytes:
    return ints(14, len(values)) + np.asarray(values, ">f8").tobytes()


def char_vector(values: list[str]) -> bytes:
    return ints(16, len(values)) + b"".join(map(char, values))


def pairs(items: dict[str, bytes]) -> bytes:
    return b"".join(ints(0x402, 1) + char(name) + value for name, value in items.items()) + ints(254)


def slots(X_GC: Any, genes: list[str], barcodes: list[str]) -> dict[str, bytes]:
    """Slots of a dgCMatrix, genes x cells, each as it is written."""
    X = sparse.csc_matrix(X_GC)
    return {
        "i": int_vector(X.indices),
        "p": int_vector(X.indptr),
        "Dim": int_vector(X.shape),
        "Dimnames": ints(19, 2) + char_vector(genes) + char_vector(barcodes),
        "x": real_vector(X.data),
        "factors": ints(19, 0),
        "class": char_vector(["dgCMatrix"]),
    }


def workspace(slots: dict[str, bytes], name: str = "sm", version: int = 3) -> bytes:
    """A whole workspace with one S4 object of these slots, not compressed."""
    return HEADERS[version] + pairs({name: ints(0x10319) + pairs(slots)})
