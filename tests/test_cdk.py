"""What CDK deploys, applied into the shim with IAM enforced."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from baking import CheckedOnce, Project, bake, need_server
from deployed import (
    TARGETS,
    deploys,
    destroys,
    everything,
    far,
    loads_what_is_dropped,
    move_to_containers,
    with_own_node,
    works,
)
from playground import DATABASES, client
from test_bakes import OFFLINE, is_offline_possible

NETWORK = ("S3PrefixList", "Zones")  # what its stack must be told
UNCHANGED = "There were no differences"


@pytest.mark.long
@pytest.mark.parametrize("database", DATABASES)
def test_cdk_deploys_what_loads_files_and_destroys_all_of_it(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_server(database)
    monkeypatch.setenv("AUTH", "true")
    project = bake(tmp_path, iac="cdk", database=database).share_installs()
    project.share_layer()
    project.make("new", "FUNC=tally")
    with project.shim():
        project.make("bootstrap", "ENV=local")  # it stays
        before = everything(project)
        if database == "postgres":
            stops_at_what_fails(project)
        deploys(project)
        loads_what_is_dropped(project)
        if database == "mysql":  # no database changes this; Terraform has PostgreSQL
            works(project, "role/stack.py", "[-] AWS::Lambda::EventSourceMapping")
            assert project.make("plan", "ENV=local").stdout.count(UNCHANGED) == 5
        shutil.rmtree(project.path / ".build")  # the same code is the same assets
        assert project.make("plan", "ENV=local").stdout.count(UNCHANGED) == 5
        destroys(project, before)


def stops_at_what_fails(project: Project) -> None:
    """Deploy a Lambda whose layer is not told to it."""
    layer = project.path / "infra" / "layer" / "stack.py"
    text = layer.read_text(encoding="utf-8")
    assert text.count('stack, "layer"') == 1
    layer.write_text(text.replace('stack, "layer"', 'stack, "tier"'), encoding="utf-8")
    said = project.make("deploy", "ENV=local", check=False).stdout
    assert "deploy stopped at lambda.\n" in said
    assert re.findall(r"✅  (\w+)", said) == ["role", "queue", "bucket", "layer"]
    layer.write_text(text, encoding="utf-8")


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Project]:
    """A project whose environment dev is the shim, as if it were AWS."""
    with far(tmp_path, "cdk") as project:
        yield project


def test_zips_are_kept_in_a_private_bucket_that_bootstrap_makes(aws: Project) -> None:
    refused = aws.make("plan", "TARGET=role", "ENV=dev", check=False)
    assert refused.returncode != 0
    assert "account and region of dev: make bootstrap ENV=dev" in refused.stdout
    for _ in ("makes it", "changes nothing"):
        said = aws.make("bootstrap", "ENV=dev").stdout
    assert "CDK may deploy into aws://000000000000/eu-west-1." in said
    s3 = client(aws, "s3")
    bucket = "cdk-hnb659fds-assets-000000000000-eu-west-1"
    assert "SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    assert aws.make("plan", "TARGET=role", "ENV=dev", check=False).returncode != 0
    aws.make("deploy", "TARGET=role", "ENV=dev")
    said = aws.make("plan", "TARGET=role", "ENV=dev").stdout
    assert "There were no differences" in said
    names = [each["RoleName"] for each in client(aws, "iam").list_roles()["Roles"]]
    assert "click-loader-dev-worker-execution" in names


PRETENDED = """\
#!/bin/sh
test -z "$BROKEN" || exit 1
for word; do
    case "$word" in
    --output=*) mkdir -p "${word#*=}"; touch "${word#*=}/manifest.json";;
    esac
