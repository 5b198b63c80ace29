"""The same twelve conversations with every kind of provider that has a fake, through OpenAI's own SDK.

A conversation checks what the SDK returns and what the provider received; where the gateway says no, the
cell says to which parameter. docs/compatibility.md has the table of what was seen, between two markers:
UPDATE_GOLDEN=1 rewrites it. Providers come from `dragoman-fakes --describe`, so that a new one joins by
itself.
"""

import base64
import json
import os
import pathlib
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, NamedTuple, Optional

import openai
import pytest

from conftest import KEY, model_entry, provider_entry, serving

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs/compatibility.md"
BEGIN, END = "<!-- conversations -->\n", "<!-- /conversations -->\n"

# A request that hangs is a failure of its conversation, not of the whole run.
TIMEOUT = 20
REFUSED = "I cannot help with that."

PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
        "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
    )
).decode()
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["city", "count"],
    "additionalProperties": False,
}


def tool(name, **properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": "A tool.", "parameters": schema}}


WEATHER = tool("get_weather", city={"type": "string"})
TIME = tool("get_time", offset={"type": "integer"})


def user(content):
    return {"role": "user", "content": content}


class Answer(NamedTuple):
    message: dict
    finish: str
    usage: openai.types.CompletionUsage
    thoughts: str
    without: set  # what the gateway says that it has left out

    @property
    def text(self):
        return self.message.get("content")

    @property
    def calls(self):
        calls = self.message.get("tool_calls") or []
        return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]

    @property
    def stock(self):
        """The message as a client sends it back that knows the standard fields and no other."""
        return {name: value for name, value in self.message.items() if name in ("role", "content", "tool_calls")}

    def results(self, *texts):
        calls = self.message["tool_calls"]
        assert len(calls) == len(texts)
        return [{"role": "tool", "tool_call_id": call["id"], "content": text} for call, text in zip(calls, texts)]


class Talk:
    """One conversation with one provider, streamed or not."""

    def __init__(self, client, fakes, provider, stream, word):
        self.client, self.fakes, self.provider, self.stream = client, fakes, provider, stream
        self.fake = fakes.descriptions[provider]
        # In every text of the user: the records of other conversations have another.
        self.word = word
        self.without = set()

    def ask(self, messages, model=None, **more):
        ask = self.client.chat.completions.with_raw_response.create
        model = model or self.provider
        if self.stream:
            raw = ask(model=model, messages=messages, stream=True, stream_options={"include_usage": True}, **more)
            answer = gathered(raw.parse())
        else:
            raw = ask(model=model, messages=messages, **more)
            answer = whole(raw.parse())
        left_out = raw.headers.get("x-dragoman-dropped", "")
        answer = answer._replace(without={name.strip() for name in left_out.split(",") if name.strip()})
        self.without |= answer.without
        usage = answer.usage
        assert usage and usage.prompt_tokens > 0 and usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        return answer

    def said(self, text):
        """What the fake says to a text that asks for nothing."""
        return f'{self.provider} fake: you said "{text}"'

    def received(self):
        """The bodies that reached the provider, oldest first."""
        path = f"/requests?provider={self.provider}&contains={self.word}"
        return [record["body"] for record in self.fakes.ask("GET", path)]


def whole(completion):
    (choice,) = completion.choices
    message = choice.message.model_dump(exclude_none=True)
    return Answer(message, choice.finish_reason, completion.usage, message.get("reasoning_content") or "", set())


