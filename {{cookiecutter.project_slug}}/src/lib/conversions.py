"""Converts the values of a column from the format of a file into one for databases."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache

Conversion = Callable[[str], str]

BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), "1"),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), "0"),
}
CACHE_SIZE = 4096  # values of a column; dates repeat
DATE_CODES = set("aAbBcdDGjmuUVwWxyY")
TIME_CODES = set("cfHIMpSXz")
MORE_DIGITS = re.compile("[.,][0-9]{6}([0-9]+)")
DECIMAL = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?", re.ASCII)


def make_conversion(text: str) -> Conversion:
    """Return a conversion. It raises ValueError for a value in another format.

    Args:
        text: `boolean`; two words such as `ja/nein`; `iso` for dates and times in ISO
            8601; `comma` for numbers such as `1.234,56`; or a format of
            `datetime.strptime` such as `%d/%m/%Y`.

    Raises:
        ValueError: the text is none of these.
    """
    if text == "boolean":
        return _make_choice(BOOLEANS)
    if text == "iso":
        return lru_cache(CACHE_SIZE)(_convert_iso)
    if text == "comma":
        return _convert_comma
    if "%" in text:
        return lru_cache(CACHE_SIZE)(_make_time_conversion(text))
    yes, slash, no = text.partition("/")
    if slash and yes and no and yes.lower() != no.lower():
        return _make_choice({yes.lower(): "1", no.lower(): "0"})
    raise ValueError(
        f"{text!r} is neither a date format such as %d/%m/%Y, nor iso, boolean, comma, "
        "or two words such as yes/no"
    )


def _make_choice(values: dict[str, str]) -> Conversion:
    def choose(value: str) -> str:
        try:
            return values[value.strip().lower()]
        except KeyError:
            raise ValueError from None

    return choose


def _make_time_conversion(text: str) -> Conversion:
    codes = {part[:1] for part in text.replace("%%", "").split("%")[1:]}
    has_date, has_time = bool(codes & DATE_CODES), bool(codes & TIME_CODES)
    _check_format(text)

    def convert(value: str) -> str:
        moment = _to_utc(datetime.strptime(value, text))
        if has_date and has_time:
            return moment.isoformat(" ")
        return (moment.date() if has_date else moment.time()).isoformat()

    return convert


def _check_format(text: str) -> None:
    """Check that a format can be read.

    Raises:
        ValueError: it has an unknown code, or one twice.
    """
    sample = datetime(2026, 1, 5, tzinfo=UTC)
    try:
        datetime.strptime(sample.strftime(text), text)
    except re.error:
        raise ValueError(f"{text!r} has a part twice") from None


def _convert_iso(value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        moment = _to_utc(datetime.fromisoformat(value))
    # databases round the digits that Python drops
    if more := MORE_DIGITS.search(value):
        return moment.isoformat(" ", "microseconds") + more[1]
    return moment.isoformat(" ")


def _to_utc(moment: datetime) -> datetime:
    """Return a time with an offset in UTC. All are without an offset then."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _convert_comma(value: str) -> str:
    """Convert a number with a decimal comma, and with points between thousands."""
    if not DECIMAL.fullmatch(value.strip()):
        raise ValueError
    return value.strip().replace(".", "").replace(",", ".")
