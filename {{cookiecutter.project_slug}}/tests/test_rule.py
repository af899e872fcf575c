"""The rule of the pattern: functions get their clients from the context."""

import sys

CLIENT_LIBRARIES = {"boto3", "botocore", "psycopg", "pymysql"}


def test_unit_tests_import_no_client() -> None:
    own = {"boto3", "botocore"} if "moto" in sys.modules else set()
    assert not (CLIENT_LIBRARIES - own) & set(sys.modules)