def gathered(stream):
    """What a client makes of the chunks."""
    message, calls, thoughts, finish, usage = {"role": None}, {}, "", None, None
    for chunk in stream:
        assert usage is None, "a chunk after the usage"
        usage = chunk.usage
        for choice in chunk.choices:
            assert finish is None, "a choice after the finish reason"
            delta = choice.delta
            message["role"] = message["role"] or delta.role
            thoughts += (delta.model_extra or {}).get("reasoning_content") or ""
            for name in ("content", "refusal"):
                if getattr(delta, name):
                    message[name] = message.get(name, "") + getattr(delta, name)
            for call in delta.tool_calls or []:
                entry = calls.setdefault(call.index, {"id": call.id, "type": call.type, "name": "", "arguments": ""})
                entry["name"] += call.function.name or ""
                entry["arguments"] += call.function.arguments or ""
            finish = choice.finish_reason
    assert list(calls) == list(range(len(calls)))
    if calls:
        message["tool_calls"] = [
            {
                "id": call["id"],
                "type": call["type"],
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in calls.values()
        ]
    assert message["role"] == "assistant"
    return Answer(message, finish, usage, thoughts, set())


def text(talk):
    question = f"{talk.word} hello"
    answer = talk.ask([user(question)])
    assert (answer.text, answer.finish) == (talk.said(question), "stop")
    (body,) = talk.received()
    assert question in body


def system_prompt(talk):
    question = f"{talk.word} hello"
    answer = talk.ask([{"role": "system", "content": "Answer in one word."}, user(question)])
    assert (answer.text, answer.finish) == (talk.said(question), "stop")
    (body,) = talk.received()
    assert body.count("Answer in one word.") == 1


def multi_turn(talk):
    messages = [user(f"{talk.word} one")]
    for number in ("two", "three"):
        answer = talk.ask(messages)
        assert answer.text == talk.said(messages[-1]["content"])
        messages += [answer.stock, user(f"{talk.word} {number}")]
    assert talk.ask(messages).text == talk.said(f"{talk.word} three")
    last = talk.received()[-1]
    places = [last.index(f"{talk.word} {number}") for number in ("one", "two", "three")]
    assert places == sorted(places) and last.count("you said") == 2


def one_tool_call(talk):
    messages = [user(f"{talk.word} use a tool")]
    answer = talk.ask(messages, tools=[WEATHER, TIME])
    assert (answer.calls, answer.finish) == ([("get_weather", {"city": "text"})], "tool_calls")
    messages += [answer.stock, *answer.results("sunny, 20 degrees")]
    answer = talk.ask(messages, tools=[WEATHER, TIME])
    assert answer.text == f"{talk.provider} fake: the tools said sunny, 20 degrees" and answer.finish == "stop"
    first, second = talk.received()
    assert "get_weather" in first and "get_time" in first and "sunny, 20 degrees" in second


def parallel_calls(talk):
    messages = [user(f"{talk.word} use all tools")]
    answer = talk.ask(messages, tools=[WEATHER, TIME])
    assert answer.calls == [("get_weather", {"city": "text"}), ("get_time", {"offset": 1})]
    assert answer.finish == "tool_calls" and len({call["id"] for call in answer.message["tool_calls"]}) == 2
    messages += [answer.stock, *answer.results("sunny", "noon")]
    answer = talk.ask(messages, tools=[WEATHER, TIME])
    assert answer.text == f"{talk.provider} fake: the tools said sunny, noon" and answer.finish == "stop"


def image(talk):
    question = f"{talk.word} what is this?"
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    answer = talk.ask([user([{"type": "text", "text": question}, picture])])
    assert answer.text == talk.said(question)
    (body,) = talk.received()
    assert PIXEL in body


def json_schema(talk):
    wanted = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": SCHEMA}}
    answer = talk.ask([user(f"{talk.word} the weather")], response_format=wanted)
    assert json.loads(answer.text) == {"city": "text", "count": 1} and answer.finish == "stop"


def json_object(talk):
    answer = talk.ask([user(f"{talk.word} the weather, as JSON")], response_format={"type": "json_object"})
    assert isinstance(json.loads(answer.text), dict) and answer.finish == "stop"


def reasoning(talk):
    settings = {"tools": [WEATHER], "reasoning_effort": "high"}
    messages = [user(f"{talk.word} think, then use a tool")]
    answer = talk.ask(messages, **settings)
    assert (answer.calls, answer.finish) == ([("get_weather", {"city": "text"})], "tool_calls")
    thought = reasons(answer)
    messages += [answer.stock, *answer.results("sunny")]
    answer = talk.ask(messages, **settings)
    assert answer.text == f"{talk.provider} fake: the tools said sunny"
    messages += [answer.stock, user(f"{talk.word} thanks")]
    assert talk.ask(messages, **settings).text == talk.said(f"{talk.word} thanks")
    second = talk.received()[1]
    if thought and talk.fake["state"]:
        state = {"signature": r"Eq\+\\?/Fake", "text": "I think about"}[talk.fake["state"]]
        assert re.search(state, second), "the provider did not get back what it handed out"
    return thought


def reasons(answer):
    """How a client notices that the model thinks."""
    details = answer.usage.completion_tokens_details
    counted = details is not None and (details.reasoning_tokens or 0) > 0
    return "thoughts shown" if answer.thoughts else "thoughts counted" if counted else None


def stop_and_length(talk):
    answer = talk.ask([user(f"{talk.word} one two three four")], stop=["three"])
    assert answer.text == talk.said(f"{talk.word} one two ").removesuffix('"') and answer.finish == "stop"
    answer = talk.ask([user(f"{talk.word} one two three four")], max_tokens=5)
    assert answer.finish == "length" and answer.text and "two" not in answer.text


def refusal(talk):
    answer = talk.ask([user(f"{talk.word} refuse")])
    said = answer.message.get("refusal") or answer.text or ""
    assert said in (REFUSED, "")
    if answer.message.get("refusal"):
        return "`refusal`"
    return f"`{answer.finish}`" if answer.finish == "content_filter" else "in the text"


def context_too_long(talk):
    with pytest.raises(openai.BadRequestError) as raised:
        talk.ask([user(f"{talk.word} hello")], model=f"{talk.provider}/too-long")
    assert raised.value.code == "context_length_exceeded"
    assert len(talk.received()) == 1


class Conversation(NamedTuple):
    hold: Callable
    needs: Optional[str] = None  # what some models cannot do: see `lacks` in `dragoman-fakes --describe`


# By the columns of the table.
CONVERSATIONS = {
    "text": Conversation(text),
    "system": Conversation(system_prompt),
    "turns": Conversation(multi_turn),
    "tool": Conversation(one_tool_call, "tools"),
    "tools": Conversation(parallel_calls, "parallel_tools"),
    "image": Conversation(image, "images"),
    "schema": Conversation(json_schema, "json_schema"),
    "JSON": Conversation(json_object, "json_object"),
    "reasoning": Conversation(reasoning),
    "stop": Conversation(stop_and_length),
    "refusal": Conversation(refusal),
    "too long": Conversation(context_too_long),
}


class Cell(NamedTuple):
    text: str
    problem: Optional[str] = None


def held(talk, conversation):
    """How a conversation went: what the table says of it, or what is wrong with it."""
    try:
        note = conversation.hold(talk)
    except (openai.BadRequestError, openai.NotFoundError) as refused:
        if refused.code in ("unsupported_parameter", "unsupported_value") and refused.param:
            return Cell(f"refused: `{refused.param}`")
        if talk.received() and conversation.needs in talk.fake["lacks"]:
            return Cell("refused by the provider")
        return Cell("broken", f"{refused!r}\nthe provider received {talk.received()}")
    except (AssertionError, openai.OpenAIError, ValueError, KeyError, TypeError) as problem:
        return Cell("broken", f"{type(problem).__name__}: {problem}\nthe provider received {talk.received()}")
    left_out = ", ".join(f"`{name}`" for name in sorted(talk.without))
    notes = [note] if note else []
    notes += [f"without {left_out}"] if left_out else []
    return Cell("yes" + (f", {'; '.join(notes)}" if notes else ""))


def configuration(fakes, names):
    providers, models = {}, {}
    for name in names:
        fake = fakes.descriptions[name]
        providers[name] = provider_entry(name, fake, fakes.addresses[name])
        models[name] = model_entry(name, fake) | {"reasoning": True}
        models[f"{name}/too-long"] = model_entry(name, fake, "error=context_length_exceeded")
    document = {"listen": "$LISTEN", "clients": {"keys": {"file": "keys.yaml"}}, "version": "conversations"}
    return json.dumps({**document, "providers": providers, "models": models})


@pytest.fixture(scope="module")
def cells(all_fakes, gateway_kinds, tmp_path_factory):
    """By provider, conversation and whether it was streamed."""
    names = [name for name, fake in all_fakes.descriptions.items() if fake["kind"] in gateway_kinds]
    talks = [(name, what, stream) for name in names for what in CONVERSATIONS for stream in (False, True)]
    all_fakes.forget()
    with serving(all_fakes, configuration(all_fakes, names), tmp_path_factory.mktemp("conversations")) as url:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=TIMEOUT) as client:

            def hold(number):
                name, what, stream = talks[number]
                talk = Talk(client, all_fakes, name, stream, f"talk-{number}.")
                return held(talk, CONVERSATIONS[what])

            with ThreadPoolExecutor(16) as threads:
                results = list(threads.map(hold, range(len(talks))))
    all_fakes.forget()
    return dict(zip(talks, results))


