"""Checks Kubernetes manifests against the API's own schemas, and says them as JSON.

Standard input is what kustomize has rendered, the arguments are versions of Kubernetes. Prints the
documents as one JSON list; complaints go to standard error, with exit code 1.
"""

import functools
import json
import sys

import kubernetes_validate
import yaml
from kubernetes_validate import utils

# The schemas of a version are some megabytes, and are wanted for every document.
utils.schema_contents = functools.lru_cache(utils.schema_contents)


def main(versions: list[str]) -> int:
    documents = [each for each in yaml.safe_load_all(sys.stdin) if each is not None]
    complaints = 0
    for document in documents:
        for version in versions:
            try:
                checked = kubernetes_validate.validate(document, version, strict=True)
            except (utils.ValidationError, utils.SchemaNotFoundError) as error:
                path = ".".join(map(str, getattr(error, "path", [])))
                print(f"{utils.kn(document)}, {version}: {path} {error.message}", file=sys.stderr)
                complaints += 1
                continue
            if checked != version:
                print(f"there are no schemas of {version}, only of {checked}", file=sys.stderr)
                complaints += 1
    json.dump(documents, sys.stdout)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
