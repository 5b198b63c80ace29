"""The parts of the benchmark. Each gives plain data: what is measured, and of what a document is made."""

import contextlib
import dataclasses
import statistics
import subprocess
import time

from . import measure, rivals, system, work
from .measure import difference, field, ratio, summary

ENVOYS = ("floor", "idle", "dragoman")
WITH_BARE = ("floor", "idle", "bare", "dragoman")
# Requests a second, so few that each finds the processor's caches cold.
RARE = 50
# Requests of which one can say what the slowest hundredth of them is.
MANY = 600


def say(text):
    print("  " + text, flush=True)


def cpu_row(case, runs, names, read=lambda run: run["us"], unit="µs"):
    """Cost by side, and the ratios between Dragoman and each of the others."""
    row = {
        "case": case.name, "title": case.title, "unit": unit,
        "cost": {name: field(runs, name, read) for name in names},
        "busy": {name: field(runs, name, lambda run: run["busy"]) for name in names},
        "ratio": {name: ratio(runs, "dragoman", name, read) for name in names if name != "dragoman"},
        "over": {name: difference(runs, "dragoman", name, read) for name in names if name != "dragoman"},
    }
    cost = "  ".join(f"{name} {row['cost'][name]['median']:.2f}" for name in names)
    times = "  ".join(f"{row['ratio'][name]['median']:.2f} × {name}" for name in row["ratio"])
    say(f"{case.name:18} {unit}: {cost};  {times}")
    return row


def json_rows(world, cases, names=ENVOYS):
    rows = []
    for case in world.known(cases):
        with world.envoys(*names, usual=case.target) as started:
            sides = [world.side(name, *started[name], case) for name in names]
            runs = measure.compare(world, case, sides)
            rows.append(cpu_row(case, runs, names))
    return rows


def relay(world):
    rows = json_rows(world, work.RELAY, WITH_BARE)
    return {"rows": rows, "peaks": [peak(world, case) for case in work.RELAY if case.size > 1 << 17]}


def translate(world):
    return {"rows": json_rows(world, work.TRANSLATE, WITH_BARE)}


def counting(world):
    """What metrics, health and the access log take of a request, answers of every kind: JSON, and whole streams."""
    cases = [work.RELAY[0], *work.TRANSLATE[:1], *work.STREAMS[:2]]
    return {"rows": json_rows(world, cases, ("uncounted", "dragoman"))}


def peak(world, case):
    """The most memory, over what each had before, with so many bodies in flight. Each Envoy is a new one."""
    # So many that what the VM takes once is little beside them.
    connections = 64
    flight = connections * case.size
    found = {"case": case.name, "title": case.title, "in_flight": flight, "before": {}, "peak": {}}
    for name in ("floor", "dragoman"):
        with world.envoys(name) as started:
            process, address = started[name]
            measure.warm(world.load, world.side(name, process, address, work.RELAY[0]), 32, 0.5)
            process.forget_peak()
            found["before"][name] = process.resident()
            measure.warm(world.load, world.side(name, process, address, case), connections, 2.0)
            found["peak"][name] = process.peak()
    grown = {name: found["peak"][name] - found["before"][name] for name in found["peak"]}
    found["over_floor"] = (found["peak"]["dragoman"] - found["peak"]["floor"]) / flight
    found["growth_over_floor"] = (grown["dragoman"] - grown["floor"]) / flight
    say(f"{case.name:18} peak over plain Envoy's: {found['over_floor']:.2f} × the bodies in flight "
        f"(growth: {found['growth_over_floor']:.2f} ×)")
    return found


def plan(world):
    """A route with few targets and one with many, and what it takes to choose another provider than the usual one."""
    rows = []
    relay = dataclasses.replace(work.RELAY[0], name="relay-unusual", title="the relay of 1 KB, not to the usual provider")
    with world.envoys("floor", "dragoman", usual=work.TRANSLATE[0].target) as started:
        sides = [world.side(name, *started[name], relay) for name in ("floor", "dragoman")]
        rows.append(cpu_row(relay, measure.compare(world, relay, sides), ("floor", "dragoman")))
    with world.envoys("floor", "dragoman") as started:
        for count in work.LARGE_PLANS:
            case = work.Case(f"plan-{count}", f"a route of {count} targets", "openai", "json")
            sides = [world.side("floor", *started["floor"], case),
                     world.side("dragoman", *started["dragoman"], case, model=f"targets-{count}")]
            runs = measure.compare(world, case, sides)
            rows.append(cpu_row(case, runs, ("floor", "dragoman")))
    return {"rows": rows}


