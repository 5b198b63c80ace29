"""What issue-by-issue was promised, as data: what is measured for it, and whether it holds. Nothing is rounded in favour."""

import dataclasses


@dataclasses.dataclass
class Bar:
    text: str
    limit: str
    measured: str
    met: bool | None
    # What stands in its way where it is not met: a group of `why.py`, which need not have a word for it.
    why: str


def row(results, part, case):
    rows = results.get(part, {}).get("found", {}).get("rows", [])
    return next((one for one in rows if one["case"] == case), None)


def all_bars(results):
    yield from relay(results)
    yield from translation(results)
    yield from counting(results)
    yield from streams(results)
    yield from rivals(results)
    yield from start(results)


def at_most(why, text, limit, value, unit=" ×"):
    if value is None:
        return Bar(text, f"≤ {limit}{unit}", "not measured", None, why)
    return Bar(text, f"≤ {limit}{unit}", f"{value:.2f}{unit}", value <= limit, why)


def at_least(why, text, limit, value, unit=" ×"):
    if value is None:
        return Bar(text, f"≥ {limit}{unit}", "not measured", None, why)
    return Bar(text, f"≥ {limit}{unit}", f"{value:.2f}{unit}", value >= limit, why)


def median(one, kind, name):
    return one[kind][name]["median"] if one and name in one.get(kind, {}) else None


def relay(results):
    one = row(results, "relay", "relay")
    yield at_most("calls", "Relay, 1 KB: CPU over plain Envoy", 1.8, median(one, "ratio", "floor"))
    yield at_most("calls", "Relay, 1 KB: CPU over the idle filter", 1.35, median(one, "ratio", "idle"))
    for case, name in (("relay-256k", "256 KB"), ("relay-2m", "2 MB")):
        yield at_most("large", f"Relay, {name}: CPU over plain Envoy", 1.5, median(row(results, "relay", case), "ratio", "floor"))
    for peak in results.get("relay", {}).get("found", {}).get("peaks", []):
        yield at_most("memory", f"Peak memory over plain Envoy's, {peak['case']}: times the bodies in flight", 3,
                      max(peak["over_floor"], peak["growth_over_floor"]))


def translation(results):
    for kind in ("anthropic", "gemini"):
        one = row(results, "translate", kind)
        yield at_most("calls", f"To {kind}, JSON: CPU over plain Envoy", 2.2, median(one, "ratio", "floor"))
    one = row(results, "others", "anthropic")
    yield at_most("rivals", "To anthropic, JSON: CPU over TensorZero's", 0.5, median(one, "ratio", "tensorzero"))
    yield at_most("calls", "To anthropic, JSON: CPU over Envoy's transcoder", 1, median(one, "ratio", "native"))


def counting(results):
    for case, name in (("relay", "Relay, 1 KB"), ("anthropic", "To anthropic, JSON")):
        yield at_most("counting", f"{name}: CPU a request for metrics, health and log", 4,
                      median(row(results, "counting", case), "over", "uncounted"), " µs")


def streams(results):
    for kind, limit in (("openai", 1.0), ("anthropic", 2.5), ("gemini", 2.5)):
        how = "relayed" if kind == "openai" else f"from {kind}"
        one = row(results, "streams", f"stream-{kind}")
        yield at_most("clock", f"Streams {how}, fast: CPU an event over the idle filter", limit, median(one, "over", "idle"), " µs")
        one = row(results, "streams", f"paced-{kind}")
        yield at_most("alone", f"Streams {how}, each event alone: CPU over plain Envoy", 1.3, median(one, "ratio", "floor"))
    for held in results.get("held", {}).get("found", {}).get("rows", []):
        yield at_most("held", f"{held['streams']} open streams, {held['title']}: memory a stream over plain Envoy's", 8,
                      max(held["over_floor"].values()) / 1024, " KiB")
    for case in ("stream-openai", "stream-anthropic", "paced-openai", "paced-anthropic"):
        one = row(results, "latency", case)
        added = one["p99"]["added"]["median"] / 1000 if one else None
        yield at_most("tail", f"First token at half load, {case}: p99 over plain Envoy", 0.3, added, " ms")


def rivals(results):
    limits = {"relay": {"tensorzero": 2.3, "portkey": 25, "litellm": 100},
              "anthropic": {"tensorzero": 2, "portkey": 22, "litellm": 90}}
    for case, by_name in limits.items():
        one = row(results, "others", case)
        for name, limit in by_name.items():
            yield at_least("rivals", f"{case}: CPU of {name} over ours", limit, median(one, "times", name))
    for one in results.get("others", {}).get("found", {}).get("latency", []):
        for percent in ("p50", "p99"):
            ours = one[percent]["dragoman"]["median"]
            others = [(added["median"], name) for name, added in one[percent].items() if name not in ("floor", "dragoman")]
            best = min(others, default=(0, "none could be run"))
            yield Bar(f"{one['case']}: added to the first byte, {percent}", f"< {best[0]:.0f} µs ({best[1]})",
                      f"{ours:.0f} µs", ours < best[0], "rivals" if percent == "p50" else "tail")


def start(results):
    found = results.get("startup", {}).get("found")
    if not found:
        return
    yield at_most("size", "The module", 900, found["module"] / 1024, " KiB")
    yield at_most("clock", "From start to first answer, one processor", 1.5, found["seconds"]["dragoman"]["median"], " s")
    yield at_most("memory", "Memory a worker over plain Envoy's", 32, found["per_worker"] / 2**20, " MiB")
