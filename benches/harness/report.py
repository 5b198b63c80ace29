"""docs/performance.md and its plot, from what the parts have found."""

import html

from . import bars, why

NAMES = {"floor": "plain Envoy", "idle": "idle filter", "bare": "bare filter", "uncounted": "Dragoman without counts and log",
         "dragoman": "Dragoman", "native": "Envoy's transcoder", "tensorzero": "TensorZero", "litellm": "LiteLLM", "portkey": "Portkey"}

# Whose cost ours is compared with, in times.
BESIDE = ("floor", "idle", "bare")


def spread(value, digits=2):
    return f"{value['median']:.{digits}f} ({value['low']:.{digits}f}–{value['high']:.{digits}f})"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def document(results):
    text = [HEAD]
    judged = list(bars.all_bars(results))
    text.append(table(["what", "bar", "measured", "met"], [
        [bar.text, bar.limit, bar.measured, {True: "yes", False: "**no**", None: "–"}[bar.met]] for bar in judged
    ]))
    missed = {bar.why for bar in judged if bar.met is False}
    if missed:
        text += ["## Why some are not met\n", *(paragraph + "\n" for paragraph in why.paragraphs(results, missed))]
    for part, title, words, render in SECTIONS:
        if part in results:
            text += [f"## {title}\n", words + "\n" if words else "", render(results[part]["found"])]
    text.append("## The machine\n")
    text.append(table(["part", "measured on", "when", "took"], [
        [part, one["machine"] + (", **quick**" if one["quick"] else ""), f"{one['when']}, commit {one['commit']}",
         f"{one['seconds']} s"]
        for part, one in results.items()
    ]))
    versions = {name: version for one in results.values() for name, version in one.get("versions", {}).items()}
    text.append(table(["", "version"], versions.items()))
    return "\n".join(part for part in text if part)


HEAD = """# What it costs

Written by `scripts/bench`; do not edit it. Times are processor time of the gateway's process, by the kernel's accounts, one
Envoy worker on one processor. Sides take turns, a second each, while the others stand still; a ratio is of neighbours in time.
Every figure is the median, with the range of the middle half behind it. *Plain Envoy* is what `dragoman envoy` prints without our
two filters, the *idle filter* is a wasm filter that does nothing in the same two places, the *bare filter* one that says to Envoy
what Dragoman says for a relayed request, and does nothing else (`benches/tools/bare.rs`). Where root measures, processors do not
sleep meanwhile.

![Processor time a request](performance.svg)

## The bars
"""


def cpu_table(found):
    names = [name for name in NAMES if any(name in row["cost"] for row in found["rows"])]
    rows = []
    for row in found["rows"]:
        cells = [spread(row["cost"][name], 1 if row["unit"] == "µs" else 2) if name in row["cost"] else "–"
                 for name in names]
        cells += [spread(row["ratio"][name]) if name in row["ratio"] else "–" for name in BESIDE
                  if name in names]
        rows.append([row["title"], row["unit"], *cells])
    header = ["work", ""] + [NAMES[name] for name in names]
    header += [f"Dragoman / {NAMES[name]}" for name in BESIDE if name in names]
    busy = min(row["busy"][name]["median"] for row in found["rows"] for name in row["busy"])
    return table(header, rows) + f"\nThe gateways were busy at least {busy:.0%} of the time.\n"


def counting(found):
    rows = [[row["title"], *(spread(row["cost"][name], 1) for name in ("uncounted", "dragoman")),
             spread(row["over"]["uncounted"], 1)] for row in found["rows"]]
    return table(["work, µs a request", "without", "Dragoman", "more"], rows)


def relay(found):
    mib = 2**20
    rows = [[peak["title"], f"{peak['in_flight'] / mib:.0f}", f"{peak['before']['floor'] / mib:.0f}",
             f"{peak['peak']['floor'] / mib:.0f}", f"{peak['before']['dragoman'] / mib:.0f}",
             f"{peak['peak']['dragoman'] / mib:.0f}", f"{peak['over_floor']:.2f}", f"{peak['growth_over_floor']:.2f}"]
            for peak in found["peaks"]]
    return cpu_table(found) + "\nMemory, in MiB, and over plain Envoy's in times of the bodies in flight:\n\n" + table(
        ["work", "in flight", "plain Envoy before", "at most", "Dragoman before", "at most", "peak over peak",
         "growth over growth"], rows)


