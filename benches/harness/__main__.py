"""Runs parts of the benchmark and keeps what they find; see scripts/bench."""

import argparse
import datetime
import json
import pathlib
import platform
import subprocess
import sys
import time

from . import parts, report, rivals, system
from .world import World

PARTS = {
    "honest": parts.honest,
    "relay": parts.relay,
    "translate": parts.translate,
    "counting": parts.counting,
    "streams": parts.streams,
    "held": parts.held,
    "plan": parts.plan,
    "latency": parts.latency,
    "startup": parts.startup,
    "others": parts.others,
}


def main():
    arguments = argparse.ArgumentParser(prog="scripts/bench")
    arguments.add_argument("--results", type=pathlib.Path, required=True)
    arguments.add_argument("--directory", type=pathlib.Path, required=True)
    arguments.add_argument("--document", type=pathlib.Path, required=True)
    arguments.add_argument("--quick", action="store_true")
    for program in ("dragoman", "module", "uncounted", "idle", "envoy", "upstream", "load"):
        arguments.add_argument(f"--{program}", type=lambda path: pathlib.Path(path).resolve(), required=True)
    arguments.add_argument("parts", nargs="*", choices=[*PARTS])
    given = arguments.parse_args()
    programs = {name: value for name, value in vars(given).items() if isinstance(value, pathlib.Path)}
    given.results.parent.mkdir(parents=True, exist_ok=True)
    for name in given.parts or PARTS:
        print(f"{name}:", flush=True)
        began = time.monotonic()
        with World(programs, given.directory, given.quick) as world:
            found = PARTS[name](world)
        results = json.loads(given.results.read_text()) if given.results.exists() else {}
        results[name] = {
            "found": found,
            "when": datetime.date.today().isoformat(),
            "seconds": round(time.monotonic() - began),
            "machine": system.machine(),
            "commit": system.output("git", "describe", "--always", "--dirty"),
            "quick": given.quick,
        }
        given.results.write_text(json.dumps(results, indent=1))
    results = json.loads(given.results.read_text())
    (given.document / "performance.md").write_text(report.document(results, versions(programs)))
    (given.document / "performance.svg").write_text(report.plot(results))


def versions(programs):
    return {
        "Envoy": system.output(programs["envoy"], "--version").split("version:")[1].strip(),
        "Rust": system.output("rustc", "--version"),
        "wrk": subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.split("[")[0].strip(),
        **{rival.title: rival.package for rival in rivals.RIVALS},
        "Python, Node": f"{platform.python_version()}, {system.output('node', '--version')}",
    }


sys.exit(main())
