"""Four functions that load no files fit into a project as the user's own files."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from baking import Project, bake, wait_until
from deploy_helpers import BUCKET, deploy_locally, with_cdk_node
from shim_helpers import DATABASES, client, count_messages, drop_object, require_server
from shop import TRIGGERS, add_shop, partner

# What is the user's, see the table in the project's README.
OWN = re.compile(
    r"src/func/|config/|migrations/|tests/test_\w+\.py|tests/data/|src/lib/clients\.py"
    r"|infra/extra/"
)
ORDER = '{"bucket": "%s", "key": "incoming/order.json"}'
# The emulator's answer names the action, but not the object.
DENIED = (
    "enrich may not s3:PutObject: write `writes: [<prefix>/]` for enrich in "
    "config/deploy.yml"
)


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    """URL of the API that `enrich` calls."""
    with partner() as url:
        yield url


@pytest.fixture(scope="module", params=DATABASES)
def shop(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    api: str,
) -> Project:
    """A project with the four functions, for each database."""
    require_server(request.param)
    project = bake(tmp_path_factory.mktemp("shop"), database=request.param)
    project.run("git", "add", "--all")
    author = ("-c", "user.name=Anna", "-c", "user.email=anna@example.org")
    project.run("git", *author, "commit", "--quiet", "--no-verify", "-m", "Begin")
    add_shop(project.share_installs().share_layer(), api)
    return project


def test_functions_change_no_file_of_the_template(shop: Project) -> None:
    status = shop.run("git", "status", "--porcelain", "-uall").stdout
    changed = [line[3:] for line in status.splitlines()]
    assert "src/func/fanout.py" in changed
    assert [path for path in changed if not OWN.match(path)] == []


def test_functions_pass_lint_and_unit_tests(shop: Project) -> None:
    shop.make("lint-code")
    tests = " ".join(f"tests/test_{name}.py" for name in TRIGGERS)
    assert "passed" in shop.make("test", f"TEST_ARGS={tests}").stdout
    assert "passed" in shop.make("test").stdout
    assert "passed" in shop.make("test", "TARGET=tools").stdout


def test_messages_pass_through_the_shim(shop: Project) -> None:
    with shop.shim():
        for name in TRIGGERS:
            assert count_messages(shop, f"{name}-pending") == [0, 0]
        shop.make("event", "FUNC=fanout", "FILE=tests/data/sanity.csv")
        drain(shop, "fanout")
        assert count_messages(shop, "part-pending") == [3, 0]
        drain(shop, "part")
        assert shop.query("SELECT count(*) FROM clicks") == [[10]]
        drop_object(shop, "raw", "incoming/order.json", '{"order": 1}')
        shop.make("send", "FUNC=enrich", f"BODY={ORDER % 'raw'}")
        drain(shop, "enrich")
        assert read_answer(shop, "raw") == b'{"answer": {"order": 1}}'
        shop.make("send", "FUNC=nightly")  # the sample is older than a month
        drain(shop, "nightly")
        assert shop.query("SELECT count(*) FROM clicks") == [[0]]
        for name in TRIGGERS:
            assert count_messages(shop, f"{name}-dead-letter") == [0, 0]
        assert shop.make("sanity_check").stdout.count("has processed its event") == 4


@pytest.mark.long(3)
@pytest.mark.parametrize("shop", ["postgres"], indirect=True)
def test_functions_are_included_in_parity(shop: Project) -> None:
    with shop.shim():
        page = shop.make("parity").stdout
    assert re.findall("^## (.*)", page, re.MULTILINE) == [*sorted(TRIGGERS), "worker"]
    assert "Different" not in page
    assert "\nAll are equal. " in page
    for effect in ("object enriched/order.json", "sent to part", "table clicks"):
        assert f"| {effect} " in page


def drain(project: Project, function: str) -> None:
    """Run a poller until a function's queue is empty."""
    project.make("run", f"FUNC={function}", "RUN_ARGS=--drain --poll_interval=0")


def read_answer(project: Project, bucket: str) -> bytes:
    """Return what `enrich` has written, or nothing."""
    s3, key = client(project, "s3"), "enriched/order.json"
    if not s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents"):
        return b""
    return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


@pytest.mark.long(5)
@pytest.mark.usefixtures("providers")
def test_terraform_deploys_what_functions_declare(tmp_path: Path, api: str) -> None:
    deployed_functions_may_do_what_they_declare(tmp_path, "terraform", api)


@pytest.mark.long
def test_cdk_deploys_what_functions_declare(
    tmp_path: Path, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_node = with_cdk_node(Project(tmp_path / "click-loader"))
    monkeypatch.setenv("PATH", with_node["PATH"])
    deployed_functions_may_do_what_they_declare(tmp_path, "cdk", api)


def deployed_functions_may_do_what_they_declare(
    directory: Path, iac: str, api: str
) -> None:
    """Deploy the functions into a shim, use them, and take a permission away."""
    project = bake(directory, iac=iac).share_installs().share_layer()
    add_shop(project, api)
    with project.shim():
        if iac == "cdk":
            project.make("bootstrap", "ENV=local")
        deploy_locally(project)
        holds_no_keys(project)
        messages_pass_through_lambdas(project)
        undeclared_action_is_denied(project)


def holds_no_keys(project: Project) -> None:
    """Check that no Lambda is given credentials or the value of a secret."""
    for each in client(project, "lambda").list_functions()["Functions"]:
        variables = each["Environment"]["Variables"]
        assert not [name for name in variables if "ACCESS_KEY" in name]
        assert variables.get("API_KEY_SECRET", "") in ("", "partner/api-key")
        assert "API_KEY" not in variables


def messages_pass_through_lambdas(project: Project) -> None:
    """Use each function once."""
    project.make("event", "FUNC=fanout", "FILE=tests/data/sanity.csv", "ENV=local")
    project.wait_for_rows("SELECT 1 FROM clicks HAVING count(*) = 10")
    drop_object(project, BUCKET, "incoming/order.json", '{"order": 1}')
    order = f"BODY={ORDER % BUCKET}"
    project.make("send", "FUNC=enrich", order, "ENV=local")
    answer = b'{"answer": {"order": 1}}'
    wait_until(lambda: read_answer(project, BUCKET) == answer, "the answer")
    project.make("send", "FUNC=nightly", "ENV=local")
    project.wait_for_rows("SELECT 1 FROM clicks HAVING count(*) = 0")


def undeclared_action_is_denied(project: Project) -> None:
    """Take `writes` away, and find in the log what to declare."""
    config = project.path / "config" / "deploy.yml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("    writes: [enriched/]\n", ""), encoding="utf-8")
    project.make("deploy", "TARGET=role", "ENV=local")
    client(project, "s3").delete_object(Bucket=BUCKET, Key="enriched/order.json")
    order = f"BODY={ORDER % BUCKET}"
    project.make("send", "FUNC=enrich", order, "ENV=local")
    logs = ("logs", "FUNC=enrich", "ENV=local")
    wait_until(lambda: DENIED in project.make(*logs).stdout, "the denial in the log")
    assert read_answer(project, BUCKET) == b""