def held(found):
    names = ("floor", "idle", "dragoman")
    header = ["work", "streams", *(f"{NAMES[name]}: KiB a stream, first / last" for name in names),
              "over plain Envoy's", "CPU, in % of one: plain Envoy", "Dragoman"]
    def kib(value):
        return f"{value / 1024:.1f}"

    return table(header, [
        [row["title"], row["streams"], *(f"{kib(row['first'][name])} / {kib(row['last'][name])}" for name in names),
         f"{kib(row['over_floor']['first'])} / {kib(row['over_floor']['last'])}",
         f"{row['cpu']['floor']:.1f}", f"{row['cpu']['dragoman']:.1f}"] for row in found["rows"]])


def latency(found):
    rows = []
    for row in found["rows"]:
        busy = [f"{row['busy'][name]['median']:.0%}" for name in ("floor", "dragoman")]
        rows.append([row["title"], f"{row['rate']:.0f}", " / ".join(busy)] + [
            spread(row[percent][name], 0) for percent in ("p50", "p99") for name in ("floor", "dragoman", "added")])
    return table(["work", "a second", "busy: plain Envoy / Dragoman", "p50 plain Envoy", "Dragoman", "added",
                  "p99 plain Envoy", "Dragoman", "added"], rows)


def startup(found):
    names = ("floor", "idle", "dragoman")
    counts = list(found["workers"]["floor"])
    text = table(["", *(NAMES[name] for name in names)], [
        ["first answer after, s", *(spread(found["seconds"][name]) for name in names)],
        *([f"memory with {count} workers, MiB", *(f"{found['workers'][name][count] / 2**20:.0f}" for name in names)]
          for count in counts),
        ["a worker more, MiB", *(f"{found['slope'][name] / 2**20:.1f}" for name in names)],
    ])
    return text + f"\nThe module has {found['module']:,} bytes.\n"


def others(found):
    text = cpu_table(found)
    rows = []
    for row in found["rows"]:
        rows.append([row["title"], *(spread(row["times"][name]) if name in row["times"] else "–" for name in RIVALS)])
    text += "\nTheir cost in times of ours:\n\n" + table(["work", *(NAMES[name] for name in RIVALS)], rows)
    rows = []
    names = ["floor", "dragoman", *RIVALS]
    for row in found["latency"]:
        rows.append([row["title"], *(
            f"{row['p50'][name]['median']:.0f} / {row['p99'][name]['median']:.0f}" if name in row["p50"] else "–"
            for name in names)])
    text += "\nAdded to the first byte of an answer, each at a rate at which it is busy half of the time, p50 / p99 in µs " \
            "over the provider alone:\n\n" + table(["work", *(NAMES[name] for name in names)], rows)
    for name, why in found["missing"].items():
        text += f"\nNot measured: {name}: `{html.escape(why.strip().splitlines()[-1][:300])}`\n"
    return text


RIVALS = ("native", "tensorzero", "portkey", "litellm")


def honest(found):
    provider = found["provider"]
    rows = [[NAMES[name], spread(one["load"], 1), spread(one["wrk"], 1), f"{one['rate']:,.0f}"]
            for name, one in found["wrk"].items()]
    return (f"The provider alone, on a processor that it shares with the load, gives {provider['load']:,.0f} answers a second "
            f"({provider['wrk']:,.0f} by wrk), and {provider['events']:,.0f} events of streams.\n\n"
            "The same relay of 1 KB by our load and by wrk, µs of processor time a request:\n\n"
            + table(["", "our load", "wrk", "answers a second"], rows))


def micro(found):
    rows = []
    for row in found["rows"]:
        native, v8 = row["ns"]["native"], row["ns"]["v8"]
        speeds = [f"{row['bytes'] / ns * 1000:,.0f}" for ns in (native, v8)] if row["bytes"] else ["–", "–"]
        rows.append([row["name"], f"{row['bytes']:,}", f"{native:,.0f}", f"{v8:,.0f}", f"{v8 / native:.2f}", *speeds,
                     row["allocations"], f"{row['peak']:,}", f"{row['held']:,}" if row["held"] else "–"])
    return table(["work", "bytes", "natively, ns", "in V8, ns", "V8 / native", "natively, MB/s", "in V8, MB/s",
                  "allocations", "bytes held at most", "between reads"], rows)


def profile(found):
    if "missing" in found:
        return f"Not measured: {found['missing']}.\n"
    rows = []
    for row in found["rows"]:
        for name, regions in row["sides"].items():
            rows.append([f"{row['title']}, {NAMES[name]}"] + [
                f"{one['us']:.1f} ({one['lines']:,} / {one['pages']})" if one["lines"] else "–" for one in regions.values()])
    return table(["µs a request (lines of 64 bytes / pages of 4 KiB that samples fell on)", "kernel", "Envoy's code",
                  "the module's, compiled", "libraries"], rows)


