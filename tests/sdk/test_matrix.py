"""Every fault of the fake providers, as a program that uses OpenAI's SDK meets it.

Each wire format × each fault × JSON or stream × commit point × with another target or alone. What is
expected follows from three small tables: what a fault does to an answer (FAULTS), which class of failure a
status is (STATUSES), and what comes after a failure of a class (CLASSES). docs/reliability.md is what was
seen, in words; UPDATE_GOLDEN=1 rewrites it.
"""

import asyncio
import itertools
import json
import os
import pathlib
import re
import time
from typing import NamedTuple, Optional, Union

import openai
import pytest

from conftest import KEY, described, model_entry, provider_entry, serving, unused_address

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs/reliability.md"

# The wire formats, by the names of fakes that speak them. A new format is one line.
FORMATS = ["openai", "anthropic", "gemini", "bedrock", "cohere", "dashscope"]

DESCRIBED = described()

FIRST_TOKEN, ANSWER, IDLE, RETRY_AFTER = 1.5, 2.5, 1, 2
# What may come on top of any time on a machine with other work; less than any limit.
SLACK = 1.2
# A busy provider notes an attempt later than Envoy begins to count.
EARLY = 0.25
# Nothing here takes as long: two silences and the second that Envoy takes to close a connection.
HANGS = 20
# Each in flight waits for the others' turns of the processors: so few that on a slow machine it takes less than the slack.
AT_ONCE = 16
# Of those that nobody answers, which only wait; many that begin together come to the provider late, as they do in each wave.
SILENT_AT_ONCE = 32


class Class(NamedTuple):
    """What comes after a failure, as docs/failures.md has it."""

    status: int  # that the client is told if nobody else is left
    code: Optional[str] = None  # beside it, where it is the gateway's own word and not the provider's
    again: bool = False  # the same target is asked once more
    waits: bool = False  # the same, if it asks for a short while
    ends: bool = False  # nobody else is asked


CLASSES = {
    "transient": Class(502, again=True, waits=True),
    "unreachable": Class(503),
    "rate limited": Class(429, "rate_limit_exceeded", waits=True),
    "quota": Class(429, "insufficient_quota"),
    "silent": Class(504, "upstream_timeout"),
    "malformed": Class(502, "bad_upstream_response"),
    "too large": Class(400, "context_length_exceeded"),
    "misconfigured": Class(502, "upstream_auth_error"),
    "rejected": Class(400, ends=True),
}

STATUSES = {
    **dict.fromkeys((500, 408, 409), "transient"),
    **dict.fromkeys((424, 502, 503, 504, 529), "unreachable"),
    **dict.fromkeys((401, 403, 404), "misconfigured"),
    429: "rate limited",
    402: "quota",
}

# Where the type within an error says what it is, the statuses that have one. The fake calls any other
# 4xx an invalid request and any other 5xx an internal error, and that is what counts, unless the status says that
# nobody is there.
TYPED = {
    "anthropic": {400, 401, 402, 403, 404, 409, 413, 424, 429, 500, 502, 503, 504, 529},
    "bedrock": {400, 403, 404, 408, 409, 424, 429, 500, 502, 503, 504, 529},
}


class Whole(NamedTuple):
    """The fault does no harm."""


class Fails(NamedTuple):
    """Before anything was said."""

    kind: str
    status: Optional[int] = None  # that the client is told, where the class alone does not say
    code: Optional[str] = None


class Breaks(NamedTuple):
    """After the first words: `Fails`, for who has seen nothing of them yet."""

    kind: str
    error: type = openai.APIError


# What a vendor means by a status that others have for something else. The names of Bedrock's exceptions say whose
# time has run out, and that the model has failed.
OWN = {
    ("bedrock", 408): Fails("unreachable", 504),
    ("bedrock", 424): Fails("unreachable", 502),
    ("cohere", 501): Fails("unreachable", 502),
}

FINE = Whole()
MALFORMED, SILENT, UNREACHABLE = Fails("malformed"), Fails("silent"), Fails("unreachable")
# No answer at all has no words of the provider.
LOST = Fails("unreachable", code="upstream_unreachable")
NO_END = Breaks("malformed")
Answer = Union[Whole, Fails, Breaks]