def streams(world):
    rows = []
    for case in world.known(work.STREAMS):
        with world.envoys(*ENVOYS, usual=case.target) as started:
            sides = [world.side(name, *started[name], case) for name in ENVOYS]
            # Of streams that wait most of the time, a turn has two from each connection.
            runs = measure.compare(world, case, sides, slice_seconds=2.0 if case.pace == "paced" else 1.0)
            rows.append(cpu_row(case, runs, ENVOYS, lambda run: run["cpu"] / run["requests"] / world.events * 1e6,
                                "µs an event"))
    return {"rows": rows, "events": world.events}


def held(world):
    """Many streams that are open at once, each with an event a second: a thousand, and then two thousand more.

    What a start leaves behind (V8's compiler uses a lot) is used again before memory grows, which hides what the
    first streams take. The last thousand tell.
    """
    rows = []
    count = 100 if world.quick else 1000
    for case in world.known(work.HELD):
        row = {"case": case.name, "title": case.title, "streams": count, "first": {}, "last": {}, "cpu": {}}
        for name in ENVOYS:
            with world.envoys(name, usual=case.target) as started, contextlib.ExitStack() as stack:
                process, address = started[name]
                # Compilers are done, and the heaps have what short requests need.
                measure.warm(world.load, world.side(name, process, address, work.RELAY[0]), 32, 2.0)
                sizes = [process.resident()]
                for step in range(3):
                    stack.enter_context(world.load.hold(world.side(name, process, address, case), count))
                    time.sleep(5)
                    if step == 0:
                        spent, began = process.cpu(), time.monotonic()
                        time.sleep(5)
                        row["cpu"][name] = (process.cpu() - spent) / (time.monotonic() - began) * 100
                    sizes.append(process.resident())
                row["first"][name] = (sizes[1] - sizes[0]) / count
                row["last"][name] = (sizes[3] - sizes[2]) / count
        row["over_floor"] = {which: row[which]["dragoman"] - row[which]["floor"] for which in ("first", "last")}
        say(f"{case.name:18} over plain Envoy's, a stream: {row['over_floor']['first'] / 1024:.1f} KiB for the first "
            f"{count}, {row['over_floor']['last'] / 1024:.1f} for the last; "
            f"CPU {row['cpu']['dragoman']:.1f} % to {row['cpu']['floor']:.1f} %")
        rows.append(row)
    return {"rows": rows}


def latency(world):
    """The first byte at a rate at which Dragoman is busy half of the time, and where requests are rare."""
    rows = []
    # Streams whose events come alone, too: there nobody waits for all of another one's events.
    cases = [work.RELAY[0], work.TRANSLATE[0], *work.STREAMS[:2], *work.STREAMS[3:5]]
    for case in world.known(cases):
        with world.envoys("floor", "dragoman", usual=case.target) as started:
            sides = [world.side(name, *started[name], case) for name in ("floor", "dragoman")]
            rates = {case.name: half_load(world, case, sides[1])}
            if not case.stream:
                rates[f"{case.name}-rare"] = RARE, case.connections
            for name, (rate, connections) in rates.items():
                rows.append(first_bytes(world, case, sides, name, rate, connections))
    return {"rows": rows}


