"""The database's password as a secret of AWS, on real servers."""

import json
from pathlib import Path

from baking import Project
from playground import (
    OwnDatabase,
    clicks,
    client,
    drop,
    fault,
    is_postgres,
    rows_of,
    worker,
)


class Rotating(OwnDatabase):
    """A database of its own whose password can be changed."""

    password = "shim"

    def shim_environment(self) -> dict[str, str]:
        """Return the environment of the words that talk to the shim."""
        return super().shim_environment() | {"DB_PASS": self.password}

    def rotate(self, password: str) -> None:
        """Change the password, and end all connections that were opened by the old."""
        change, connections, kill = (
            (
                "ALTER USER worker PASSWORD '{}'",
                "SELECT pid FROM pg_stat_activity WHERE usename = 'worker'"
                " AND pid <> pg_backend_pid()",
                "SELECT pg_terminate_backend({})",
            )
            if is_postgres(self)
            else (
                "SET PASSWORD = /*M! PASSWORD( */'{}'/*M! ) */",  # as MariaDB wants it
                "SELECT id FROM information_schema.processlist WHERE user = 'worker'"
                " AND id <> connection_id()",
                "KILL {}",
            )
        )
        self.change(change.format(password))
        self.password = password
        ended = self.query(connections)
        assert ended
        for [connection] in ended:
            self.change(kill.format(connection))


@fault(
    "the password in the secret is changed, and the old one is refused",
    "the worker reads the secret again, and goes on without a restart",
)
def test_worker_goes_on_when_the_password_in_the_secret_is_changed(
    shimmed: Project, tmp_path: Path
) -> None:
    secrets = client(shimmed, "secretsmanager")
    first = json.dumps({"username": "worker", "password": "shim"})
    arn = secrets.create_secret(Name="rotating", SecretString=first)["ARN"]
    with (
        Rotating(shimmed, tmp_path) as own,
        worker(own, DB_SECRET=arn, DB_USER="", DB_PASS="") as patient,
    ):
        key = drop(shimmed, "before.csv", clicks(10, first=70_000_000))
        patient.wait_until(lambda: rows_of(own, key) == 10)
        own.rotate("changed-by-rotation")
        second = json.dumps({"username": "worker", "password": own.password})
        secrets.put_secret_value(SecretId=arn, SecretString=second)
        key = drop(shimmed, "after.csv", clicks(10, first=70_000_100))
        patient.wait_until(lambda: rows_of(own, key) == 10)
    assert own.password not in patient.said
    secrets.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
