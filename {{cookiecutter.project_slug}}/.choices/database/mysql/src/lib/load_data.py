"""Feeds MySQL's bulk statement from memory instead of a file."""

import os
import threading
from contextlib import suppress
from typing import Any


class LoadData:
    """A LOAD DATA LOCAL statement that reads from a pipe instead of a file.

    A thread runs it: the next rows are parsed while the server inserts.

    Args:
        cursor: the cursor. Nothing else may use it before `finish`.
        into: the statement, from INTO TABLE on.
    """

    def __init__(self, cursor: Any, into: str) -> None:
        self._cursor = cursor
        self._read_end, write_end = os.pipe()
        self._pipe = os.fdopen(write_end, "wb")
        self._error: BaseException | None = None
        statement = f"LOAD DATA LOCAL INFILE '/dev/fd/{self._read_end}' {into}"
        self._thread = threading.Thread(target=self._execute, args=(statement,))
        self._thread.start()

    def write(self, text: bytes) -> None:
        """Send rows, unless the statement has failed."""
        with suppress(BrokenPipeError):
            self._pipe.write(text)

    def finish(self) -> None:
        """Wait for the end of the statement.

        Raises:
            Exception: the statement failed.
        """
        with suppress(BrokenPipeError):
            self._pipe.close()
        self._thread.join()
        if self._error:
            raise self._error

    def _execute(self, statement: str) -> None:
        try:
            self._cursor.execute(statement)
        except AttributeError as error:
            # pymysql's own bug after it closed the connection for the error in context
            self._error = error.__context__ or error
        except Exception as error:
            self._error = error
        finally:
            os.close(self._read_end)
