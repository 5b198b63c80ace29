"""Comparison: the sides take turns, a slice of about a second each, and what counts is the ratio within a turn.

A machine gets slower and faster by the minute; what happens to one side happens to its neighbour in time as well.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess

from . import answers, system

# Of a run: many times what any takes of a gateway that works.
MOST_SECONDS = 180


@dataclasses.dataclass
class Side:
    """A gateway that is running, and how it is asked."""

    name: str
    process: system.Process
    address: str
    path: str
    body: bytes
    headers: dict = dataclasses.field(default_factory=dict)
    # The format of its answers.
    speaks: str = "openai"

    def ask(self):
        return system.ask(self.address, self.path, self.body, self.headers)


class Failed(RuntimeError):
    """A side that does not do the work that is to be measured."""

    def __init__(self, side, why):
        super().__init__(f"{side.name}: {why}")
        self.side = side
        self.why = why


class Load:
    def __init__(self, program, directory):
        self.program = program
        self.directory = pathlib.Path(directory)

    def run(self, side, connections, requests, rate=None):
        """A run, with the processor time that the side has taken for it. The other gateways stand still."""
        mode = (["rate", rate] if rate else []) + ["requests", requests]
        try:
            with side.process.alone():
                before = side.process.cpu()
                said = subprocess.run(self.command(side, connections, mode), env=self.env(side), check=True, text=True,
                                      capture_output=True, preexec_fn=on_load, timeout=MOST_SECONDS).stdout
                taken = side.process.cpu() - before
        except (subprocess.SubprocessError, OSError) as error:
            raise Failed(side, getattr(error, "stderr", None) or str(error)) from error
        result = json.loads(said)
        if result["failed"]:
            raise Failed(side, f"{result['failed']} of {result['requests']} requests failed: {result['why']}")
        result["cpu"] = taken
        result["busy"] = taken / result["seconds"]
        # At a rate each connection has been used once before.
        result["us"] = taken / (result["requests"] + result["before"]) * 1e6
        return result

    def hold(self, side, connections):
        """The streams, once all are open; they are until the process is stopped."""
        process = system.Process(self.command(side, connections, ["hold"]), {system.LOAD}, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env(side))
        said = process.child.stdout.readline()
        if said != b"held\n":
            process.stop()
            raise Failed(side, process.child.stderr.read().decode()[-500:])
        return process

    def command(self, side, connections, mode):
        file = self.directory / f"body-{pathlib.Path(side.name).name}"
        if not file.exists() or file.read_bytes() != side.body:
            file.write_bytes(side.body)
        return [str(word) for word in [self.program, side.address, side.path, file, connections, *mode]]

    def env(self, side):
        headers = "\n".join(f"{name}: {value}" for name, value in side.headers.items())
        return {**os.environ, "BENCH_HEADERS": headers}


def on_load():
    os.sched_setaffinity(0, {system.LOAD})
    # Its threads wake when they are to, and not with others within the next 50 µs.
    system.prctl(system.PR_SET_TIMERSLACK, 1)


def warm(load, side, connections, seconds):
    """Until compilers and caches have settled; gives the rate."""
    requests, spent, rate = connections, 0.0, 0.0
    while spent < seconds:
        result = load.run(side, connections, int(requests))
        spent += result["seconds"]
        rate = result["requests"] / result["seconds"]
        requests = max(connections, min(requests * 4, rate * max(0.3, seconds - spent)))
    return rate


def compare(world, case, sides, connections=None, rounds=None, slice_seconds=1.0, warm_seconds=2.0, rate=None):
    """By side: a list of runs, one for each turn. Every side has to give the right answer."""
    load, connections, rounds = world.load, connections or case.connections, rounds or world.rounds
    counts = {}
    for side in sides:
        check(world, case, side)
        capacity = warm(load, side, connections, warm_seconds)
        counts[side.name] = max(connections, int((rate or capacity) * slice_seconds))
    runs = {side.name: [] for side in sides}
    for turn in range(rounds):
        # A B, B A: whoever comes first has no advantage.
        for side in sides if turn % 2 == 0 else reversed(sides):
            runs[side.name].append(load.run(side, connections, counts[side.name], rate))
    return runs


def check(world, case, side):
    """That a side says what the provider does."""
    try:
        status, told = side.ask()
    except OSError as error:
        raise Failed(side, repr(error)) from error
    if status != 200:
        raise Failed(side, f"answers {status}: {told[:300]!r}")
    expected = world.words(case)
    try:
        said = answers.words(side.speaks, case.stream, told)
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(side, f"{error!r} in {told[:300]!r}") from error
    if said != expected:
        raise Failed(side, f"says {said[:300]!r}")


def summary(values):
    """The median, and between what the middle half lies."""
    values = sorted(values)
    if len(values) < 3:
        return {"median": statistics.median(values), "low": values[0], "high": values[-1]}
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": statistics.median(values), "low": low, "high": high}


def field(runs, name, read):
    return summary([read(run) for run in runs[name]])


def ratio(runs, over, under, read=lambda run: run["us"]):
    """Of two sides, turn by turn."""
    return summary([read(a) / read(b) for a, b in zip(runs[over], runs[under])])


def difference(runs, over, under, read):
    return summary([read(a) - read(b) for a, b in zip(runs[over], runs[under])])
