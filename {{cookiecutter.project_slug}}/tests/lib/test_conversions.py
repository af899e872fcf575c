"""Values in the formats of files become values for databases."""

import pytest

from lib.conversions import make_conversion
from tests.tables import for_each


@for_each(
    ("text", "value", "expected"),
    [
        ("%d/%m/%Y", "02/03/2012", "2012-03-02"),
        ("%d.%m.%y %H:%M", "02.03.12 07:05", "2012-03-02 07:05:00"),
        ("%Y%m%d%H%M%S", "20120302070501", "2012-03-02 07:05:01"),
        ("%d-%b-%Y", "02-MAR-2012", "2012-03-02"),
        ("%H.%M", "07.05", "07:05:00"),
        ("%m/%d/%Y %I:%M:%S %p", "3/2/2012 7:05:01 PM", "2012-03-02 19:05:01"),
        (
            "%Y-%m-%dT%H:%M:%S.%f%z",
            "2012-03-02T07:05:01.5+0200",
            "2012-03-02 05:05:01.500000",
        ),
        ("iso", "2025-07-03T10:30:10+02:00", "2025-07-03 08:30:10"),
        ("iso", "2025-07-03T10:30:10Z", "2025-07-03 10:30:10"),
        ("iso", "2025-07-03T10:30:10.1234567+02:00", "2025-07-03 08:30:10.1234567"),
        ("iso", "2025-07-03 10:30", "2025-07-03 10:30:00"),
        ("iso", "2025-07-03T00:00:00", "2025-07-03 00:00:00"),
        ("iso", "20250703", "2025-07-03"),
        ("iso", "2025-07-03", "2025-07-03"),
        ("boolean", "TRUE", "1"),
        ("boolean", "no", "0"),
        ("J/N", "j", "1"),
        ("J/N", "N", "0"),
        ("comma", "1.234.567,50", "1234567.50"),
        ("comma", "-0,5", "-0.5"),
        ("comma", "1234", "1234"),
    ],
)
def test_value_is_converted(text: str, value: str, expected: str) -> None:
    assert make_conversion(text)(value) == expected


@for_each(
    ("text", "value"),
    [
        ("%d/%m/%Y", "13/13/2012"),
        ("%d/%m/%Y", "2012-03-02"),
        ("%d/%m/%Y", ""),
        ("iso", "02/03/2012"),
        ("iso", "2025-02-30"),
        ("iso", "0001-01-01T00:00:00+02:00"),
        ("boolean", "maybe"),
        ("boolean", "2"),
        ("J/N", "1"),
        ("comma", "1,234.50"),
        ("comma", "1.2"),
        ("comma", "1.2345,0"),
        ("comma", ",5"),
        ("comma", "1,٣"),
        ("comma", "1,2,3"),
        ("comma", "+-1"),
    ],
)
def test_value_in_other_format_is_refused(text: str, value: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        make_conversion(text)(value)


@for_each("text", ["", "date", "%Q", "%d/%d", "yes/", "yes/YES"])
def test_unknown_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - several messages
        make_conversion(text)
