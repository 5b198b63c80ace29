"""The core alone (benches/micro): natively, by Criterion, and in V8, as the wasm that Envoy runs."""

import json
import os
import shutil
import subprocess

from . import system

CRATE = system.ROOT / "benches/micro"
# Envoy lets TurboFan compile all of a module before it runs.
NODE = ["node", "--no-liftoff", "--no-wasm-lazy-compilation"]


def measure(module, quick, only):
    """The tasks that have `only` in their names."""
    native = natively(module.parent, quick, only)
    rows = []
    for line in run([*NODE, CRATE / "v8.mjs", module, only], stdout=subprocess.PIPE).splitlines():
        row = json.loads(line)
        row["ns"] = {"native": native[row["name"]], "v8": row["ns"]}
        rows.append(row)
    return {"rows": rows}


def natively(target, quick, only):
    """Nanoseconds by name, as Criterion keeps them."""
    kept = target / "criterion"
    shutil.rmtree(kept, ignore_errors=True)
    seconds = "0.2" if quick else "1"
    run(["cargo", "bench", "--quiet", "--bench", "core", "--", "--noplot", "--warm-up-time", "0.2", "--measurement-time",
         seconds, only], stdout=subprocess.DEVNULL, cwd=CRATE, env={**os.environ, "CARGO_TARGET_DIR": str(target)})
    found = {}
    for told in kept.glob("**/new/benchmark.json"):
        estimates = json.loads((told.parent / "estimates.json").read_text())
        found[json.loads(told.read_text())["full_id"]] = estimates["median"]["point_estimate"]
    return found


def run(command, **options):
    done = subprocess.run([str(word) for word in command], stderr=subprocess.PIPE, text=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, {system.MEASURED}), **options)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr[-1000:]}")
    return done.stdout
