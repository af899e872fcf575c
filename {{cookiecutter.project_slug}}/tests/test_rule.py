"""The rule of the pattern: functions get their clients from the context."""

import sys

CLIENT_LIBRARIES = {"boto3", "botocore", "psycopg", "pymysql"}


def test_unit_tests_import_no_client() -> None:
    assert not CLIENT_LIBRARIES & set(sys.modules)