def first_bytes(world, case, sides, name, rate, connections):
    """A row of the table: plain Envoy and Dragoman at the same rate."""
    seconds = max(2.0, MANY / rate)
    rounds = world.rounds if seconds == 2.0 else world.long_rounds
    runs = measure.compare(world, case, sides, connections, rounds, seconds, rate=rate)
    row = {"case": name, "title": case.title, "rate": rate,
           "busy": {name: field(runs, name, lambda run: busy(run, rate)) for name in runs}}
    for percent in ("p50", "p99"):
        def read(run):
            return run["first_us"][percent]
        row[percent] = {name: field(runs, name, read) for name in runs}
        row[percent]["added"] = difference(runs, "dragoman", "floor", read)
    say(f"{name:18} at {rate:.0f} a second, {row['busy']['dragoman']['median']:.0%} busy: first byte "
        f"{row['p50']['added']['median']:+.0f} µs p50, {row['p99']['added']['median']:+.0f} µs p99 to plain Envoy's "
        f"{row['p50']['floor']['median']:.0f} and {row['p99']['floor']['median']:.0f}")
    return row


def half_load(world, case, side):
    """The rate at which a side is busy half of the time, and connections enough for it.

    By trial: what comes alone costs far more than what comes as fast as it can, of which many are served each time
    that the event loop wakes. At half of the highest rate it is busy far more than half of the time.
    """
    connections = case.connections
    rate = measure.warm(world.load, side, connections, 2.0) / 4
    for _ in range(4):
        run = world.load.run(side, connections, max(connections, int(rate)), rate)
        rate *= min(2, 0.5 / busy(run, rate))
        connections = max(connections, int(rate * run["last_us"]["p50"] / 1e6 * 1.5))
    return rate, connections


def busy(run, rate):
    """The part of the time that a side is busy at a rate: without the run's beginning and end, where few are served."""
    return run["us"] * rate / 1e6


def startup(world):
    """From start to first answer on one processor, and what a worker takes."""
    times = {name: [] for name in ENVOYS}
    for _ in range(3 if world.quick else 7):
        for name in ENVOYS:
            process, address = world.envoy(name)
            with process:
                side = world.side(name, process, address, work.RELAY[0])
                times[name].append(system.wait_for(process, side.ask, 30, pause=0.005))
    found = {"seconds": {name: summary(times[name]) for name in ENVOYS}, "workers": {}, "slope": {}}
    found["module"] = world.programs["module"].stat().st_size
    counts = (1, 2, 4, 8)
    for name in ENVOYS:
        sizes = []
        for workers in counts:
            process, address = world.envoy(name, workers, set(system.CPUS))
            with process:
                side = world.side(name, process, address, work.RELAY[0])
                system.wait_for(process, side.ask, 60)
                # Connections enough that every worker has some.
                world.load.run(side, 64, 2000)
                time.sleep(1)
                sizes.append(process.resident())
        found["workers"][name] = dict(zip(counts, sizes))
        found["slope"][name] = statistics.linear_regression(counts, sizes).slope
    found["per_worker"] = found["slope"]["dragoman"] - found["slope"]["floor"]
    say(f"first answer after {found['seconds']['dragoman']['median']:.2f} s "
        f"(plain Envoy {found['seconds']['floor']['median']:.2f} s), module {found['module'] / 1024:.0f} KiB, "
        f"{found['per_worker'] / 2**20:.1f} MiB a worker over plain Envoy's")
    return found


def honest(world):
    """Whether the means are good enough: what the provider alone can carry, and whether wrk sees the same costs."""
    from . import wrk
    case = work.RELAY[0]
    found = {"provider": {}, "wrk": {}}
    direct = world.provider_side(case)
    found["provider"]["load"] = measure.warm(world.load, direct, 32, 3.0)
    found["provider"]["wrk"] = wrk.run(world, direct, 32, 3)["rate"]
    stream = world.provider_side(work.STREAMS[0])
    found["provider"]["events"] = measure.warm(world.load, stream, 32, 3.0) * world.events
    with world.envoys("floor", "dragoman") as started:
        for name, (process, address) in started.items():
            side = world.side(name, process, address, case)
            measure.warm(world.load, side, 32, 2.0)
            ours, theirs = [], []
            for _ in range(world.rounds):
                ours.append(world.load.run(side, 32, 15000))
                theirs.append(wrk.run(world, side, 32, 1))
            found["wrk"][name] = {
                "load": summary([run["us"] for run in ours]), "wrk": summary([run["us"] for run in theirs]),
                "rate": statistics.median(run["rate"] for run in theirs),
            }
            say(f"{name}: {found['wrk'][name]['load']['median']:.1f} µs by our load, "
                f"{found['wrk'][name]['wrk']['median']:.1f} µs by wrk, at {found['wrk'][name]['rate']:.0f} a second")
    say(f"the provider alone: {found['provider']['load']:.0f} answers a second, {found['provider']['events']:.0f} events")
    return found


