"""Reads JSON Lines: one object in each line, whose keys are the columns."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from lib.blocks import Block, describe_limit
from lib.chunks import Chunk, ChunkBuilder
from lib.columns import BadRowError, RowMaker
from lib.file_types import FileFormatError
from lib.records import find_fault

TOO_DEEP = "not JSON: nested too deeply"


class Number(str):
    """A number as it is written."""

    __slots__ = ()


class JsonReader:
    """Reads the objects of a file.

    Args:
        names: names of the columns.
        maker: makes their rows.
        encoding: of the file, for messages.
        fills: a missing key is NULL.
        ignores_extra: other keys are ignored.
    """

    def __init__(
        self,
        names: Sequence[str],
        maker: RowMaker,
        encoding: str,
        fills: bool,
        ignores_extra: bool,
    ) -> None:
        self._names = names
        self._known = set(names)
        self._maker = maker
        self._encoding = encoding
        self._fills = fills
        self._ignores_extra = ignores_extra
        self._decoder = json.JSONDecoder(
            parse_float=Number,
            parse_int=Number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_make_object,
        )

    def read(self, blocks: Iterable[Block], newline: str, line: int) -> Iterator[Chunk]:
        """Yield the file chunk by chunk.

        Args:
            blocks: the file.
            newline: ends a line.
            line: number of the first line.

        Raises:
            FileFormatError: it is a JSON array.
        """
        builder = ChunkBuilder()
        is_first = True
        for block in blocks:
            text = block.text.decode("utf-8", "surrogateescape")
            for source in text.removesuffix(newline).split(newline):
                if source and not source.isspace():
                    if is_first and source.lstrip().startswith("["):
                        raise FileFormatError(
                            "the file looks like a JSON array: write one object in "
                            "each line, for example with jq -c '.[]'"
                        )
                    is_first = False
                    try:
                        builder.add_row(line, source, self._make_row(source, block))
                    except BadRowError as error:
                        reason, condition = str(error), error.condition
                        builder.add_reject(line, source, reason, condition)
                line += 1
                if builder.is_full:
                    yield from builder.take()
        yield from builder.take()

    def _make_row(self, source: str, block: Block) -> str:
        if block.is_cut:
            raise BadRowError(describe_limit())
        if fault := self._find_fault(source):
            raise BadRowError(fault)
        found = self._parse(source)
        self._check_keys(found)
        values = self._get_texts(found)
        has_escapes = "\\" in source
        if has_escapes:  # the only way to write what cannot be in a database
            for fault in filter(None, map(self._find_fault, values)):
                raise BadRowError(fault)
        raw: list[str | None] = [
            value if value is None or isinstance(value, Number) else f'"{value}"'
            for value in values
        ]
        return self._maker.make_from(values, raw, has_escapes)

    def _find_fault(self, text: str | None) -> str:
        return find_fault(text or "", self._encoding)

    def _parse(self, source: str) -> dict[str, Any]:
        try:
            found = self._decoder.decode(source)
        except json.JSONDecodeError as error:
            reason = f"not JSON: {error.msg} at character {error.pos + 1}"
            raise BadRowError(reason, "not JSON") from None
        except RecursionError:
            raise BadRowError(TOO_DEEP) from None
        if not isinstance(found, dict):
            raise BadRowError("not a JSON object")
        return found

    def _get_texts(self, found: dict[str, Any]) -> list[str | None]:
        try:
            return [_to_text(found.get(name)) for name in self._names]
        except RecursionError:
            raise BadRowError(TOO_DEEP) from None

    def _check_keys(self, found: dict[str, Any]) -> None:
        if found.keys() == self._known:
            return
        if not self._fills:
            missing = [name for name in self._names if name not in found]
            if missing:
                raise BadRowError(f"no key {', '.join(missing)}")
        if not self._ignores_extra:
            extra = [key for key in found if key not in self._known]
            if extra:
                keys = ", ".join(extra)[:100]
                raise BadRowError(f"keys that are no columns: {keys}", "unknown keys")


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadRowError("a key that is there twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise BadRowError(f"not JSON: {name}")


def _to_text(value: Any) -> str | None:
    """Return a value for a column: nested ones as JSON, true and false as 1 and 0."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return Number(int(value))
    return _dump(value)


def _dump(value: Any) -> str:
    """Return a value as JSON, with numbers as they were written."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        items = (f"{_quote(key)}: {_dump(each)}" for key, each in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_dump, value))}]"
    return _quote(value)


def _quote(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
