"""Releases of a Lambda: published versions, and the alias that its queue feeds.

A deployment and `make sync` change what AWS calls `$LATEST`. A release publishes it as
a version, which nothing changes any more, and points the alias `live` at it. The alias'
description says which versions were rolled back, so whoever deploys next knows it, and
which ones were left out, so that no rollback runs them.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
"""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from threading import Thread
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from tools import canary, lambda_code, services
from tools.deploy_config import Config
from tools.environment import Environment, client, enter
from tools.errors import UserError
from tools.grants import LIVE
from tools.project import BUILD, require_function

KEPT = 10  # versions
KEPT_IN_SHIM = 3  # the emulator has a process for each version that has run
LATEST = "$LATEST"
ROLLED_BACK, UNUSED = "rolled back", "not in use"  # in the alias' description
# What makes two versions the same: all that the stacks can set.
DEFINING = (
    *("Architectures", "CodeSha256", "DeadLetterConfig", "Environment"),
    *("EphemeralStorage", "FileSystemConfigs", "Handler", "KMSKeyArn", "Layers"),
    *("LoggingConfig", "MemorySize", "Role", "Runtime", "Timeout", "TracingConfig"),
)


class Versions(NamedTuple):
    """The versions of a Lambda.

    Attributes:
        live: the version that the alias points to; 0 before the first release.
        shifting_to: the version that a canary is shifting to, or 0.
        undone: the version that the last canary went back from, or 0. The deploy that
            waited for it may be gone, and then `rolled_back` lacks it.
        description: of the alias, which has the next two.
        rolled_back: versions that were rolled back.
        unused: versions that did not run, or that a rollback has left out.
        revision: the alias' own, which each change of it replaces.
        latest: configuration of `$LATEST`.
        published: configuration of each version.
    """

    live: int
    shifting_to: int
    undone: int
    description: str
    rolled_back: frozenset[int]
    unused: frozenset[int]
    revision: str
    latest: Config
    published: dict[int, Config]

    def find_same(self) -> set[int]:
        """Return the versions that have the code and configuration of `$LATEST`."""
        latest = define(self.latest)
        return {
            number for number, each in self.published.items() if define(each) == latest
        }

    def find_earlier(self) -> int:
        """Return the version that ran before the live one, or 0.

        Those that were rolled back do not count.
        """
        earlier = {each for each in self.published if each < self.live}
        return max(earlier - self.rolled_back - self.unused, default=0)

    def find_unused(self, number: int) -> frozenset[int]:
        """Return the versions that are not in use once a new one is released.

        Such as one whose deploy was killed before it was live.
        """
        between = {each for each in self.published if self.live < each < number}
        return (self.unused | between) - self.rolled_back - {self.undone}

    def find_undone(self) -> int:
        """Return the newest version that was rolled back, if an older one runs; else 0.

        Nothing was released since, because each release is newer than all others.
        """
        newest = max({self.undone, *self.rolled_back})
        return newest if newest > self.live else 0


def read(environment: Environment, name: str) -> Versions:
    """Return the versions of a function's Lambda.

    Raises:
        UserError: there is no such Lambda, or it has no alias yet.
    """
    lambdas, full_name = client("lambda"), environment.resource_name(name)
    pages = lambdas.get_paginator("list_versions_by_function")
    try:
        alias = lambdas.get_alias(FunctionName=full_name, Name=LIVE)
        found = {
            each["Version"]: each
            for page in pages.paginate(FunctionName=full_name)
            for each in page["Versions"]
        }
    except lambdas.exceptions.ResourceNotFoundException:
        missing = f"alias {LIVE} of the Lambda {full_name}"
        raise environment.explain_missing(missing) from None
    routing = alias.get("RoutingConfig") or {}
    weights = routing.get("AdditionalVersionWeights") or {}
    latest, description = found.pop(LATEST), alias.get("Description", "")
    live = as_number(alias["FunctionVersion"])
    has_canaries = environment.is_on_aws and environment.functions[name].get("release")
    return Versions(
        live=live,
        shifting_to=max(map(as_number, weights), default=0),
        undone=canary.find_undone(environment, name, live) if has_canaries else 0,
        description=description,
        rolled_back=parse(description, ROLLED_BACK),
        unused=parse(description, UNUSED),
        revision=alias["RevisionId"],
        latest=latest,
        published={int(number): each for number, each in found.items()},
    )


