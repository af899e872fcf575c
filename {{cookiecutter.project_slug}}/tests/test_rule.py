"""The pattern's rule: a function gets its I/O from the context."""

import sys

INJECTED = {"boto3", "botocore", "psycopg", "pymysql"}


def test_unit_tests_load_no_client() -> None:
    assert not INJECTED & set(sys.modules)
