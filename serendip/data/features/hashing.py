"""Texts to numbers that are the same in every process, on every machine and in every version.

BLAKE2b (RFC 7693) of a salt and the text in UTF-8; the first 8 bytes of the digest, little-endian, are the number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BYTES = 8


def buckets_of(texts: Sequence[str], salt: str, buckets: int, chunks: int = 1) -> NDArray[np.int64]:
    """``[texts, chunks]`` numbers below ``buckets``, one of each chunk's own hash.

    Args:
        texts: what is hashed.
        salt: parts the hashes of one use from those of another.
        buckets: how many numbers there are.
        chunks: how many independent numbers a text gets, 8 at most.
    """
    start = hashlib.blake2b(salt.encode() + b"\0", digest_size=BYTES * chunks)
    digests = bytearray()
    for text in texts:
        one = start.copy()
        one.update(text.encode("utf-8", "surrogatepass"))
        digests += one.digest()
    found = np.frombuffer(bytes(digests), "<u8").reshape(len(texts), chunks)
    return (found % np.uint64(buckets)).astype(np.int64)
