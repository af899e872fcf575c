"""`make lint` reports what a function does without declaring it."""

import ast
import sys

import pytest
import yaml

from baking import TEMPLATE, Project

sys.path.insert(0, str(TEMPLATE))

from tools import check_declarations, check_variables, yaml_document

FUNCTIONS = ["fanout", "part", "worker"]
HEAD = "def run(event: str, context: CustomContext) -> None:\n    "


def find(body: str, declaration: str = "trigger: queue") -> list[str]:
    """Return the faults of a function `fanout` with a body and a declaration."""
    config = {
        "defaults": {},
        "functions": {"fanout": yaml.safe_load(f"{{{declaration}}}")},
        "environments": {"local": {}, "dev": {}},
    }
    tree = ast.parse(HEAD + body.replace("\n", "\n    "))
    faults = check_declarations.find_faults("fanout", tree, config, FUNCTIONS)
    return [problem for _, problem in faults]


@pytest.mark.parametrize(
    ("body", "declaration", "problem"),
    [
        (
            'context.send("part", bodies)',
            "trigger: queue",
            'context.send("part"): add sends_to: [part] to fanout in config/deploy.yml',
        ),
        (
            'context.send(name="part", bodies=bodies)',
            "sends_to: [worker]",
            'context.send("part"): add sends_to: [worker, part] to fanout in',
        ),
        (
            'context.send("prat", bodies)',
            "sends_to: [part]",
            'context.send("prat"): there is no src/func/prat.py: the closest one is pa',
        ),
        (
            'context.client("dynamodb").put_item()',
            "trigger: queue",
            'context.client("dynamodb"): add its actions to fanout in config/deploy.ym',
        ),
        (
            'context.client("dynmodb")',
            "trigger: queue",
            'context.client("dynmodb"): boto3 has no such client: the closest one is d',
        ),
        (
            'context.client("secretsmanager")',
            "trigger: queue",
            'context.client("secretsmanager"): add its actions to fanout',
        ),
        (
            'context.s3.put_object(Bucket=b, Key=f"enriched/{x}.json", Body=y)',
            "reads: [enriched/]",
            "put_object: add writes: [enriched/] to fanout in config/deploy.yml",
        ),
        (
            'context.s3.put_object(Bucket=b, Key="enriched/" + name, Body=y)',
            "writes: [results/]",
            "put_object: add writes: [results/, enriched/] to fanout in",
        ),
        (
            "s3 = context.s3\ns3.put_object(Bucket=b, Key=key, Body=y)",
            "trigger: queue",
            "put_object: add writes: [prefix/] to fanout in config/deploy.yml",
        ),
        (
            'context.client("s3").get_object(Bucket=b, Key="in/a.csv")',
            "writes: [in/]",
            "get_object: add reads: [in/] to fanout in config/deploy.yml",
        ),
        (
            'context.s3.list_objects_v2(Bucket=b, Prefix="in/")',
            "trigger: queue",
            "list_objects_v2: add reads: [in/] to fanout in config/deploy.yml",
        ),
        (
            'context.s3.get_object(Bucket=b, Key="in/a.csv")',
            "prefix: incoming/",
            "get_object: add reads: [in/] to fanout in config/deploy.yml",
        ),
        (
            "context.s3.delete_object(Bucket=b, Key=key)",
            "writes: [in/]",
            "delete_object: add its action to fanout in config/deploy.yml: allow: ",
        ),
        (
            "context.rds.query(sql)",
            "database: false",
            "context.rds: remove database: false from fanout in config/deploy.yml",
        ),
    ],
)
def test_undeclared_use_is_reported(body: str, declaration: str, problem: str) -> None:
    [found] = find(body, declaration)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("body", "declaration"),
    [
        ('context.send("part", bodies)', "sends_to: [part]"),
        ("context.send(name, bodies)", "trigger: queue"),
        ('context.send(f"part{n}", bodies)', "trigger: queue"),
        ('other.send("part", bodies)', "trigger: queue"),
        (
            'context.client("stepfunctions")',
            'allow: [{actions: ["states:StartExecution"], resources: ["*"]}]',
        ),
        (
            'context.client("sesv2")',
            'allow: [{actions: ["ses:SendEmail"], resources: ["*"]}]',
        ),
        (
            'context.client("bedrock-runtime")',
            'allow: [{actions: ["bedrock:InvokeModel"], resources: ["*"]}]',
        ),
        ('context.client("secretsmanager")', "secrets: {API_KEY: a}"),
        ('context.client("sts").get_caller_identity()', "trigger: queue"),
        ("context.s3.get_object(**each.request)", "trigger: bucket"),
        ('context.s3.get_object(Key="in/a.csv")', "prefix: in/"),
        ('context.s3.head_object(Key="in/2027/a.csv")', "reads: [in/]"),
        ("context.s3.put_object(Key=key)", "writes: [out/]"),
        ('context.s3.put_object(Key=f"{day}/a")', "writes: [out/]"),
        (
            "context.s3.put_object(Bucket=other, Key=key)",
            'allow: [{actions: ["s3:PutObject"], resources: ["arn:aws:s3:::x/*"]}]',
        ),
        ("context.rds.query(sql)", "trigger: queue"),
        ("rds.query(sql)", "database: false"),
    ],
)
def test_declared_use_is_accepted(body: str, declaration: str) -> None:
    assert find(body, declaration) == []


