"""Where the processor's time goes: by the code that runs, and how much of it there is.

`perf` takes samples of Envoy while it relays: in the kernel, in Envoy's own code, in the module that V8 has compiled
(the only code in memory that belongs to no file) and in libraries. Each sample tells a line of the processor's cache
(64 bytes) and a page of memory (4 KiB) that code was fetched from: how many different ones there are tells how much has
to be fetched anew for every request, when it does not fit into the first caches (32 KiB of code, translations of 64 and
512 pages on the machine of docs/performance.md).
"""

import collections
import shutil
import subprocess
import time

from . import measure, work
from .parts import WITH_BARE, say

REGIONS = ("kernel", "envoy", "module", "libraries")
SAMPLES_A_SECOND = 4999


def profile(world):
    if not shutil.which("perf"):
        return {"missing": "perf is not installed"}
    rows = []
    for case in world.known([work.RELAY[0], *work.TRANSLATE[:1]]):
        row = {"case": case.name, "title": case.title, "sides": {}}
        for name in WITH_BARE:
            with world.envoys(name, usual=case.target) as started:
                side = world.side(name, *started[name], case)
                rate = measure.warm(world.load, side, case.connections, 2.0)
                seconds = 2 if world.quick else 8
                us = world.load.run(side, case.connections, int(rate * seconds))["us"]
                samples = sampled(world, side, case, int(rate * seconds))
                row["sides"][name] = shares(samples, us)
            told = "  ".join(f"{region} {row['sides'][name][region]['us']:.1f}" for region in REGIONS)
            say(f"{case.name:12} {name:10} {us:6.1f} µs: {told}")
        rows.append(row)
    return {"rows": rows}


def sampled(world, side, case, requests):
    """Addresses of code with the file that it is of."""
    file = str(world.directory / "perf.data")
    perf = subprocess.Popen(["perf", "record", "--output", file, "--freq", str(SAMPLES_A_SECOND), "--pid",
                             str(side.process.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    world.load.run(side, case.connections, requests)
    perf.terminate()
    perf.wait()
    said = subprocess.run(["perf", "script", "--input", file, "--fields", "ip,dso"], capture_output=True, text=True)
    for line in said.stdout.splitlines():
        address, _, rest = line.strip().partition(" ")
        if rest:
            yield int(address, 16), rest.strip("() ")


def shares(samples, us):
    """By region: microseconds of a request, and the lines and pages that were met."""
    addresses = collections.defaultdict(list)
    for address, file in samples:
        addresses[region(file)].append(address)
    total = sum(map(len, addresses.values()))
    return {name: {
        "us": us * len(addresses[name]) / total,
        "lines": len({address >> 6 for address in addresses[name]}),
        "pages": len({address >> 12 for address in addresses[name]}),
    } for name in REGIONS}


def region(file):
    if "kernel" in file or file.startswith("[k"):
        return "kernel"
    if file.endswith("/envoy"):
        return "envoy"
    return "libraries" if ".so" in file or file == "[vdso]" else "module"