class Fault(NamedTuple):
    what: str
    text: str  # behind the model's `?`
    json: Answer
    stream: Answer
    differs: dict = {}  # formats in which it is another failure, or pairs of one and whether it is a stream
    address: Optional[str] = None  # where nobody answers

    def answer(self, name, stream):
        own = self.differs.get((name, stream)) or self.differs.get(name)
        return own or (self.stream if stream else self.json)

    @property
    def formats(self):
        """Those in which it can be asked for."""
        return [name for name in FORMATS if all(knows(name, part) for part in self.text.split("&") if part)]

    @property
    def asks(self):
        """For how many seconds of waiting."""
        asked = re.search(r"retry_after=(\d+)", self.text)
        return int(asked[1]) if asked else None


def knows(name, part):
    fault, _, value = part.partition("=")
    form = DESCRIBED[name]["faults"].get(fault)
    return form is not None and (not isinstance(form, list) or value in form)


def both(what, text, answer, **more):
    return Fault(what, text, answer, answer, **more)


def fine(what, *texts, **more):
    return [both(what, text, FINE, **more) for text in texts]


def of_status(name, status):
    """The failure that a status is, in the words of a format."""
    typed = TYPED.get(name)
    if typed and status not in typed:
        status = 400 if status < 500 else 500
    if status == 413:
        return Fails("too large", 413, "request_too_large")
    if (name, status) in OWN:
        return OWN[name, status]
    kind = STATUSES.get(status, "rejected" if 400 <= status < 500 else "transient")
    if kind == "rejected" or status == 504:
        return Fails(kind, status)
    return Fails(kind, 404, "model_not_found") if status == 404 else Fails(kind)


def status(*statuses, also=""):
    for number in statuses:
        of = {name: of_status(name, number) for name in FORMATS}
        yield Fault(f"status {number}", f"status={number}{also}", of_status("", number), of_status("", number), of)


def named(what, name, answer, **more):
    return both(what, f"error={name}", answer, **more)


FAULTS = {
    "The provider says no": [
        *status(302, 400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 424, 429, 500, 501, 502, 503, 504, 529, 599),
        both("429, come again in 1 s", "status=429&retry_after=1", Fails("rate limited")),
        both("429, come again in 60 s", "status=429&retry_after=60", Fails("rate limited")),
        both("500, come again in 1 s", "status=500&retry_after=1", Fails("transient")),
        both("529, come again in 1 s", "status=529&retry_after=1", UNREACHABLE),
        both("503 without a body", "status=503&empty_body", UNREACHABLE),
        both("503, half a body", "status=503&truncate_json", UNREACHABLE),
        both("an HTML page with status 502", "html_status=502", UNREACHABLE),
        named("the context is too long", "context_length_exceeded", Fails("too large")),
        named("a filter refuses the prompt", "content_filter", Fails("rejected", code="content_filter")),
        named("the account is empty", "insufficient_quota", Fails("quota")),
        named("an error of no known name", "brand_new_error", Fails("rejected")),
        # AWS says what an error is in a header, which a success does not have.
        both("an error within a 200", "error_in_200", UNREACHABLE, differs={"bedrock": MALFORMED}),
        both("a rate limit within a 200", "error_in_200&status=429", Fails("rate limited"), differs={"bedrock": MALFORMED}),
        Fault("an error as the first event", "error_in_stream", MALFORMED, UNREACHABLE),
        Fault("an error before the first token", "error_after=0", FINE, UNREACHABLE),
    ],
    "The provider is not there": [
        both("the connection is refused", "", LOST, address="http://$NOWHERE"),
        both("the name does not resolve", "", LOST, address="http://does-not-exist.invalid"),
        both("the connection is reset", "reset", LOST),
        both("it is cut before the first token", "cut_after=0", LOST),
        both("silence", "silent", SILENT),
        both("no answer in time", "delay_ms=60000", SILENT),
        both("headers, then silence", "headers_then_silence", SILENT),
        both("pings and nothing else", "pings_then_silence", SILENT),
        both("no first token in time", "first_token_ms=60000", SILENT),
        both("it stalls before the first token", "stall_after=0", SILENT),
    ],
    "The answer is none": [
        both("an HTML page", "html", MALFORMED),
        both("no bytes", "empty_body", MALFORMED),
        both("random bytes", "garbage", MALFORMED),
        both("compressed bytes", "gzip_header", MALFORMED),
        both("no words", "no_content", MALFORMED),
        both("a stream without events", "empty_stream", MALFORMED),
        Fault("a stream that ends before the first token", "end_after=0", FINE, MALFORMED),
        Fault("half a JSON", "truncate_json", MALFORMED, FINE),
        both("JSON for a stream", "json_for_stream", FINE),
        Fault("a stream for JSON", "stream_for_json", MALFORMED, FINE),
    ],
    "The answer breaks off": [
        Fault("an error after three tokens", "error_after=3", FINE, Breaks("unreachable")),
        Fault("an end after three tokens", "end_after=3", FINE, NO_END),
        Fault("the end without a finish reason", "no_finish", FINE, NO_END),
        Fault("cut after three tokens", "cut_after=3&pace_ms=20", LOST, Breaks("lost", openai.APIConnectionError)),
        Fault("it stalls after three tokens", "stall_after=3", SILENT, Breaks("silent", openai.APIConnectionError)),
    ],
    "The answer is odd, and whole": [
        *fine("status 201", "status=201"),
        *fine("late, but in time", "delay_ms=300", "first_token_ms=300", "pace_ms=20"),
        *fine("headers that are no text", "bad_header"),
        *fine("trailers", "trailers"),
        *fine("the framing of events", "crlf", "cr", "no_space", "bom", "split=1", "split=7"),
        *fine("two finish reasons", "finish_twice"),
        # Bedrock's last event says more than that it is the last.
        *fine("the end of the stream", "done=missing", differs={("bedrock", True): NO_END}),
        *fine("the end of the stream", "done=twice", "done=then_data"),
        *fine("the end of the stream", "done=nospace", "done=json"),
        *fine("the deltas", "role_every_chunk", "null_delta"),
        *fine("the usage", "usage=missing"),
        *fine("the usage", "usage=every", "usage=with_finish"),
    ],
}
ROWS = [fault for faults in FAULTS.values() for fault in faults]

