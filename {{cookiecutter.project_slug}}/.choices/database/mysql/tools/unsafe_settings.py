"""Settings of MySQL that no session can change, and that commits depend on."""

from tools.sql import Execute

SETTINGS = """
SHOW GLOBAL VARIABLES WHERE variable_name IN (
    'innodb_flush_log_at_trx_commit', 'log_bin', 'sync_binlog', 'aurora_version',
    'explicit_defaults_for_timestamp', 'rpl_semi_sync_source_enabled',
    'rpl_semi_sync_master_enabled'
)
"""
REPLICAS = """
SELECT count(*) FROM information_schema.processlist
WHERE command IN ('Binlog Dump', 'Binlog Dump GTID')
"""
LOSS = "so a crash of the machine loses the last commits"


def find(execute: Execute) -> list[str]:
    """Return a sentence for each setting with which a commit or a value may be lost.

    Args:
        execute: runs a statement.
    """
    found = {str(row[0]).lower(): str(row[1]) for row in execute(SETTINGS).rows}
    has_log = found.get("log_bin") == "ON"
    is_synchronous = "ON" in (
        found.get("rpl_semi_sync_source_enabled"),
        found.get("rpl_semi_sync_master_enabled"),
    )
    problems = []
    for name, is_used in (
        ("innodb_flush_log_at_trx_commit", True),
        ("sync_binlog", has_log),
    ):
        if is_used and found.get(name) != "1":
            problems.append(f"{name} is {found.get(name)}, {LOSS}: set {name}=1")
    if found.get("explicit_defaults_for_timestamp") == "OFF":
        problems.append(
            "explicit_defaults_for_timestamp is OFF, so NULL may become the current "
            "time: set explicit_defaults_for_timestamp=1"
        )
    # a failover of Aurora leads to an instance with the same storage
    if "aurora_version" not in found and has_log and not is_synchronous:
        [(replicas,)] = execute(REPLICAS).rows
        if int(replicas):
            problems.append(
                "the replicas are asynchronous, so a failover loses the last "
                "transactions: set rpl_semi_sync_source_enabled=1"
            )
    return problems
