#!/usr/bin/env python3
"""Prints what GitLab makes of a CI/CD component: its jobs, with the inputs of `spec` put in.

    scripts/ci/render-component.py templates/syncline/template.yml environment=prod

An input without a default must be given. An input nobody uses, or one that is used and not there, is an error, and so
is a YAML file that cannot be read. Needs `ruamel.yaml`, which check-jsonschema brings.
"""

import json
import re
import sys

from ruamel.yaml import YAML

USE = re.compile(r"\$\[\[\s*inputs\.([a-z0-9-]+)\s*\]\]")


def main(path, *given):
    with open(path, encoding="utf-8") as file:
        head, _, jobs = file.read().partition("\n---\n")
    inputs = YAML(typ="safe").load(head)["spec"]["inputs"]
    values = {name: (spec or {}).get("default") for name, spec in inputs.items()}
    values.update(pair.split("=", 1) for pair in given)
    used = set(USE.findall(jobs))
    faults = [f"`{name}` is used and is no input" for name in sorted(used - inputs.keys())]
    faults += [f"`{name}` is an input nobody uses" for name in sorted(inputs.keys() - used)]
    faults += [f"`{name}` has no default and was not given" for name in sorted(values) if values[name] is None]
    faults += [f"`{name}` is not described" for name, spec in inputs.items() if not (spec or {}).get("description")]
    if faults:
        sys.exit("\n".join(f"{path}: {fault}" for fault in faults))
    text = USE.sub(lambda use: value_text(values[use.group(1)]), jobs)
    YAML(typ="safe").load(text)
    print(text, end="")


def value_text(value):
    return value if isinstance(value, str) else json.dumps(value)


if __name__ == "__main__":
    main(*sys.argv[1:])