# Not by themselves faults, and only for the control listener.
NOT_HERE = {"times", "limit_requests", "limit_tokens", "limit_window_s"}


def cell(text):
    """A part of a fault's text as the fakes list them: the name, with the value where there is a list."""
    name, _, value = text.partition("=")
    return (name, value)


def test_matrix_has_every_fault_of_every_format(gateway_kinds):
    formats = {fake["format"] for fake in DESCRIBED.values() if fake["kind"] in gateway_kinds}
    assert formats == {DESCRIBED[name]["format"] for name in FORMATS}, "a wire format is missing here"
    for row in ROWS:
        assert row.formats, f"no fake knows {row.text}"
    for name in FORMATS:
        parts = [cell(part) for row in ROWS if name in row.formats for part in row.text.split("&") if part]
        forms = DESCRIBED[name]["faults"]
        asked = {(fault, value if isinstance(forms[fault], list) else "") for fault, value in parts}
        listed = {
            (fault, value)
            for fault, form in forms.items()
            for value in (form if isinstance(form, list) else [""])
            if fault not in NOT_HERE
        }
        assert asked == listed, name


class Case(NamedTuple):
    number: int
    format: str
    fault: Fault
    stream: bool
    complete: bool  # the commit point
    alone: bool

    @property
    def question(self):
        return f"case-{self.number}. one two three four five six seven eight nine"

    @property
    def other(self):
        return FORMATS[(FORMATS.index(self.format) + 1) % len(FORMATS)]

    @property
    def target(self):
        """Of its own: what others have met would count against it, as it does against a model that fails."""
        return f"{model(self.format, self.fault)}@{self.number}"

    @property
    def model(self):
        return self.target if self.alone else f"from:{self.target}"

    def __str__(self):
        shape = "stream" if self.stream else "JSON"
        return f"case {self.number}: {self.model} {shape} {'complete' if self.complete else 'first_token'}"


def model(provider, fault):
    text = fault.text or f"address-{fault.what.split()[-1]}"
    return f"{provider}/{text.replace('=', '-').replace('&', ':')}"


def all_cases():
    numbers = itertools.count()
    for provider, fault in itertools.product(FORMATS, ROWS):
        if provider in fault.formats:
            for shape in itertools.product((False, True), repeat=3):
                yield Case(next(numbers), provider, fault, *shape)