def instructions(found):
    if "missing" in found:
        return f"Not measured: {found['missing']}.\n"
    regions = ("envoy", "libraries", "allocator", "module")
    rows = []
    for row in found["rows"]:
        totals = {name: sum(counts.values()) for name, counts in row["sides"].items()}
        rows += [[f"{row['title']}, {NAMES[name]}", f"{totals[name]:,.0f}", *(f"{counts[region]:,.0f}" for region in regions),
                  f"{totals[name] / totals['floor']:.2f}"] for name, counts in row["sides"].items()]
    text = table(["instructions of a request", "all", "Envoy's code", "libraries", "allocator", "the module's, compiled",
                  "all / plain Envoy's"], rows)
    rows = [[CALLS[kind], one["calls"], f"{one['all']:,.0f}", f"{one['all'] / one['calls']:,.0f}"]
            for kind, one in found["calls"].items()]
    return text + "\nOf the bare filter's relay, by what is saved when a kind of call is left out:\n\n" + table(
        ["calls", "of a request", "instructions together", "of each"], rows)


CALLS = {
    "read-headers": "read a header map (the client's, the provider's)",
    "write-headers": "write a header map (to the provider, to the client)",
    "read-bodies": "read a body",
    "write-body": "write the beginning of a body",
    "properties": "write a property (the request's name), look for it",
    "line": "give the log line, which Envoy formats and buffers for its file",
    "histograms": "note a value of a histogram",
    "clock": "look at the clock",
}

SECTIONS = [
    ("relay", "Relay: OpenAI to OpenAI", "", relay),
    ("translate", "Translation, JSON", "Plain Envoy and the idle filter pass the provider's answer on as it is.", cpu_table),
    ("counting", "Metrics, health and log", "Beside the same module built to count, remember and log nothing of its requests, without the access log in\n"
     "its Envoy. A stream has 200 events.", counting),
    ("streams", "Streams of 200 events", "", cpu_table),
    ("held", "Many open streams", "Each has an event a second. Growth of resident memory by the first thousand, and by the last of three: what the start\n"
     "of a VM leaves behind is used again first, which hides what the first streams take.", held),
    ("plan", "Plans of several targets, and another provider than the usual one",
     "All but the first target are only there in case it fails. Elsewhere what is asked for is the gateway's `usual_provider`\n"
     "(beside other gateways only the relay), to which Envoy's route leads by itself; here is what the choice of another costs.", cpu_table),
    ("latency", "The first byte", "In µs; at a rate at which Dragoman is busy half of the time, and where requests are so rare that each finds the\n"
     "processor's caches cold. All connections are open and have been used once before.", latency),
    ("startup", "Start and workers", "", startup),
    ("others", "Others", "Each with one worker on one processor, telemetry and logs of requests off.", others),
    ("profile", "Where the time goes", "By perf. What runs once for each request does not fit into the processor's first caches (32 KiB of code, 512 pages):\n"
     "how much different code there is counts as much as how much of it runs.", profile),
    ("instructions", "What a request takes, in instructions",
     "Counted by callgrind, the same on every machine but for the paths of the allocator; the kernel's are not among them, and what\n"
     "the clock does is taken out.", instructions),
    ("micro", "The core alone", "Natively by Criterion, and the same as wasm in Node's V8; both compiled for size, as the module is. Memory is that of\n"
     "the wasm. Streams come 16 KiB at a time.", micro),
    ("honest", "Whether the means are good enough", "", honest),
]


def plot(results):
    """A bar for each gateway, its length in proportion: processor time a request, or a stream's event, by gateway."""
    rows = results.get("others", {}).get("found", {}).get("rows", [])
    bar, left, width, top = 16, 150, 520, 30
    lines, y = [], top
    for row in rows:
        lines.append(f'<text x="0" y="{y}" font-weight="bold">{html.escape(row["title"])}, {row["unit"]}</text>')
        y += 8
        costs = {name: row["cost"][name]["median"] for name in NAMES if name in row["cost"]}
        longest = max(costs.values())
        for name, cost in costs.items():
            length = max(1.0, cost / longest * width)
            color = {"dragoman": "#c0392b", "floor": "#7f8c8d"}.get(name, "#b4bcc2")
            lines.append(f'<text x="{left - 6}" y="{y + 12}" text-anchor="end">{html.escape(NAMES[name])}</text>'
                         f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 4}" fill="{color}"/>'
                         f'<text x="{left + length + 5:.1f}" y="{y + 11}">{cost:,.4g}</text>')
            y += bar
        y += 26
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 80}" height="{y}" font-family="sans-serif" '
            f'font-size="12"><rect width="100%" height="100%" fill="white"/>')
    return "\n".join([head, *lines, "</svg>"]) + "\n"
