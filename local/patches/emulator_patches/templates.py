"""Templates parsed in C. In Python, a deployment takes seconds longer."""

import yaml
from ministack.services.cloudformation import engine


def install() -> None:
    """Replaces the loader of templates by one with the same constructors."""

    class Loader(yaml.CSafeLoader):
        yaml_constructors = engine.CfnLoader.yaml_constructors

    engine.CfnLoader = Loader
