"""Templates that are parsed in C: in Python it takes half a second, several times in a deployment."""

import yaml
from ministack.services.cloudformation import engine


def install() -> None:
    """Replaces the loader of templates by one with the same constructors."""

    class Loader(yaml.CSafeLoader):
        yaml_constructors = engine.CfnLoader.yaml_constructors

    engine.CfnLoader = Loader
