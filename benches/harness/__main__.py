"""Runs parts of the benchmark and keeps what they find; see scripts/bench."""

import argparse
import datetime
import json
import pathlib
import platform
import subprocess
import sys
import time

from . import counters, instructions, micro, parts, profile, report, rivals, system
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
    "profile": profile.profile,
    "instructions": instructions.instructions,
}
# Needs nothing to be running.
MICRO = "micro"


def main():
    arguments = argparse.ArgumentParser(prog="scripts/bench")
    arguments.add_argument("--results", type=pathlib.Path, required=True)
    arguments.add_argument("--directory", type=pathlib.Path, required=True)
    arguments.add_argument("--document", type=pathlib.Path, required=True)
    arguments.add_argument("--quick", action="store_true")
    for program in ("dragoman", "module", "uncounted", "idle", "bare", "envoy", "upstream", "load", "micro"):
        arguments.add_argument(f"--{program}", type=lambda path: pathlib.Path(path).resolve())
    arguments.add_argument("--only", default="", help="of micro, the names with this in them; nothing is kept")
    arguments.add_argument("--compare", type=lambda path: pathlib.Path(path).resolve(), action="append", default=[],
                           help="a module; nothing is kept")
    arguments.add_argument("parts", nargs="*", metavar="PART", help=", ".join([*PARTS, MICRO]))
    given = arguments.parse_args()
    # No part is all of them, which `choices` would refuse.
    for name in set(given.parts).difference(PARTS, [MICRO]):
        arguments.error(f"there is no part {name}")
    programs = {name: value for name, value in vars(given).items() if isinstance(value, pathlib.Path)}
    if given.compare:
        with World(programs, given.directory, given.quick) as world:
            return counters.compare(world, given.compare)
    given.results.parent.mkdir(parents=True, exist_ok=True)
    for name in given.parts or [*PARTS, MICRO]:
        print(f"{name}:", flush=True)
        began = time.monotonic()
        found = run(name, programs, given)
        took = round(time.monotonic() - began)
        print(f"  {took} s", flush=True)
        if given.only:
            return
        results = json.loads(given.results.read_text()) if given.results.exists() else {}
        results[name] = {
            "found": found,
            "when": datetime.date.today().isoformat(),
            "seconds": took,
            "machine": system.machine(),
            "commit": system.output("git", "describe", "--always", "--dirty"),
            "quick": given.quick,
            "versions": versions(programs),
        }
        given.results.write_text(json.dumps(results, indent=1))
    results = json.loads(given.results.read_text())
    missing = [name for name in [*PARTS, MICRO] if name not in results]
    # What was measured elsewhere is not to be lost for what was not measured here.
    directory = given.results.parent if missing else given.document
    (directory / "performance.md").write_text(report.document(results))
    (directory / "performance.svg").write_text(report.plot(results))
    print(f"written: {directory}/performance.md" + (f"; not measured here yet: {', '.join(missing)}" if missing else ""))


def run(name, programs, given):
    if name == MICRO:
        found = micro.measure(programs[MICRO], given.quick, given.only)
        print(report.micro(found))
        return found
    with World(programs, given.directory, given.quick) as world:
        return PARTS[name](world)


def versions(programs):
    found = {
        "Rust": system.output("rustc", "--version"),
        "Python, Node, its V8": f"{platform.python_version()}, {system.output('node', '--version')}, "
                                f"{system.output('node', '-p', 'process.versions.v8')}",
    }
    if "envoy" in programs:
        found |= {
            "Envoy": system.output(programs["envoy"], "--version").split("version:")[1].strip(),
            "wrk": subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.split("[")[0].strip(),
            **{rival.title: rival.package for rival in rivals.RIVALS},
        }
    return found


sys.exit(main())