CASES = list(all_cases())


class Outcome(NamedTuple):
    """What a client and the providers have seen of a request."""

    tries: tuple  # "first" and "second", in order
    end: str  # whole | told | broken
    error: Optional[type] = None
    status: Optional[int] = None


def expected(case):
    answer = case.fault.answer(case.format, case.stream)
    if isinstance(answer, Breaks):
        if case.stream and not case.complete:
            return Outcome(("first",), "broken", answer.error)
        answer = LOST if answer.kind == "lost" else Fails(answer.kind)
    if answer == FINE:
        return Outcome(("first",), "whole")
    kind = CLASSES[answer.kind]
    again = kind.again or (kind.waits and is_waited_for(case.fault))
    tries = ("first",) * (2 if again else 1)
    if not kind.ends and not case.alone:
        return Outcome((*tries, "second"), "whole")
    status = answer.status or kind.status
    return Outcome(tries, "told", exception(status), status)


def is_waited_for(fault):
    return fault.asks is not None and fault.asks <= RETRY_AFTER


def expected_code(case):
    answer = case.fault.answer(case.format, case.stream)
    if isinstance(answer, Breaks):
        answer = LOST if answer.kind == "lost" else Fails(answer.kind)
    return answer.code or CLASSES[answer.kind].code


def exception(status):
    """Which of its exceptions the SDK raises, by its own documentation."""
    by_status = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        409: openai.ConflictError,
        422: openai.UnprocessableEntityError,
        429: openai.RateLimitError,
    }
    return by_status.get(status, openai.InternalServerError if status >= 500 else openai.APIStatusError)


class Seen(NamedTuple):
    """What the client got."""

    text: str
    finish: list
    headers: dict
    error: Optional[openai.OpenAIError]


async def ask(client, case):
    text, finish, headers, error = "", [], {}, None
    try:
        raw = await client.chat.completions.with_raw_response.create(
            model=case.model,
            messages=[{"role": "user", "content": case.question}],
            stream=case.stream,
            extra_headers={"x-dragoman-commit": "complete" if case.complete else "first_token"},
        )
        headers = raw.headers
        if case.stream:
            async for chunk in raw.parse():
                (choice,) = chunk.choices
                text += choice.delta.content or ""
                finish += [choice.finish_reason] if choice.finish_reason else []
        else:
            (choice,) = raw.parse().choices
            text, finish = choice.message.content, [choice.finish_reason]
    except openai.APIStatusError as raised:
        error, headers = raised, raised.response.headers
    except openai.OpenAIError as raised:
        error = raised
    return Seen(text, finish, headers, error)


async def ask_all(url):
    gates = {True: asyncio.Semaphore(SILENT_AT_ONCE), False: asyncio.Semaphore(AT_ONCE)}

    def is_silent(case):
        return case.fault.answer(case.format, case.stream) == SILENT

    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=HANGS) as client:

        async def one(case):
            async with gates[is_silent(case)]:
                # The SDK's timeout is for each read: an answer of nothing but pings would satisfy it.
                try:
                    return await asyncio.wait_for(ask(client, case), HANGS)
                except asyncio.TimeoutError as hung:
                    return Seen("", [], {}, hung)

        seen = await asyncio.gather(*map(one, CASES))
        return {case.number: seen for case, seen in zip(CASES, seen)}


@pytest.fixture(scope="module")
def seen(all_fakes, tmp_path_factory):
    """What the client got of each case, and the providers' records of it."""
    all_fakes.forget()
    with serving(all_fakes, configuration(all_fakes.addresses), tmp_path_factory.mktemp("matrix")) as url:
        answers = asyncio.run(ask_all(url))
        deadline = time.monotonic() + 5
        while all_fakes.open() and time.monotonic() < deadline:
            time.sleep(0.05)
        still_open = all_fakes.open()
    records = {}
    for record in all_fakes.requests():
        number = int(re.search(r"case-(\d+)\.", record["body"])[1])
        records.setdefault(number, []).append((record["provider"], record["at_ms"] / 1000))
    all_fakes.forget()
    return answers, records, still_open


