"""Delete old versions of the layer, which neither Terraform nor CDK deletes.

A rollback needs an earlier version of the layer, so a deploy that publishes a new one
deletes none. Those that are too old go once the functions are deployed.
"""

from tools.environment import client

KEPT = 5  # versions, among them the current one


def delete_old(name: str, kept: int = KEPT) -> None:
    """Delete all versions of a layer but the newest, and print which.

    Args:
        name: of the layer.
        kept: number of versions to keep.
    """
    api = client("lambda")
    pages = api.get_paginator("list_layer_versions").paginate(LayerName=name)
    versions = sorted(
        (each["Version"] for page in pages for each in page["LayerVersions"]),
        reverse=True,
    )
    for version in versions[kept:]:
        api.delete_layer_version(LayerName=name, VersionNumber=version)
        print(f"deleted version {version} of the layer {name}", flush=True)