def define(version: Config) -> Config:
    """Return what makes two versions the same."""
    network = version.get("VpcConfig") or {}
    # AWS lists subnets and groups in any order
    groups = {
        key: sorted(each) if isinstance(each, list) else each
        for key, each in network.items()
    }
    return {name: version.get(name) for name in DEFINING} | groups


def as_number(version: str) -> int:
    """Return the number of a version; 0 for `$LATEST`."""
    return 0 if version == LATEST else int(version)


def release(environment: Environment, name: str, function: Config) -> str:
    """Let a function's alias point to what was deployed; return what runs, for a user.

    What was rolled back is not released again. With `release` in the function's
    settings, a canary shifts to the new version, see `canary.shift`. One that is under
    way for the same version is awaited.

    Args:
        environment: where the Lambda is deployed.
        name: of the function.
        function: its settings, see `function_specs.resolve`.

    Raises:
        UserError: there is no alias, another canary is under way, or this one was
            rolled back.
    """
    full_name = environment.resource_name(name)
    lambda_code.wait(full_name)
    found = read(environment, name)
    has_canary = function.get("release") and environment.is_on_aws and found.live
    same = found.find_same()
    if found.shifting_to and not (has_canary and found.shifting_to in same):
        raise UserError(
            f"a canary shifts {name} to version {found.shifting_to}: wait for its end, "
            f"or stop it with {name_command(environment, name)}"
        )
    refused = found.rolled_back
    if not has_canary:  # `canary.shift` finds it, and knows the reason
        refused |= {found.undone}
    if same.isdisjoint({found.live, *refused}):
        same.add(publish(full_name, found.latest["CodeSha256"]))
    if found.live in same:
        return f"{name} runs version {found.live} already"
    if held := same & refused:
        has = "has this code and configuration"
        return explain_held(environment, name, found, max(held), has)
    number = max(same)
    rolled_back = found.rolled_back | {found.undone} - {0, number}
    description = describe(rolled_back, found.find_unused(number))
    if has_canary:
        if description != found.description:
            update_alias(full_name, Description=description, RevisionId=found.revision)
        try:
            canary.shift(environment, name, function, str(found.live), str(number))
        except canary.RolledBackError:
            now = read(environment, name)
            if now.live != number:  # else a person has chosen it meanwhile
                marked = describe(now.rolled_back | {number}, now.unused)
                update_alias(full_name, Description=marked)
            raise
    else:
        point(full_name, number, description, RevisionId=found.revision)
    kept = KEPT if environment.is_on_aws else KEPT_IN_SHIM
    newest = sorted({*found.published, number}, reverse=True)
    delete(full_name, set(newest[kept:]) - {found.live, number})
    return f"{name} runs the new version {number}"


