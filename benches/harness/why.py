"""Why a bar is not met, in words, with what was measured: printed only for those that are not."""

from .bars import median, row


def paragraphs(results, missed):
    """For each group of bars of which one is missed, what stands in its way, and what it would take."""
    for group, explain in GROUPS.items():
        if group in missed:
            text = explain(results)
            if text:
                yield text


def counts(results, case):
    """Instructions by side."""
    one = row(results, "instructions", case)
    return {name: sum(by_region.values()) for name, by_region in one["sides"].items()} if one else None


def calls(results):
    of = counts(results, "relay")
    if not of:
        return None
    floor, idle, bare, own = of["floor"], of["idle"], of["bare"], of["dragoman"]
    by_time = median(row(results, "relay", "relay"), "cost", "bare") or 0
    floor_time = median(row(results, "relay", "relay"), "cost", "floor") or 1
    left = 1.8 * floor - bare
    room = f"leaves {left:,.0f} for all that Dragoman does" if left > 0 else f"are {-left:,.0f} fewer than these calls alone need"
    idle_left = 1.35 * idle - bare
    idle_room = f"leaves {idle_left:,.0f}" if idle_left > 0 else f"are {-idle_left:,.0f} fewer than the calls need"
    return f"""**A relay and a translation of 1 KB.** Of a relay's {own:,.0f} instructions {floor:,.0f} are plain Envoy's, {idle - floor:,.0f} go
to two wasm filters that do nothing, {bare - idle:,.0f} to the calls by which any filter reads and writes a request and its answer
(below, by kind), and {own - bare:,.0f} to Dragoman itself: it reads and checks two JSON bodies, decides, estimates tokens, and
writes the log line. A filter that makes the calls and does nothing with them (the bare filter) is at {bare / floor:.2f} × plain Envoy by
instructions and {by_time / floor_time:.2f} × by time, and at {bare / idle:.2f} × the idle filter: 1.8 × plain Envoy {room}, and
1.35 × the idle filter {idle_room}.
What it would take lies in the host: each call that hands out memory has Envoy ask the VM for it with a new set of the calls that
are allowed meanwhile (some 6,000 instructions of each), and a header map is not changed but cleared and
built anew (each entry allocated by itself). A filter that shares memory with Envoy (its dynamic modules) needs none of it."""


def large(results):
    one = row(results, "instructions", "relay-256k")
    if not one:
        return None
    module = one["sides"]["dragoman"]["module"]
    of = counts(results, "relay-256k")
    return f"""**Large bodies in prose.** Of 256 KB Dragoman's code looks at every byte, with {module / (256 << 10):.1f} instructions a byte
({module:,.0f} of {of['dragoman']:,.0f}; plain Envoy copies the body with {of['floor']:,.0f} in all): two fifths of them to see that it is UTF-8, a third to
find where its strings end and that their escapes are valid, the rest for fields and tokens. A line of 64 bytes in which there is
nothing to see takes less than a fifth of that, and the image of 2 MB has only such; in this prose nearly every line has a quote, an escape or a character beyond ASCII. Both
could be one pass, which would save the loads, a tenth; more would take wider vectors than wasm's 128 bits, or to pass on what was not
looked at, which we do not want: a client's mistake is to be told with its place, and not by a provider after a retry.
The bare filter, which looks at nothing, is at {of['bare'] / of['floor']:.2f} × plain Envoy by instructions: a body is copied into the VM."""


def alone(results):
    parts = []
    for kind in ("openai", "anthropic", "gemini"):
        one = row(results, "streams", f"paced-{kind}")
        if one:
            ours, idle, floor = (one["cost"][name]["median"] for name in ("dragoman", "idle", "floor"))
            parts.append(f"{one['title'].split(',')[0]}: {floor:.1f}, {idle:.1f}, {ours:.1f}")
    return f"""**Streams of which each event comes alone** cost a wake-up of the event loop, a read and a write of the kernel for each event
(plain Envoy, idle filter and Dragoman in µs an event: {'; '.join(parts)}). Dragoman adds four callbacks (two filters, and each is asked
on the way in and out), one call that reads the event (as a body, below) and one that writes it.
What it would take: a buffer that can be read in place."""


