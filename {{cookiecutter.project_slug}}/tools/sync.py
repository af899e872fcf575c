"""Update the code of deployed functions directly, without the IaC tool."""

import io
import sys
import threading
import zipfile
from collections.abc import Mapping, Sequence

from tools import (
    build,
    debugging,
    deploy_config,
    function_specs,
    images,
    lambda_code,
    logs,
    releases,
    source_package,
)
from tools.deploy_config import Config
from tools.environment import Environment, client, enter
from tools.errors import UserError
from tools.project import ROOT, functions, require_function

WATCHED = ("src", "config")
SUFFIXES = (".py", ".yml")
LAMBDA_SECONDS = 900  # the longest timeout of a Lambda
# What `register_task_definition` accepts of what `describe_task_definition` returns.
TASK_FIELDS = (
    *("family", "taskRoleArn", "executionRoleArn", "networkMode", "cpu", "memory"),
    *("containerDefinitions", "volumes", "placementConstraints", "runtimePlatform"),
    *("requiresCompatibilities", "ephemeralStorage", "pidMode", "ipcMode"),
)


def sync(func: str, env: str, watch: bool, debug: int) -> int:
    """Update the code of functions, as Lambdas and as containers; return 0.

    Only code and settings files change. What `config/deploy.yml` says, and the packages
    of the layer, need a deployment.

    Args:
        func: one function, or empty for all.
        env: an environment of `config/deploy.yml`.
        watch: whether to go on at each save, and to print the logs, until Ctrl-C.
        debug: port for the debugger of the Lambda in the shim, or 0.

    Raises:
        UserError: the environment is protected, or the function is not deployed.
    """
    if func:
        require_function(func)
    if deploy_config.is_protected(env):
        raise UserError(
            f"ENV={env} is protected: change it with 'make deploy ENV={env}' only"
        )
    if debug and (env != "local" or not func or watch):
        raise UserError("DEBUG needs one function in the shim: add FUNC= and ENV=local")
    environment = enter(env)
    spec = function_specs.resolve(env)
    names = [func] if func else functions()
    for name in names:
        update(environment, name, spec["functions"][name], debug)
    if watch:
        follow(environment, names, spec["functions"])
    return 0


def update(environment: Environment, name: str, function: Config, debug: int) -> None:
    """Update a function's Lambda, and the container that runs instead of it, if any.

    Raises:
        UserError: the code has a syntax error, or the function is not deployed.
    """
    check_syntax(name)
    if debug:
        code = make_debug_zip(name, debug)
    else:
        code = build.build_lambda(name).path.read_bytes()
    full_name = environment.resource_name(name)
    if not lambda_code.read_hash(full_name):
        raise environment.explain_missing(f"Lambda {full_name}")
    lambda_code.update(full_name, code)
    if not environment.is_on_aws:
        set_times(environment, name, function, debug)
    # without a canary, which would take minutes
    running = releases.release(environment, name, {**function, "release": None})
    if environment.is_on_aws and function["runtime"] == "container":
        is_new = update_service(environment, name)
        running = f"{name} runs {'the new code' if is_new else 'this code already'}"
    print(running, flush=True)
    if debug:
        print(f"It waits for your editor to attach to port {debug}, at each message.")


def check_syntax(name: str) -> None:
    """Compile the modules of a function, to deploy no syntax error.

    Raises:
        UserError: one has a syntax error.
    """
    sources = source_package.SOURCES
    shared = (
        path for each in ("lib", "common") for path in (sources / each).rglob("*.py")
    )
    for path in (sources / "func" / f"{name}.py", *shared):
        try:
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        except SyntaxError as error:
            place = f"{path.relative_to(ROOT)}, line {error.lineno}"
            raise UserError(f"{place}: {error.msg}") from None


def make_debug_zip(name: str, port: int) -> bytes:
    """Return a zip whose handler runs `src/` of this machine in a debugger."""
    text = debugging.LAMBDA.format(
        paths=source_package.write(name),
        packages=[path for path in sys.path if path.endswith("site-packages")],
        const_path=str(build.require_settings(name)),
        wrapper=str(source_package.SOURCES / "common" / "lambda_wrapper.py"),
        port=port,
    )
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as archive:
        archive.writestr(zipfile.ZipInfo("lambda_wrapper.py"), text)
    return result.getvalue()


def set_times(
    environment: Environment, name: str, function: Config, is_debugged: int
) -> None:
    """Let a message stay at a breakpoint in the shim, or set what is declared."""
    lambdas, full_name = client("lambda"), environment.resource_name(name)
    current = lambdas.get_function_configuration(FunctionName=full_name)["Timeout"]
    timeout = LAMBDA_SECONDS if is_debugged else function["timeout"]
    if current == timeout:
        return
    lambdas.update_function_configuration(FunctionName=full_name, Timeout=timeout)
    lambda_code.wait(full_name)
    declared = 6 * function["timeout"] + function["batch_window"]
    visibility = debugging.VISIBILITY_SECONDS if is_debugged else declared
    client("sqs").set_queue_attributes(
        QueueUrl=environment.find_queue_url(name, "pending"),
        Attributes={"VisibilityTimeout": str(visibility)},
    )


def update_service(environment: Environment, name: str) -> bool:
    """Push a function's image, and run it in its service; return whether it is new.

    Raises:
        UserError: there is no such service, or the image cannot be built.
    """
    ecs, cluster = client("ecs"), environment.resource_name()
    services = ecs.describe_services(cluster=cluster, services=[name])["services"]
    if not services:
        raise environment.explain_missing(f"service {name} in the cluster {cluster}")
    found = ecs.describe_task_definition(
        taskDefinition=services[0]["taskDefinition"], include=["TAGS"]
    )
    task = found["taskDefinition"]
    [container] = task["containerDefinitions"]
    build.build_local(name)
    repository = container["image"].rpartition(":")[0]
    image = f"{repository}:{build.read_tag(name, build.read_architecture())}"
    if container["image"] == image:
        return False
    images.push(name, image)
    container["image"] = image
    fields = {field: task[field] for field in TASK_FIELDS if field in task}
    if tags := found.get("tags"):
        fields["tags"] = tags
    revision = ecs.register_task_definition(**fields)["taskDefinition"]
    ecs.update_service(
        cluster=cluster, service=name, taskDefinition=revision["taskDefinitionArn"]
    )
    return True


def follow(
    environment: Environment, names: Sequence[str], specs: Mapping[str, Config]
) -> None:
    """Update functions at each save, and print their logs, until Ctrl-C."""
    from watchfiles import watch  # for development only

    for name in names:
        arguments = (name, environment.name, 1, True)
        threading.Thread(target=logs.show, args=arguments, daemon=True).start()
    paths = [ROOT / each for each in WATCHED]
    for _ in watch(
        *paths,
        watch_filter=lambda _, path: path.endswith(SUFFIXES),
        debounce=200,
        step=20,
    ):
        for name in names:
            try:
                update(environment, name, specs[name], 0)
            except UserError as error:
                print(f"not synced: {error}", file=sys.stderr, flush=True)
