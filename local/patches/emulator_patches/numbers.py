"""Numbers that come from parameters of the template.

CloudFormation passes every parameter as text and converts it to the type of the property that
refers to it. The emulator keeps the text, and fails later where it compares it with a number.
"""

import functools

from ministack.services.cloudformation import provisioners

# Position of the properties in the arguments of a handler's operations.
_PROPERTIES = {"create": 1, "update": 2}
# Properties that are numbers, by type of resource.
_NUMBERS = {
    "AWS::Lambda::EventSourceMapping": ("ParallelizationFactor", "MaximumConcurrency"),
    "AWS::Lambda::Function": ("ReservedConcurrentExecutions",),
    "AWS::Logs::LogGroup": ("RetentionInDays",),
}


def install() -> None:
    """Converts the numbers before a resource is created or updated."""
    for kind, names in _NUMBERS.items():
        handlers = provisioners._RESOURCE_HANDLERS[kind]
        for operation, position in _PROPERTIES.items():
            if operation in handlers:
                handlers[operation] = _converting(handlers[operation], position, names)


def _converting(provision, position: int, names: tuple[str, ...]):
    @functools.wraps(provision)
    def provision_converted(*arguments, **named):
        arguments = list(arguments)
        arguments[position] = _convert(arguments[position], names)
        return provision(*arguments, **named)

    return provision_converted


def _convert(value, names: tuple[str, ...], name: str = ""):
    if isinstance(value, dict):
        return {key: _convert(inner, names, key) for key, inner in value.items()}
    return int(value) if name in names and isinstance(value, str) and value.isdecimal() else value
