"""What a request takes in instructions, of Envoy and of all that runs in it: for machines whose processors do not count.

callgrind runs Envoy and the code that V8 has compiled, so that what it counts is the same on every machine. It is slow:
what happens by the clock (health that is shown, Envoy's own accounts) would fall on fewer requests than it does outside.
So it is counted what a time without requests takes, and taken off. Requests at another rate would not tell: of those
that come alone Dragoman tells Envoy one by one. Envoy's allocator takes longer ways than it does outside, which is why
it has a column of its own.
"""

import collections
import re
import subprocess
import time

from . import bootstraps, measure, system, work
from .parts import WITH_BARE, say

REGIONS = ("envoy", "module", "libraries", "allocator")
CONNECTIONS = 8
REQUESTS = 1000
WARM = 300
# Every five Envoy sums up its statistics.
REST = 5.0
# Of a start, in which V8 compiles the module.
SECONDS = 120
# Programs lie below, memory that was asked for above.
MAPPED = 1 << 32

# What the bare filter can leave out, and how many calls of the kind a relayed request has.
CALLS = {"read-headers": 2, "write-headers": 2, "read-bodies": 2, "write-body": 1, "properties": 2, "line": 1,
         "histograms": 3, "clock": 3}


def compare(world, modules, cases):
    if not is_there():
        raise SystemExit("neither does perf count here, nor is valgrind installed")
    found = {case.name: {} for case in cases}
    for module in map(str, modules):
        for case, counts in counted(world, module, cases):
            found[case.name][module] = counts
    for case in cases:
        show(case, found[case.name])


def is_there():
    return subprocess.run(["valgrind", "--version"], capture_output=True).returncode == 0


def instructions(world):
    """What a request takes, and each kind of call to the host."""
    if not is_there():
        return {"missing": "valgrind is not installed"}
    cases = list(world.known([work.RELAY[0], work.RELAY[2], *work.TRANSLATE[:1]]))
    found = {"rows": [], "calls": {}}
    for case in cases:
        world.bootstraps.print(case.target)
        row = {"case": case.name, "title": case.title, "sides": {}}
        for name in (*WITH_BARE, "uncounted"):
            [(_, counts)] = counted(world, name, [case])
            row["sides"][name] = counts
            say(f"{case.name:14} {name:10} " + "  ".join(f"{region} {count:,.0f}" for region, count in counts.items()))
        found["rows"].append(row)
    world.bootstraps.print(cases[0].target)
    bare = sum(found["rows"][0]["sides"]["bare"].values())
    for kind, calls in CALLS.items():
        [(_, counts)] = counted(world, f"bare-without-{kind}", cases[:1])
        found["calls"][kind] = {"calls": calls, "all": bare - sum(counts.values())}
        say(f"{kind:14} {found['calls'][kind]['all']:,.0f} for {calls}")
    return found


def counted(world, name, cases):
    """By case: instructions of a request, by region."""
    file, address = world.bootstraps.write(name)
    out = file.with_suffix(".callgrind")
    command = ["valgrind", "--tool=callgrind", "--smc-check=all-non-file", "--instr-atstart=no",
               f"--callgrind-out-file={out}", world.programs["envoy"], "--disable-hot-restart", "--log-level", "warning",
               "--concurrency", 1, "--config-path", file]
    with system.Process(command, {system.MEASURED}, log=file.with_suffix(".log"),
                        env={bootstraps.KEY: "sk-bench"}) as process:
        side = world.side(name, process, address, cases[0])
        system.wait_for(process, side.ask, SECONDS, pause=1)
        system.wait_until_idle(process, SECONDS)
        for case in cases:
            side = world.side(name, process, address, case)
            measure.check(world, case, side)
            requests = REQUESTS // (10 if case.stream or case.size > 1 << 16 else 1)
            world.load.run(side, CONNECTIONS, min(WARM, requests))
            control(process, "--instr=on")
            busy, seconds = during(process, out, lambda: world.load.run(side, CONNECTIONS, requests))
            rest, resting = during(process, out, lambda: time.sleep(REST))
            control(process, "--instr=off")
            yield case, {region: (busy[region] - rest[region] * seconds / resting) / requests for region in REGIONS}


def during(process, out, action):
    """What is counted by region while something is done, and the seconds it takes."""
    control(process, "--zero")
    began = time.monotonic()
    action()
    control(process, "--dump")
    seconds = time.monotonic() - began
    dump = max(out.parent.glob(out.name + ".*"), key=lambda path: path.stat().st_mtime)
    counts = by_region(dump)
    dump.unlink()
    return counts, seconds


def control(process, what):
    subprocess.run(["callgrind_control", what, str(process.pid)], check=True, capture_output=True)


def by_region(dump):
    """Instructions by whose code they are of, from callgrind's file."""
    names, counts = {}, collections.Counter(dict.fromkeys(REGIONS, 0))
    region, after_call = None, False
    program = "???"
    for line in dump.open(errors="replace"):
        if named := re.match(r"(ob|fn|cob|cfn)=\((\d+)\)(?: (.*))?", line):
            kind, number, name = named.groups()
            # Objects and functions are numbered apart; a call's are of the same kinds.
            key = kind.removeprefix("c"), number
            names[key] = name.strip() if name else names.get(key, "???")
            if kind == "ob":
                program = names[key]
            elif kind == "fn":
                region = region_of(program, names[key])
        elif line.startswith("calls="):
            # What the callee takes stands in the next line, and with the callee.
            after_call = True
        elif line[0] in "0123456789+-*":
            if not after_call and region:
                counts[region] += int(line.split()[1])
            after_call = False
    return counts


def region_of(program, function):
    if program.endswith("/envoy"):
        return "envoy"
    if program != "???":
        return "libraries"
    # The allocator stands in a section of its own, which valgrind does not know as Envoy's.
    return "module" if function.startswith("0x") and int(function.split("'")[0], 16) > MAPPED else "allocator"


def show(case, found):
    print(f"  {case.name}: instructions of a request, and how they differ from the first module's", flush=True)
    columns = ["all", *REGIONS]
    print("  " + "".ljust(24) + "".join(column.rjust(24) for column in columns))
    first = next(iter(found.values()))
    for name, counts in found.items():
        told = ""
        for column in columns:
            value, under = ((sum(of.values()) if column == "all" else of[column]) for of in (counts, first))
            told += f"{value:,.0f} ({value - under:+,.0f})".rjust(24)
        print("  " + name[-24:].ljust(24) + told, flush=True)
