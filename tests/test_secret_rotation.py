"""Faults of secrets: the database's password in Secrets Manager is rotated."""

import json
from pathlib import Path

from baking import Project
from shim_helpers import (
    OwnDatabase,
    clicks,
    client,
    count_loaded,
    drop,
    fault,
    is_postgres,
    start_worker,
)


class Rotating(OwnDatabase):
    """A database server of the test's own, with a password that can be rotated."""

    password = "shim"

    def shim_environment(self) -> dict[str, str]:
        """Return the variables of the shim's clients, with the current password."""
        return super().shim_environment() | {"DB_PASS": self.password}

    def rotate(self, password: str) -> None:
        """Change the password, and end all connections that used the old one."""
        change, connections, kill = (
            (
                "ALTER USER worker PASSWORD '{}'",
                "SELECT pid FROM pg_stat_activity WHERE usename = 'worker'"
                " AND pid <> pg_backend_pid()",
                "SELECT pg_terminate_backend({})",
            )
            if is_postgres(self)
            else (
                "SET PASSWORD = /*M! PASSWORD( */'{}'/*M! ) */",  # for MariaDB
                "SELECT id FROM information_schema.processlist WHERE user = 'worker'"
                " AND id <> connection_id()",
                "KILL {}",
            )
        )
        self.query(change.format(password))
        self.password = password
        ended = self.query(connections)
        assert ended
        for [connection] in ended:
            self.query(kill.format(connection))


@fault(
    "the password in the secret is rotated, and the old one is refused",
    "the worker reads the secret again and continues without a restart",
)
def test_worker_survives_password_rotation(shimmed: Project, tmp_path: Path) -> None:
    secrets = client(shimmed, "secretsmanager")
    first = json.dumps({"username": "worker", "password": "shim"})
    arn = secrets.create_secret(Name="rotating", SecretString=first)["ARN"]
    with (
        Rotating(shimmed, tmp_path) as own,
        start_worker(own, DB_SECRET=arn, DB_USER="", DB_PASS="") as running,
    ):
        key = drop(shimmed, "before.csv", clicks(10, first=70_000_000))
        running.wait_until(lambda: count_loaded(own, key) == 10)
        own.rotate("changed-by-rotation")
        second = json.dumps({"username": "worker", "password": own.password})
        secrets.put_secret_value(SecretId=arn, SecretString=second)
        key = drop(shimmed, "after.csv", clicks(10, first=70_000_100))
        running.wait_until(lambda: count_loaded(own, key) == 10)
    assert own.password not in running.output
    secrets.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