def others(world):
    """The same work by other gateways, and by Envoy's own filter."""
    found = {"missing": {}, "rows": [], "latency": [], "titles": {"native": "Envoy's `ai_protocol_manager`"}}
    with contextlib.ExitStack() as stack:
        started = dict(stack.enter_context(world.envoys("floor", "dragoman", "native")))
        askers = {name: (lambda case, name=name: world.side(name, *started[name], case)) for name in started}
        for rival in rivals.RIVALS:
            found["titles"][rival.name] = f"{rival.title} ({rival.package})"
            try:
                process, address = stack.enter_context(rivals.running(rival, world))
                askers[rival.name] = lambda case, rival=rival, process=process, address=address: rival.side(
                    process, address, world, case)
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                why = getattr(error, "stderr", None) or str(error)
                found["missing"][rival.name] = why[-600:]
                say(f"{rival.name}: cannot be run: {why[-200:]}")
        for case in (work.RELAY[0], work.TRANSLATE[0], work.STREAMS[0], work.STREAMS[1]):
            sides, runs = compare_able(world, case, [ask(case) for ask in askers.values()], found["missing"])
            per = world.events if case.stream else 1
            unit = "µs an event" if case.stream else "µs"
            row = cpu_row(case, runs, list(runs), lambda run, per=per: run["cpu"] / run["requests"] / per * 1e6, unit)
            # Of interest is how many times the others' cost is ours.
            row["times"] = {name: ratio(runs, name, "dragoman") for name in runs if name != "dragoman"}
            found["rows"].append(row)
            found["latency"].append(added_latency(world, case, sides, found["missing"]))
    return found


def compare_able(world, case, sides, missing):
    """The sides that can do this, and how; what is the matter with the others is noted."""
    while True:
        try:
            return sides, measure.compare(world, case, sides, 16, world.long_rounds)
        except measure.Failed as failed:
            note(missing, case, failed)
            sides = [side for side in sides if side is not failed.side]


def note(missing, case, failed):
    if failed.side.name in ENVOYS:
        raise failed
    missing[f"{failed.side.name}, {case.title}"] = failed.why
    say(f"{failed.side.name} cannot do {case.name}: {failed.why[:200]}")


def added_latency(world, case, sides, missing):
    """Each at a rate at which it is busy half of the time: its first byte, less the provider's own at the same rate."""
    row = {"case": case.name, "title": case.title, "rate": {}, "p50": {}, "p99": {}}
    provider = world.provider_side(case)
    rates, pairs = {}, {}
    for turn in range(world.long_rounds):
        for side in sides if turn % 2 == 0 else reversed(sides):
            try:
                if turn == 0:
                    rates[side.name] = half_load(world, case, side)
                if side.name in rates:
                    rate, connections = rates[side.name]
                    # The slowest have few requests in two seconds: of twenty, the last but one is what p99 says.
                    requests = max(20, int(rate * 2))
                    alone, through = (world.load.run(one, connections, requests, rate)["first_us"]
                                      for one in (provider, side))
                    pairs.setdefault(side.name, []).append((alone, through))
            except measure.Failed as failed:
                note(missing, case, failed)
                rates.pop(side.name, None)
    for name, (rate, _) in rates.items():
        row["rate"][name] = rate
        for percent in ("p50", "p99"):
            row[percent][name] = summary([through[percent] - alone[percent] for alone, through in pairs[name]])
    added = "  ".join(f"{name} {row['p50'][name]['median']:.0f}/{row['p99'][name]['median']:.0f}" for name in row["p50"])
    say(f"{case.name:18} added to the first byte, µs p50/p99: {added}")
    return row
