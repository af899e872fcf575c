"""Checks calls of AWS's services against the models that botocore has of them."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from botocore import xform_name
from botocore.exceptions import ParamValidationError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator


def operation(method: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Make a method of a double check its arguments and its response.

    The method has the name of an operation in boto3, and its class the attribute
    `service`.

    Raises:
        ParamValidationError: an argument is unknown or missing, or has another type, as
            in boto3 (an error of botocore).
        AssertionError: AWS would not respond so. Correct the double.
    """
    name = method.__name__

    @wraps(method)
    def call(self: Any, *args: Any, **arguments: Any) -> dict[str, Any]:
        if args:
            raise TypeError(f"{name}() only accepts keyword arguments.")
        received, returned = find_shapes(self.service, name)
        if problems := find_problems(arguments, received):
            raise ParamValidationError(report=problems)
        response = method(self, **arguments)
        # AWS leaves out empty lists that its models require
        problems = "\n".join(
            each
            for each in find_problems(response, returned).splitlines()
            if not each.startswith("Missing required")
        )
        assert not problems, (
            f"the double of {name} responds as AWS does not: {problems}"
        )
        return response

    return call


def find_problems(values: dict[str, Any], shape: Any) -> str:
    """Return how values differ from a shape of a model; empty if they do not."""
    if shape is None:
        return "" if not values else f"nothing instead of {sorted(values)}"
    return str(ParamValidator().validate(values, shape).generate_report())


@cache
def find_shapes(service: str, name: str) -> tuple[Any, Any]:
    """Return the shapes of an operation's input and output, or None for none."""
    model = load_model(service)
    [found] = [each for each in model.operation_names if xform_name(each) == name]
    described = model.operation_model(found)
    return described.input_shape, described.output_shape


@cache
def load_model(service: str) -> ServiceModel:
    """Read the model of a service."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)
