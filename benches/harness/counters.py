"""Modules side by side, by the counters of the processor.

Between two turns of a second the time that a request takes differs by several hundredths, its cycles by one, and its
instructions by next to nothing: what a change of a thousandth does can be seen here.
"""

import shutil
import signal
import statistics
import subprocess
import time

from . import instructions, measure, work

# Of Envoy's own code and the module's; of the kernel's only the cycles.
EVENTS = {
    "cycles": "cycles:u", "kernel": "cycles:k", "instructions": "instructions:u",
    "L1i misses": "L1-icache-load-misses:u", "iTLB misses": "iTLB-load-misses:u",
}
REQUESTS = 6000


def compare(world, modules):
    cases = list(world.known([work.RELAY[0], work.RELAY[2], *work.TRANSLATE[:1], *work.STREAMS[:2]]))
    if not counts():
        print("  the processor's counters cannot be read here: callgrind counts", flush=True)
        return instructions.compare(world, modules, cases)
    names = [str(module) for module in modules]
    with world.envoys(*names) as started:
        for case in cases:
            sides = [world.side(name, *started[name], case) for name in names]
            requests = REQUESTS // (10 if case.stream or case.size > 1 << 16 else 1)
            for side in sides:
                measure.warm(world.load, side, case.connections, 2.0)
            runs = {name: [] for name in names}
            for turn in range(world.rounds):
                for side in sides if turn % 2 == 0 else reversed(sides):
                    runs[side.name].append(counted(world, side, case, requests))
            show(case, runs)


def counts():
    """Whether perf is there, and has counters to read."""
    if not shutil.which("perf"):
        return False
    said = subprocess.run(["perf", "stat", "--field-separator", ",", "--event", "instructions:u", "true"],
                          capture_output=True, text=True)
    return said.returncode == 0 and "<not" not in said.stderr


def counted(world, side, case, requests):
    """What a request takes of each."""
    perf = subprocess.Popen(["perf", "stat", "--field-separator", ",", "--event", ",".join(EVENTS.values()), "--pid",
                             str(side.process.pid)], stderr=subprocess.PIPE, text=True)
    time.sleep(0.05)
    us = world.load.run(side, case.connections, requests)["us"]
    perf.send_signal(signal.SIGINT)
    # A line an event, in their order; what a processor does not count is said in words.
    values = [line.split(",")[0] for line in perf.communicate()[1].splitlines() if "," in line]
    each = [float(value) / requests if value.isdigit() else float("nan") for value in values]
    return {**dict(zip(EVENTS, each, strict=True)), "us": us}


def show(case, runs):
    names = list(runs)
    print(f"  {case.name}: a request's, and how it differs from the first module's", flush=True)
    columns = [*EVENTS, "us"]
    print("  " + "".ljust(24) + "".join(column.rjust(24) for column in columns))
    for name in names:
        told = ""
        for column in columns:
            values = [run[column] for run in runs[name]]
            over = [a - run[column] for a, run in zip(values, runs[names[0]])]
            told += f"{statistics.median(values):.1f} ({statistics.median(over):+.1f})".rjust(24)
        print("  " + name[-24:].ljust(24) + told, flush=True)