SETTINGS = """
SETTINGS = [
    Setting("api_url", url, required=True),
    Setting(name="key", parse=settings.Secret, env="API_KEY"),
]
"""


def find_names(text: str) -> list[str]:
    """Return the faults of a configuration for `fanout`, which has settings."""
    text = f"{text}\nenvironments: {{local: }}\n"
    document = yaml_document.parse(text.encode(), "config/deploy.yml")
    trees = {"fanout": ast.parse(SETTINGS), "part": ast.parse("")}
    faults = check_variables.find_faults(document, trees)
    return [f"{line}: {problem}" for line, problem in faults]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            "fanout: {environment: {API_ULR: a}}",
            "2: functions.fanout.environment.API_ULR: no setting of fanout has this "
            "variable: the closest one is API_URL",
        ),
        (
            "fanout: {environment: {LOG_LEVLE: INFO}}",
            "has this variable: the closest one is LOG_LEVEL",
        ),
        (
            "fanout: {secrets: {API_KYE: a}}",
            "no secret setting of fanout has this variable: the closest one is API_KEY",
        ),
        (
            "fanout: {secrets: {API_URL: a}}",
            "API_URL: its setting is not secret: give it the type Secret",
        ),
        (
            "fanout: {environment: {API_KEY: s3cret}}",
            "API_KEY: its setting is secret: write the name of a secret below secrets",
        ),
        (
            "part: {secrets: {TOKEN: a}}",
            'this variable: declare one, such as Setting("token", Secret)',
        ),
    ],
)
def test_name_of_no_setting_is_reported(entry: str, problem: str) -> None:
    [found] = find_names(f"functions:\n  {entry}")
    assert found.endswith(problem) or problem in found


@pytest.mark.parametrize(
    "entry",
    [
        "functions: {fanout: {environment: {API_URL: a}, secrets: {API_KEY: b}}}",
        "functions: {fanout: {environment: {API_KEY_FILE: /mnt/key}}}",
        "functions: {fanout: {environment: {OTEL_SERVICE_NAME: a, HTTPS_PROXY: b}}}",
        "functions: {part: {environment: {LOG_LEVEL: DEBUG, FILE_FORMAT: jsonl}}}",
        "defaults: {environment: {API_URL: a}, secrets: {API_KEY: b}}",
    ],
)
def test_name_of_setting_or_library_is_accepted(entry: str) -> None:
    assert find_names(entry) == []


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("secrets: {TOKEN: a}", ":26:1: functions.worker.secrets.TOKEN: no secret set"),
        (
            f"environment: {{GREETING: {'x' * 3600}}}",
            ": the variables of worker in local have 3659 bytes of 3596 that Lambda",
        ),
    ],
)
def test_lint_checks_variables(baked: Project, entry: str, problem: str) -> None:
    file = baked.path / "config" / "deploy.yml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("worker: {}", f"worker: {{{entry}}}"), "utf-8")
    result = baked.make("lint-code", check=False)
    assert result.returncode != 0
    assert f"config/deploy.yml{problem}" in result.stdout
    assert "Traceback" not in result.stdout


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"def run(:\n", ":1: not valid Python: invalid syntax"),
        (b"\xff", ": not valid"),
    ],
)
def test_lint_names_invalid_function(baked: Project, text: bytes, problem: str) -> None:
    (baked.path / "src" / "func" / "worker.py").write_bytes(text)
    result = baked.make("lint-code", check=False)
    assert result.returncode != 0
    assert result.stdout.startswith("src/func/worker.py")
    assert problem in result.stdout
    assert "Traceback" not in result.stdout


def test_lint_names_line_and_remedy(baked: Project) -> None:
    worker = baked.path / "src" / "func" / "worker.py"
    text = worker.read_text(encoding="utf-8")
    call = '    context.send("worker", [])\n    objects = events'
    worker.write_text(text.replace("    objects = events", call), encoding="utf-8")
    line = text[: text.index("    objects = events")].count("\n") + 1
    result = baked.make("lint-code", check=False)
    assert result.returncode != 0
    assert result.stdout.startswith(
        f'src/func/worker.py:{line}:5: context.send("worker"): add sends_to: [worker] '
        "to worker in config/deploy.yml\n"
    )
