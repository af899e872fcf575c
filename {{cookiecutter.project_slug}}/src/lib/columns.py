"""Turns the fields of a file into the values of a table's columns."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lib.chunks import ESCAPES, NULL
from lib.conversions import Conversion, make_conversion
from lib.file_types import FileFormatError

SKIPPED = "-"  # stands for a field of the file that no column receives
VALUE_LIMIT = 100  # characters of a value in a reason


class BadRowError(ValueError):
    """A record is no row.

    `condition` is the reason without values, see `lib.rejects.Reject`.
    """

    def __init__(self, reason: str, condition: str = "") -> None:
        super().__init__(reason)
        self.condition = condition


class Column(NamedTuple):
    """A column of the table.

    Args:
        name: its name.
        nulls: fields that stand for NULL, as they are in the file.
        conversion: converts its values.
        format: name of the conversion, for messages.
    """

    name: str
    nulls: frozenset[str]
    conversion: Conversion | None = None
    format: str = ""


def make_columns(
    names: Sequence[str],
    nulls: Sequence[str],
    column_nulls: Mapping[str, Sequence[str]],
    formats: Mapping[str, str],
) -> list[Column]:
    """Return the columns of a table, given their names and what applies to them."""
    return [
        Column(
            name,
            frozenset(column_nulls.get(name, nulls)),
            make_conversion(formats[name]) if name in formats else None,
            formats.get(name, ""),
        )
        for name in names
    ]


class RowMaker:
    """Makes the text of rows.

    Args:
        columns: the columns of the table.
        order: for each column, the index of its field.
        width: number of fields in the file.
        fills: a missing field is NULL.
    """

    def __init__(
        self, columns: Sequence[Column], order: Sequence[int], width: int, fills: bool
    ) -> None:
        self._plan = list(zip(columns, order, strict=True))
        self.width = width
        self._fills = fills
        self._order = list(order)
        self._is_in_order = self._order == list(range(width))
        self._nulls = columns[0].nulls if columns else frozenset()
        self._is_uniform = all(
            column.nulls == self._nulls and not column.conversion for column in columns
        )

    @property
    def plain_nulls(self) -> frozenset[str] | None:
        """The fields that stand for NULL, if all others are values in their order."""
        return self._nulls if self._is_in_order and self._is_uniform else None

    def make(self, fields: list[str], raw: list[str], is_special: bool) -> str:
        """Return the text of a row, without its newline.

        Args:
            fields: the values.
            raw: the fields as they are in the file.
            is_special: values may have characters that must be escaped.

        Raises:
            BadRowError: there is no such row.
        """
        if len(fields) != self.width:
            return self.make_from(*self._fit(fields, raw), is_special)
        if not self._is_uniform:
            return self.make_from(fields, raw, is_special)
        if not self._is_in_order:
            order = self._order
            fields, raw = [fields[at] for at in order], [raw[at] for at in order]
        nulls = self._nulls
        if is_special:
            pairs = zip(fields, raw, strict=True)
            return "\t".join(
                NULL if original in nulls else field.translate(ESCAPES)
                for field, original in pairs
            )
        if nulls.isdisjoint(raw):
            return "\t".join(fields)
        pairs = zip(fields, raw, strict=True)
        return "\t".join(
            NULL if original in nulls else field for field, original in pairs
        )

    def make_from(
        self,
        values: Sequence[str | None],
        raw: Sequence[str | None],
        is_special: bool = True,
    ) -> str:
        """Return the text of a row of which some fields are missing (None): NULL.

        Raises:
            BadRowError: there is no such row.
        """
        texts = []
        for column, index in self._plan:
            value = values[index]
            if value is None or raw[index] in column.nulls:
                texts.append(NULL)
                continue
            if column.conversion:
                value = _convert(column, value)
            texts.append(value.translate(ESCAPES) if is_special else value)
        return "\t".join(texts)

    def make_short(
        self, values: Sequence[str | None], reason: str, is_special: bool
    ) -> str:
        """Return the text of a row whose last fields may be missing (None).

        Raises:
            BadRowError: there is no such row, or missing fields make it a reject.
        """
        if not self._fills:
            raise BadRowError(reason)
        return self.make_from(values, values, is_special)

    def _fit(
        self, fields: list[str], raw: list[str]
    ) -> tuple[Sequence[str | None], Sequence[str | None]]:
        missing = self.width - len(fields)
        if missing < 0 or not self._fills:
            raise BadRowError(f"fields: {len(fields)} instead of {self.width}")
        nothing = [None] * missing
        return [*fields, *nothing], [*raw, *nothing]


def match_header(
    header: Sequence[str], columns: Sequence[Column], ignores_extra: bool
) -> list[int]:
    """Return the index of each column's field, given the names in the header.

    Spaces and case matter only where names differ in nothing else.

    Raises:
        FileFormatError: a column is missing or not unique, or there are others. The
            message shows no name of the file, because it may have no header at all.
    """
    order = [_find(header, column.name) for column in columns]
    missing = [
        column.name for column, at in zip(columns, order, strict=True) if at is None
    ]
    if missing:
        raise FileFormatError(
            f"the header has no column {', '.join(missing)}: correct it, or columns; "
            "if the file has no header, set header: false"
        )
    indexes = [at for at in order if at is not None]
    extra = len(header) - len(set(indexes))
    if extra and not ignores_extra:
        raise FileFormatError(
            f"the header has {extra} more columns than the setting columns: add them, "
            "or set extra_columns: ignore"
        )
    return indexes


def _find(header: Sequence[str], name: str) -> int | None:
    """Return the index of a name in the header.

    Raises:
        FileFormatError: it is there more than once.
    """
    loose = [each.strip().casefold() for each in header]
    for names, wanted in ((header, name), (loose, name.strip().casefold())):
        if names.count(wanted) > 1:
            raise FileFormatError(
                f"the header has the column {name} more than once: correct it, or set "
                "header: skip and - for the fields to skip in columns"
            )
        if wanted in names:
            return names.index(wanted)
    return None


def _convert(column: Column, value: str) -> str:
    assert column.conversion  # noqa: S101 - for mypy
    try:
        return column.conversion(value)
    except (ValueError, OverflowError):
        condition = f"{column.name} is not in the format {column.format}"
        shown = value[:VALUE_LIMIT]
        raise BadRowError(f"{condition}: {shown!r}", condition) from None
