"""Settings of PostgreSQL that no session can change, and that commits depend on."""

from tools.sql import Execute

# Aurora's storage does the work of these settings itself, for all of its instances.
SETTINGS = """
SELECT name, setting FROM pg_settings
WHERE name IN ('fsync', 'full_page_writes', 'synchronous_standby_names')
UNION ALL SELECT 'standbys', count(*)::text FROM pg_stat_replication
UNION ALL SELECT 'aurora', count(*)::text FROM pg_proc WHERE proname = 'aurora_version'
"""


def find(execute: Execute) -> list[str]:
    """Return a sentence for each setting with which a commit may be lost.

    Args:
        execute: runs a statement.
    """
    found = dict(execute(SETTINGS).rows)
    if found["aurora"] != "0":
        return []
    problems = [
        f"{name} is {found[name]}, so a crash of the machine damages the database: set "
        f"{name}=on"
        for name in ("fsync", "full_page_writes")
        if found[name] != "on"
    ]
    if found["standbys"] != "0" and not found["synchronous_standby_names"]:
        problems.append(
            "the standbys are asynchronous, so a failover loses the last transactions: "
            "set synchronous_standby_names"
        )
    return problems
