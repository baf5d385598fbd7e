"""Searches and times one of our kernel files under Helion, in a process of its own:
helion_peer.py KERNEL.py:NAME DEVICE OUT.json NAME=SPEC...; CONFIG in the environment skips the search."""
import json
import os
import sys
import time
from importlib.metadata import version

from peers import median_ms, module_at
from tensors import value_of


def main():
    target, device, out, *words = sys.argv[1:]
    path, name = target.rsplit(":", 1)
    import helion

    kernel = getattr(module_at(path, "kernels_of_ours"), name)
    values = [value_of(*word.split("=", 1), device) for word in words]
    bound = kernel.bind(tuple(values))
    begin = time.perf_counter()
    if os.environ.get("CONFIG"):
        bound.set_config(helion.Config(**json.loads(os.environ["CONFIG"])))
    kernel(*values)
    seconds = time.perf_counter() - begin
    config = getattr(bound, "_config", None)
    result = {"ms": median_ms(lambda: kernel(*values), True), "search_seconds": seconds, "version": version("helion"),
              "config": dict(config.config) if config is not None else None}
    with open(out, "w") as file:
        json.dump(result, file)


if __name__ == "__main__":  # its workers import this module
    main()