def configuration(addresses):
    """Every fault as a model, and as the first target of a route."""
    nowhere = unused_address()
    providers, models, routes = {}, {}, {}
    for name in FORMATS:
        providers[name] = provider_entry(name, DESCRIBED[name], addresses[name])
        models[name] = model_entry(name, DESCRIBED[name])
    for case in CASES:
        provider, fault = case.format, case.fault
        if fault.address:
            provider = f"nobody-{case.format}-{ROWS.index(fault)}"
            url = fault.address.replace("$NOWHERE", nowhere)
            providers[provider] = providers[case.format] | {"url": url, "credential": "none"}
        models[case.target] = model_entry(case.format, DESCRIBED[case.format], fault.text) | {"provider": provider}
        if not case.alone:
            routes[case.model] = {"targets": [case.target, case.other]}
    seconds = {"first_token": FIRST_TOKEN, "answer": ANSWER, "idle": IDLE, "retry_after": RETRY_AFTER}
    limits = {name: f"{int(value * 1000)}ms" for name, value in seconds.items()}
    document = {"listen": "$LISTEN", "clients": {"keys": {"file": "keys.yaml"}}, "version": "matrix"}
    return json.dumps({**document, "providers": providers, "models": models, "routes": routes,
                       "limits": {**limits, "breaker": False}})


def outcome(case, seen, records):
    """The same as `expected`, of what has happened."""
    roles = {case.format: "first", case.other: "second"}
    tries = tuple(roles[provider] for provider, _ in records)
    if case.fault.address:
        # Nobody has seen it, and the number of attempts says so.
        unseen = int(seen.headers.get("x-dragoman-attempts", 0)) - len(tries)
        tries = ("first",) * unseen + tries
    if seen.error is None:
        return Outcome(tries, "whole")
    if isinstance(seen.error, openai.APIStatusError):
        return Outcome(tries, "told", type(seen.error), seen.error.status_code)
    return Outcome(tries, "broken", type(seen.error))


def problems_of(case, seen, records):
    """Whatever is wrong: first what holds for any fault, then what the tables say of this one."""
    by = case.format if "second" not in expected(case).tries else case.other
    whole = f'{by} fake: you said "{case.question}"'
    if seen.error is None:
        if seen.text != whole or seen.finish != ["stop"]:
            yield f"a clean end that is no whole answer: {seen.text!r} {seen.finish}"
    elif seen.finish or not whole.startswith(seen.text):
        yield f"an exception after {seen.text!r} {seen.finish}"
    was, is_expected = outcome(case, seen, records), expected(case)
    if was != is_expected:
        yield f"{was}, not {is_expected}: {seen.error!r}"
        return
    at_the_end = case.fault.text in ("no_finish", "done=missing")
    if was.end == "broken" and not 2 <= len(seen.text.split()) <= 3 and not at_the_end:
        yield f"{seen.text!r} is not what was said before it broke"
    names = {"first": case.target, "second": case.other}
    labels = [seen.headers.get(f"x-dragoman-{name}") for name in ("attempts", "model", "route", "version")]
    if labels != [str(len(was.tries)), names[was.tries[-1]], case.model, "matrix"]:
        yield f"the headers say {labels}"
    if was.end == "told":
        yield from problems_of_error(case, seen, was)
    yield from problems_of_times(case, records)


def problems_of_error(case, seen, was):
    body, code = seen.error.body, expected_code(case)
    if not isinstance(body, dict) or set(body) - {"attempts"} != {"message", "type", "param", "code"}:
        yield f"the error is {body}"
        return
    if code and body["code"] != code:
        yield f"the code is {body['code']!r}, not {code!r}"
    if not body["message"] or not body["type"] or "<" in body["message"] or "envoy" in body["message"].lower():
        yield f"the error is {body}"
    if len(body.get("attempts", [None])) != len(was.tries):
        yield f"the error tells of other attempts than {was.tries}: {body}"


def problems_of_times(case, records):
    """How long after one attempt the next came."""
    answer = case.fault.answer(case.format, case.stream)
    kind = getattr(answer, "kind", None)
    for (provider, before), (following, after) in zip(records, records[1:]):
        least, most = 0, 0
        if kind == "silent":
            least = most = FIRST_TOKEN if case.stream and not case.complete else ANSWER
        elif provider == following and is_waited_for(case.fault):
            # Envoy adds up to a half, so that not all come again at once.
            least, most = case.fault.asks, 1.5 * case.fault.asks
        if not least - EARLY <= after - before <= most + SLACK:
            yield f"{after - before:.3f} s from {provider} to {following}, not {least} to {most}"


