"""Reads records of fixed width, such as those of mainframes, with or without lines."""

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from lib.blocks import Block, describe_limit
from lib.chunks import Chunk, ChunkBuilder
from lib.columns import BadRowError, RowMaker
from lib.records import SPECIAL, find_fault

# What may be behind the last record: a newline, or the padding of a block.
PADDING = "\r\n\x85\x1a\0 "
# What the bytes of packed and binary numbers are, read as EBCDIC.
CONTROL = re.compile(r"[\0-\x08\n-\x1f\x7f-\x9f]")


class FixedWidthReader:
    """Reads the records of a file.

    Args:
        widths: characters of each field. Spaces around a value are padding.
        maker: makes the rows.
        encoding: of the file, for messages.
        comment: lines that start with it are skipped, if it is not empty.
    """

    def __init__(
        self, widths: Sequence[int], maker: RowMaker, encoding: str, comment: str = ""
    ) -> None:
        self._width = sum(widths)
        ends = list(accumulate(widths))
        starts = [0, *ends[:-1]]
        self._slices = [slice(*pair) for pair in zip(starts, ends, strict=True)]
        self._starts = starts
        self._maker = maker
        self._encoding = encoding
        self._is_ebcdic = "A".encode(encoding) == b"\xc1"
        self._comment = comment
        self._builder = ChunkBuilder()

    def read_lines(
        self, blocks: Iterable[Block], newline: str, line: int
    ) -> Iterator[Chunk]:
        """Yield a file of lines chunk by chunk.

        Args:
            blocks: the file.
            newline: ends a line. LF also accepts CR LF.
            line: number of the first line.
        """
        for block in blocks:
            text = block.text.decode("utf-8", "surrogateescape")
            for source in text.removesuffix(newline).split(newline):
                content = source.removesuffix("\r") if newline == "\n" else source
                is_comment = self._comment and content.startswith(self._comment)
                if block.is_cut:
                    self._builder.add_reject(line, source, describe_limit())
                elif content and not is_comment:
                    self._add(line, content)
                line += 1
                if self._builder.is_full:
                    yield from self._builder.take()
        yield from self._builder.take()

    def read_stream(
        self, pieces: Iterable[bytes], skipped: int, trailing: int
    ) -> Iterator[Chunk]:
        """Yield a file without newlines chunk by chunk. A record counts as a line.

        Args:
            pieces: the file.
            skipped: records to skip at the start.
            trailing: records to skip at the end.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        rest, line = "", 1
        for piece in pieces:
            rest += decoder.decode(piece)
            count = max(0, len(rest) // self._width - trailing)
            for start in range(0, count * self._width, self._width):
                if line > skipped:
                    self._add_record(line, rest[start : start + self._width])
                line += 1
                if self._builder.is_full:
                    yield from self._builder.take()
            rest = rest[count * self._width :]
        whole = len(rest) // self._width
        incomplete = rest[whole * self._width :]
        if incomplete.strip(PADDING):
            self._add_record(line + whole, incomplete)
        yield from self._builder.take()

    def _add_record(self, line: int, source: str) -> None:
        """Add a record of a file that should have no newlines.

        With one, this record and all others would be out of step.
        """
        if "\n" in source:
            self._builder.add_reject(line, source, "a newline in a record")
        else:
            self._add(line, source)

    def _add(self, line: int, source: str) -> None:
        try:
            text = self._make_row(source)
        except BadRowError as error:
            self._builder.add_reject(line, source, str(error), error.condition)
        else:
            self._builder.add_row(line, source, text)

    def _make_row(self, source: str) -> str:
        is_special = bool(SPECIAL.search(source))
        if is_special and (fault := find_fault(source, self._encoding)):
            raise BadRowError(fault)
        if self._is_ebcdic and CONTROL.search(source):
            raise BadRowError(
                "a control character: packed and binary numbers cannot be read, have "
                "them written as digits"
            )
        size = len(source)
        if size > self._width:
            raise BadRowError(f"characters: {size} instead of {self._width}")
        values = [source[each].strip(" ") for each in self._slices]
        if size == self._width:
            return self._maker.make(values, values, is_special)
        there = [start < size for start in self._starts]
        fields = [
            value if is_there else None
            for value, is_there in zip(values, there, strict=True)
        ]
        reason = f"characters: {size} instead of {self._width}"
        return self._maker.make_short(fields, reason, is_special)
