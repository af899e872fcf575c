"""The rule of the pattern: functions get their clients from the context."""

import sys

CLIENT_LIBRARIES = {"boto3", "psycopg", "pymysql"}


def test_unit_tests_import_no_client() -> None:
    """The doubles read botocore's models, and moto imports boto3."""
    own = {"boto3"} if "moto" in sys.modules else set()
    assert not (CLIENT_LIBRARIES - own) & set(sys.modules)
