"""Bodies that come compressed although nobody asked for it, inflated a bounded piece at a time. Pure.

A few kilobytes of gzip can hold a thousand times as much: whoever reads piece by piece can stop in time.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

PIECE_BYTES = 65_536

CODINGS = frozenset({"gzip", "x-gzip", "deflate"})
"""What zlib can inflate; it tells the two by how they begin."""


class Inflater:
    """For one body. Both of its methods raise zlib.error for what is not what it says."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        while piece := self._stream.decompress(chunk, PIECE_BYTES):
            yield piece
            chunk = self._stream.unconsumed_tail

    def end(self) -> None:
        """To be called after the last chunk."""
        if not self._stream.eof:
            raise zlib.error("the body ends too early")