def held(results):
    rows = results.get("held", {}).get("found", {}).get("rows", [])
    if not rows:
        return None
    told = "; ".join(f"{one['title']}: {(one['last']['idle'] - one['last']['floor']) / 1024:.1f} KiB for the idle filter, "
                     f"{one['over_floor']['last'] / 1024:.1f} for Dragoman" for one in rows)
    return f"""**Memory of an open stream** ({told}). Counted by Envoy's allocator, two idle filters take 2.3 KiB of it, and Dragoman
2 KiB more outside the VM: headers, of which each entry is 320 bytes in Envoy however short it is (of the provider's four stay,
and a client is given a dozen), and the property by which an attempt finds its request. In the VM a stream holds its
plan, the state of its answer and the template of its last event, about 2 KiB. Growth of resident memory differs by 1 KiB between runs.
What it would take: fewer headers, of which clients and providers want each, or smaller entries in Envoy."""


def tail(results):
    one = row(results, "streams", "stream-openai")
    if not one:
        return None
    events = results["streams"]["found"]["events"]
    ours, floor = (one["cost"][name]["median"] * events for name in ("dragoman", "floor"))
    return f"""**The slowest hundredth.** Dragoman is busy half of the time. A stream as fast as it goes takes Dragoman {ours:.0f} µs of its
processor and plain Envoy {floor:.0f}, more where each comes alone: who comes while another is served waits for it. It follows from the
processor time above, and shrinks with it. Of JSON the slowest are those during which Envoy's thread for the access log writes 64 KiB
of lines, which are a hundred, on the one processor that all its threads have here. The p99 of a turn is also that of the
machine: whatever takes the processor away for some milliseconds makes all late who are due then, which differs by more
than is measured (the ranges below). A stream whose events come alone begins by code that its events have driven out
of the caches, as where requests are rare: that, and not the wait, is what its first byte has more at p50."""


def rivals(results):
    ours = row(results, "others", "relay")
    host = row(results, "relay", "relay")
    if not ours or not host:
        return None
    parts = []
    for name, times in (("tensorzero", 2.3), ("portkey", 25), ("litellm", 100)):
        if name in ours["cost"]:
            parts.append(f"{ours['cost'][name]['median'] / times:.0f} µs for {name}'s")
    idle, bare = (host["cost"][name]["median"] for name in ("idle", "bare"))
    return f"""**Beside other gateways, in JSON.** Their bars would need a relay of {', '.join(parts)}, where two filters that do nothing take
{idle:.0f} µs and the calls {bare:.0f}. They were set where plain Envoy took 41 µs and TensorZero 181, 4.4 × as much; here
TensorZero takes {ours['cost'].get('tensorzero', {}).get('median', 0) / ours['cost']['floor']['median']:.1f} × plain Envoy. In streams, where no host stands between, the bars are met many times over."""


def clock(results):
    host = row(results, "relay", "relay")
    if not host:
        return None
    floor = host["cost"]["floor"]["median"]
    return f"""**What is bounded in seconds** depends on the machine: where the bars were set a relay took plain Envoy 41 µs, here {floor:.0f}. These
bars are judged by the figures as they are, all the same."""


def counting(results):
    one = row(results, "instructions", "relay")
    if not one or "uncounted" not in one["sides"]:
        return None
    ours, without = one["sides"]["dragoman"], one["sides"]["uncounted"]
    more = sum(ours.values()) - sum(without.values())
    calls = results["instructions"]["found"]["calls"]
    line, histograms = (calls[kind]["all"] for kind in ("line", "histograms"))
    return f"""**Metrics, health and log** are {more:,.0f} of a relay's {sum(ours.values()):,.0f} instructions, {ours['module'] - without['module']:,.0f} of them in the module:
it writes the line, adds up counts and learns. The rest is the host's: it is given the line, formats and buffers it for its
file (the bare filter's takes {line:,.0f}), and notes three values of histograms, of which each is a call ({histograms:,.0f}):
{(line + histograms) / more:.0%} of it, whatever the module did.
What it would take: lines in batches, which would wait behind a long stream and be lost with a worker, or histograms as
counters, which would lose their type. A log that Envoy writes from memory it shares with the filter needs neither."""


def memory(results):
    return """**Peak memory of bodies in flight** is judged by the larger of two ratios, of which one counts what the VM itself takes
at the start (V8 and its compiler, some 50 MiB), though it is the same for one request and for a thousand; what grows with
the bodies is the other."""


GROUPS = {"calls": calls, "large": large, "memory": memory, "alone": alone, "held": held, "tail": tail, "rivals": rivals,
          "counting": counting, "clock": clock}