def test_every_fault_has_its_outcome(seen):
    answers, records, _ = seen
    problems = [
        f"{case}: {problem}"
        for case in CASES
        for problem in problems_of(case, answers[case.number], records.get(case.number, []))
    ]
    assert not problems, f"{len(problems)} of {len(CASES)}\n" + "\n".join(problems)


def test_no_request_is_left_open_at_a_provider(seen):
    *_, still_open = seen
    assert still_open == 0


TOP = """\
# What a client sees of every fault

Every way in which the fake providers can fail or be odd, in each wire format, sent through Envoy with OpenAI's own
Python SDK without retries. `tests/sdk/test_matrix.py` writes this file from what it saw, after it has compared that with the
rules of [failures.md](failures.md): `UPDATE_GOLDEN=1 scripts/test sdk`. No request ends as if it were whole when it is not.

| in the tables | |
|---|---|
| answered | the whole answer of the target with the fault |
| next | the whole answer of the next target, which speaks another format |
| again, next | the same, after a second try of the first target |
| wait, again, next | the same, and the second try came after the time that the provider asked for |
| told 400 | that status at once: nobody else is asked |
| part, … | the first words, then this exception of the SDK; never a finish reason |
| (503) | the status that the client is told where there is no other target |

A JSON answer is passed on when it is whole, so that the commit point makes no difference to it.
"""


def words(case, outcome):
    if outcome.end == "whole":
        again = ["again"] if outcome.tries.count("first") == 2 else []
        wait = ["wait"] if again and is_waited_for(case.fault) else []
        following = ["next"] if outcome.tries[-1] == "second" else []
        return ", ".join([*wait, *again, *following]) or "answered"
    if outcome.end == "broken":
        return f"part, `{outcome.error.__name__}`"
    return f"told {outcome.status}"


def document(outcomes):
    """`outcomes` by (format, fault's place, stream, complete, alone)."""
    lines = [TOP]
    for title, faults in FAULTS.items():
        lines += [f"## {title}\n", "| fault | as the fakes have it | JSON | stream | stream, `complete` |", "|---|---|---|---|---|"]
        for fault in faults:
            cells = {}
            for name in fault.formats:
                cells.setdefault(tuple(row_of(outcomes, name, fault)), []).append(name)
            for row, names in cells.items():
                what = fault.what if len(cells) == 1 and fault.formats == FORMATS else f"{fault.what} ({', '.join(names)})"
                text = f"`{fault.text}`" if fault.text else ""
                lines.append(f"| {what} | {text} | {' | '.join(row)} |")
        lines.append("")
    told = sorted({outcome.status: outcome.error.__name__ for outcome in outcomes.values() if outcome.status}.items())
    lines += ["## Exceptions\n", "| status | the SDK raises |", "|---|---|"]
    lines += [f"| {status} | `{name}` |" for status, name in told]
    return "\n".join(lines) + "\n"


def row_of(outcomes, name, fault):
    place = ROWS.index(fault)
    for stream, points in ((False, (False, True)), (True, (False,)), (True, (True,))):
        texts = []
        for complete in points:
            with_other = outcomes[name, place, stream, complete, False]
            alone = outcomes[name, place, stream, complete, True]
            case = Case(0, name, fault, stream, complete, False)
            text = words(case, with_other)
            only_alone = alone.end == "told" and with_other.end != "told"
            texts.append(f"{text} ({alone.status})" if only_alone else text)
        assert len(set(texts)) == 1, f"{name} {fault.text}: the commit point made a difference to JSON: {texts}"
        yield texts[0]


def test_the_document_says_what_happens(seen):
    answers, records, _ = seen
    outcomes = {
        (case.format, ROWS.index(case.fault), *case[3:]): outcome(case, answers[case.number], records.get(case.number, []))
        for case in CASES
    }
    text = document(outcomes)
    if os.environ.get("UPDATE_GOLDEN"):
        DOCUMENT.write_text(text)
    assert DOCUMENT.is_file() and DOCUMENT.read_text() == text, "UPDATE_GOLDEN=1 rewrites docs/reliability.md"