def release_all(environment: Environment, names: Iterable[str]) -> None:
    """Release functions, canaries at the same time, and print what each runs.

    Raises:
        UserError: some could not be released, or their canaries were rolled back.
    """
    errors: list[Exception] = []

    def work(name: str) -> None:
        function = environment.functions[name]
        try:
            running = release(environment, name, function)
            if function["runtime"] == "lambda":  # else a container runs instead
                print(running, flush=True)
        except Exception as error:
            errors.append(error)

    has_canary = {each for each in names if environment.functions[each].get("release")}
    for name in sorted(set(names) - has_canary):
        work(name)
    if has_canary and environment.is_on_aws:
        for service in ("codedeploy", "cloudwatch"):
            client(service)  # boto3 must not create clients in several threads
    # daemons, so that Ctrl-C does not wait for canaries, which go on in AWS
    threads = [
        Thread(target=work, args=(name,), daemon=True) for name in sorted(has_canary)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        if not isinstance(error, UserError):
            raise error
    if errors:
        raise UserError("; ".join(map(str, errors)))


def read_lambdas(
    environment: Environment, names: Iterable[str]
) -> Iterator[tuple[str, Versions, str]]:
    """Yield functions that run as Lambdas: name, versions, and hash of the built code.

    Those that are not deployed yet are left out.
    """
    for name in filter(partial(runs_as_lambda, environment), names):
        try:
            found = read(environment, name)
        except UserError:
            continue
        code = (BUILD / "lambda" / f"{name}.zip").read_bytes()
        yield name, found, lambda_code.hash_zip(code)


def find_held(environment: Environment, names: Iterable[str]) -> list[str]:
    """Return a sentence for each function whose built code a deploy will not release.

    That is code that was rolled back. Only the deploy itself knows the configuration.
    """
    sentences = []
    for name, found, built in read_lambdas(environment, names):
        held = {
            number
            for number in (found.rolled_back | {found.undone}) & found.published.keys()
            if found.published[number]["CodeSha256"] == built
        }
        if held and found.published.get(found.live, {}).get("CodeSha256") != built:
            why = explain_held(environment, name, found, max(held), "has this code")
            sentences.append(f"unless its configuration changes, {why}")
    return sentences


def find_unreleased(environment: Environment, names: Iterable[str]) -> list[str]:
    """Return a sentence for each function whose `$LATEST` a deploy would release.

    That is one whose deploy was killed before the end. The IaC tool finds no change.
    If other code was built meanwhile, it does, and a deploy releases that.
    """
    sentences = []
    for name, found, built in read_lambdas(environment, names):
        if found.shifting_to:
            sentences.append(
                f"a canary shifts {name} to version {found.shifting_to}, and a deploy "
                "of the same code waits for its end"
            )
        elif found.latest["CodeSha256"] == built and found.find_same().isdisjoint(
            {found.live, found.undone, *found.rolled_back}
        ):
            sentences.append(
                f"{name} still runs version {found.live or LATEST}, and a deploy "
                "releases what was deployed after it"
            )
    return sentences


def rollback(func: str, env: str, version: str) -> int:
    """Run an earlier version of a function again, and print what runs; return 0.

    Args:
        func: the function.
        env: an environment of `config/deploy.yml`.
        version: number of a version of the Lambda, or revision of the container's task
            definition; empty for the one before.

    Raises:
        UserError: there is no such function, environment or version.
    """
    require_function(func)
    if version and not (version.isascii() and version.isdecimal()):
        raise UserError(f"VERSION={version} is not the number of a version, such as 7")
    environment = enter(env)
    if runs_as_lambda(environment, func):
        print(roll_back_lambda(environment, func, version))
    else:
        print(services.roll_back(environment, func, version))
    return 0


def runs_as_lambda(environment: Environment, name: str) -> bool:
    """Return whether a function runs as a Lambda.

    The shim runs no containers, and has a Lambda for every function.
    """
    is_lambda = environment.functions[name]["runtime"] == "lambda"
    return is_lambda or not environment.is_on_aws


def roll_back_lambda(environment: Environment, name: str, version: str) -> str:
    """Let a function's alias point to an earlier version; return what runs, for a user.

    A canary that is under way is stopped. Versions that were rolled back before count
    as earlier ones only if they are named.

    Without a version, this undoes the last release. Doing that again changes nothing,
    so a rollback that was killed, or that two people begin, goes back only once.

    Args:
        environment: where the Lambda is deployed.
        name: of the function.
        version: its number; empty for the one before.

    Raises:
        UserError: there is no such version.
    """
    found = before = read(environment, name)
    # a canary that has just started has not changed the alias yet
    may_shift = before.shifting_to or environment.functions[name].get("release")
    was_stopped = environment.is_on_aws and may_shift and canary.stop(environment, name)
    if was_stopped:
        found = read(environment, name)
    was_shifting = (was_stopped or before.shifting_to) and found.live == before.live
    is_undone = was_shifting or found.find_undone()
    target = int(version or (found.live if is_undone else found.find_earlier()))
    if not target:
        raise UserError(
            f"there is no earlier version of {name}: check out the commit to go back "
            f"to, and run 'make deploy ENV={environment.name}'"
        )
    if target not in found.published:
        known = ", ".join(map(str, sorted(found.published))) or "none"
        raise UserError(
            f"there is no version {target} of {name}: choose one of {known}"
        )
    left = {before.live, before.shifting_to, found.live, found.undone}
    rolled_back = found.rolled_back | {each for each in left if each > target}
    description = describe(rolled_back - {target}, found.unused - {target})
    is_same = target == found.live and description == found.description
    if is_same and not was_shifting:
        why = "" if version else explain_undone(environment, name, found)
        return f"{name} runs version {target} already{why}"
    point(environment.resource_name(name), target, description)
    ran = [str(each) for each in (before.live, before.shifting_to) if each]
    done = f"ran version {' and '.join(ran) or LATEST}, and runs version {target} now"
    if ran == [str(target)]:
        done = f"goes on with version {target}, and without the canary"
    return f"{name} {done}. Deployments keep it until the code or configuration changes"


def explain_undone(environment: Environment, name: str, found: Versions) -> str:
    """Return why a rollback changes nothing, and how to go back further."""
    why = f", since version {found.find_undone()} was rolled back"
    if earlier := found.find_earlier():
        command = name_command(environment, name, earlier)
        why += f": to go back further, run {command}"
    return why


def name_command(environment: Environment, name: str, version: int = 0) -> str:
    """Return the command that rolls a function back, in quotes."""
    more = f" VERSION={version}" if version else ""
    return f"'make rollback FUNC={name} ENV={environment.name}{more}'"


def explain_held(
    environment: Environment, name: str, found: Versions, held: int, has: str
) -> str:
    """Return the sentence for a function whose release would undo a rollback."""
    return (
        f"{name} keeps version {found.live}, because version {held}, which was rolled "
        f"back, {has}: change the code, or run it anyway with "
        f"{name_command(environment, name, held)}"
    )


def describe(rolled_back: Iterable[int], unused: Iterable[int]) -> str:
    """Return the alias' description: the newest of each kind of versions."""
    kinds = {ROLLED_BACK: rolled_back, UNUSED: unused}
    return "; ".join(
        f"{kind}: {', '.join(map(str, sorted(numbers)[-KEPT:]))}"
        for kind, numbers in kinds.items()
        if numbers
    )


def parse(description: str, kind: str) -> frozenset[int]:
    """Return the versions of one kind in the alias' description."""
    [numbers] = re.findall(rf"{kind}: ([\d, ]+)", description)[:1] or [""]
    return frozenset(map(int, re.findall(r"\d+", numbers)))


def publish(full_name: str, code_hash: str) -> int:
    """Publish `$LATEST`, and wait until it can run; return the version's number.

    AWS returns the newest version if that is the same.
    """
    lambdas = client("lambda")
    version = lambdas.publish_version(FunctionName=full_name, CodeSha256=code_hash)
    number = version["Version"]
    waiter = lambdas.get_waiter("published_version_active")
    config = {"Delay": 1, "MaxAttempts": 300}
    waiter.wait(FunctionName=full_name, Qualifier=number, WaiterConfig=config)
    return int(number)


def point(full_name: str, number: int, description: str, **more: str) -> None:
    """Let the alias point to a version, with all batches, and say which others do not.

    That is one call of AWS, so it is done or not, whenever this is killed.
    """
    update_alias(
        full_name,
        FunctionVersion=str(number),
        RoutingConfig={"AdditionalVersionWeights": {}},
        Description=description,
        **more,
    )


def update_alias(full_name: str, **changes: Any) -> None:
    """Change the alias."""
    client("lambda").update_alias(FunctionName=full_name, Name=LIVE, **changes)


def delete(full_name: str, numbers: Iterable[int]) -> None:
    """Delete versions, except those that another alias points to.

    A deployment that may not do that is complete, so it only gets a sentence.
    """
    lambdas = client("lambda")
    for number in sorted(numbers):
        try:
            lambdas.delete_function(FunctionName=full_name, Qualifier=str(number))
        except lambdas.exceptions.ResourceConflictException:
            continue
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDeniedException":
                raise
            print(f"old versions of {full_name} stay: {error}", flush=True)
            return