done
echo "$*" >> "$CALLS"
for done in role network queue bucket; do echo "✅  $done (dev-$done)"; done
test "$1 $2" != "$FAILS"
"""


def test_all_targets_are_deployed_at_once_but_for_images_and_what_moves(
    aws: Project, tmp_path: Path
) -> None:
    aws.make("bootstrap", "ENV=dev")
    pretend(aws, PRETENDED)
    move_to_containers(aws)
    has_output(aws, "lambda", "Mapped", ["worker"])
    has_output(aws, "ecr", "Images", {})
    calls = tmp_path / "calls"

    def make(word: str, fails: str = "") -> tuple[str, list[list[str]]]:
        calls.write_text("", encoding="utf-8")
        env = {"CALLS": str(calls), "FAILS": f"{word} {fails}"}
        result = aws.make(word, "ENV=dev", "NEEDS_=", env=env, check=False)
        assert (result.returncode == 0) is not bool(fails), result.stdout
        lines = map(str.split, calls.read_text(encoding="utf-8").splitlines())
        return result.stdout, [line for line in lines if line[0] == word]

    def targets_of(call: list[str]) -> tuple[list[str], str]:
        return call[1 : call.index("--exclusively")], assembly_of(call)[1]

    def assembly_of(call: list[str]) -> tuple[str, str]:
        [found] = re.findall(r"(--app |--output=)(\S+)", " ".join(call))
        return found[0].strip(" ="), Path(found[1]).name

    broken = {"CALLS": str(calls), "BROKEN": "yes"}
    said = aws.make("deploy", "ENV=dev", "NEEDS_=", env=broken, check=False).stdout
    assert "the stacks cannot be synthesised, see above.\n" in said
    assert "stopped" not in said

    said, deployed = make("deploy", fails="role")
    assert "deploy stopped at aurora.\n" in said
    # the queue feeds the Lambda until the container runs
    first = (TARGETS[:-1], "moving")
    assert list(map(targets_of, deployed)) == [first]
    told = {word.split("=")[1] for word in deployed[0] if "--parameters" in word}
    assert told == {f"click-loader-dev-network:{what}" for what in NETWORK}
    said, deployed = make("deploy", fails="ecs")
    assert "deploy stopped at ecs.\n" in said
    assert list(map(targets_of, deployed)) == [first, (["ecs"], "all")]
    # what has failed is synthesised anew
    assert list(map(assembly_of, deployed)) == [
        ("--output", "moving"),
        ("--app", "all"),
    ]
    _, deployed = make("deploy")
    expected = [first, (["ecs"], "all"), (["lambda"], "all")]
    assert list(map(targets_of, deployed)) == expected
    assert [how for how, _ in map(assembly_of, deployed)] == ["--app"] * 3
    _, destroyed = make("destroy")
    readers, rest = map(targets_of, destroyed)
    assert (rest[0], readers[0]) == (TARGETS[:4], TARGETS[4:])


def test_topic_that_is_none_is_named(tmp_path: Path) -> None:
    project = bake(tmp_path, iac="cdk").share_installs()
    topic = {"ALARM_TOPIC": "alarms"}
    result = project.make("plan", "ENV=dev", "NEEDS_=", env=topic, check=False)
    assert result.returncode != 0
    assert "ALARM_TOPIC=alarms is no ARN of an SNS topic, as in" in result.stdout
    assert "Traceback" not in result.stdout


def pretend(project: Project, program: str) -> None:
    """Put a program in place of CDK's command line."""
    installed = project.path / ".venv-infra"
    installed.unlink()
    path = installed / "node_modules" / ".bin" / "cdk"
    path.parent.mkdir(parents=True)
    path.write_text(program)
    path.chmod(0o755)
    (installed / ".installed").touch()


def has_output(project: Project, target: str, name: str, value: object) -> None:
    """Make a stack that has an output, and a parameter besides."""
    properties = {"Type": "String", "Value": "-", "Name": f"/pretended/{target}"}
    template = {
        "Resources": {"any": {"Type": "AWS::SSM::Parameter", "Properties": properties}},
        "Outputs": {name: {"Value": json.dumps(value)}},
    }
    client(project, "cloudformation").create_stack(
        StackName=f"click-loader-dev-{target}", TemplateBody=json.dumps(template)
    )


@pytest.mark.long
def test_fresh_project_passes_the_checks_and_tests_of_its_targets(
    tmp_path: Path, checked_once: CheckedOnce
) -> None:
    project = bake(tmp_path, iac="cdk").share_installs().share_layer()
    project.make("build")
    no_network = OFFLINE if is_offline_possible() else []
    with checked_once(project, anew=True):
        project.run(*no_network, "make", "lint")
    assembly = project.path / ".build" / "cdk" / ".check" / "manifest.json"
    synthesised = assembly.stat().st_mtime_ns
    (project.path / "infra" / "app.py").touch()
    project.make("lint")
    assert assembly.stat().st_mtime_ns == synthesised
    # all at once: each word starts CDK's library anew
    pytest_ = (".venv-infra/bin/pytest", "-o", "pythonpath=infra", "infra")
    words = ("--ignore=infra/starter", "--verbose")
    tested = project.run(*pytest_, *words, env=with_own_node(project)).stdout
    for target in TARGETS:
        assert f"infra/{target}/test_{target}.py" in tested
    assert " passed in " in project.make("test", "TARGET=queue").stdout
    queue = project.path / "infra" / "queue" / "stack.py"
    text = queue.read_text(encoding="utf-8")
    assert text.count("6 * size") == 1
    queue.write_text(text.replace("6 * size", "5 * size"), encoding="utf-8")
    failed = project.make("test", "TARGET=queue", check=False)
    assert failed.returncode != 0
    assert "test_messages_are_hidden_for_six_times_the_timeout" in failed.stdout
    assert "test stopped at queue." in failed.stdout
    bucket = project.path / "infra" / "bucket" / "stack.py"
    text = bucket.read_text(encoding="utf-8")
    plain = text.replace("enforce_ssl=not environment.is_local", "enforce_ssl=False")
    assert plain != text
    bucket.write_text(plain, encoding="utf-8")
    refused = project.make("lint", check=False)
    assert refused.returncode != 0
    assert "AwsSolutions-S10" in refused.stdout