def test_every_conversation_works_or_is_refused(cells):
    problems = [
        f"{name}, {what}, {'stream' if stream else 'JSON'}: {cell.problem}"
        for (name, what, stream), cell in cells.items()
        if cell.problem
    ]
    assert not problems, f"{len(problems)} of {len(cells)}\n\n" + "\n\n".join(problems)


def table(cells):
    names = list(dict.fromkeys(name for name, _, _ in cells))
    lines = ["|  | " + " | ".join(CONVERSATIONS) + " |", "|---" * (len(CONVERSATIONS) + 1) + "|"]
    for name in names:
        row = []
        for what in CONVERSATIONS:
            whole, streamed = (cells[name, what, stream].text for stream in (False, True))
            row.append(whole if whole == streamed else f"{whole}; streamed: {streamed}")
        lines.append(f"| `{name}` | {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def test_the_document_has_the_table(cells):
    document = DOCUMENT.read_text()
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    expected = f"{before}{BEGIN}{table(cells)}{END}{after}"
    if os.environ.get("UPDATE_GOLDEN") and not any(cell.problem for cell in cells.values()):
        DOCUMENT.write_text(expected)
    assert DOCUMENT.read_text() == expected, "UPDATE_GOLDEN=1 rewrites docs/compatibility.md"
