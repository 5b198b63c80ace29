"""Tools over two turns: the calls, then the answer from their results."""

import json
from typing import Literal

import openai
import pytest
from pydantic import BaseModel


def function(name, **properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": "A tool.", "parameters": schema}}


WEATHER = function("get_weather", city={"type": "string"}, unit={"type": "string", "enum": ["celsius", "fahrenheit"]})
TIME = function("get_time", zone={"type": "string"}, offset={"type": "integer"})
NOW = function("now")

ARGUMENTS = {
    "get_weather": {"city": "text", "unit": "celsius"},
    "get_time": {"zone": "text", "offset": 1},
    "now": {},
}


def called(calls):
    return [(call.type, call.function.name, json.loads(call.function.arguments)) for call in calls]


def expected(*names):
    return [("function", name, ARGUMENTS[name]) for name in names]


def answer(client, served, messages, tools, message, ids):
    """The second turn: the model's message goes back, with the results behind it."""
    results = [
        {"role": "tool", "tool_call_id": id, "content": f"result {number}"} for number, id in enumerate(ids)
    ]
    request = {"model": served.name, "messages": [*messages, message, *results], "tools": tools}
    said = f"{served.provider} fake: the tools said " + ", ".join(result["content"] for result in results)
    completion = client.chat.completions.create(**request)
    assert completion.choices[0].message.content == said
    assert completion.choices[0].finish_reason == "stop"
    chunks = client.chat.completions.create(**request, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == said


def test_one_call(client, served):
    messages = [{"role": "user", "content": "use a tool"}]
    choice = client.chat.completions.create(model=served.name, messages=messages, tools=[WEATHER, TIME]).choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    calls = choice.message.tool_calls
    assert called(calls) == expected("get_weather")
    answer(client, served, messages, [WEATHER, TIME], choice.message, [calls[0].id])


def test_parallel_calls(client, served):
    messages = [{"role": "user", "content": "use all tools"}]
    tools = [WEATHER, TIME, NOW]
    choice = client.chat.completions.create(model=served.name, messages=messages, tools=tools).choices[0]
    assert choice.finish_reason == "tool_calls"
    calls = choice.message.tool_calls
    assert called(calls) == expected("get_weather", "get_time", "now")
    assert len({call.id for call in calls}) == 3
    answer(client, served, messages, tools, choice.message, [call.id for call in calls])


def test_results_in_another_order_stay_with_their_calls(client, fakes, single):
    messages = [{"role": "user", "content": "use all tools"}]
    request = {"model": single.name, "tools": [WEATHER, TIME]}
    message = client.chat.completions.create(**request, messages=messages).choices[0].message
    ids = [call.id for call in message.tool_calls]
    results = [{"role": "tool", "tool_call_id": id, "content": f"of {id}"} for id in reversed(ids)]
    assert client.chat.completions.create(**request, messages=[*messages, message, *results]).choices
    sent = fakes.last_body(single.provider)["messages"]
    if single.is_openai:
        assert sent[2:] == results
    else:
        said = {block["tool_use_id"]: block["content"] for block in sent[-1]["content"]}
        assert said == {id: f"of {id}" for id in ids}


def test_parallel_calls_streamed(client, served):
    """Put together by hand, as many programs do: by index, names and ids once, arguments in pieces."""
    messages = [{"role": "user", "content": "use all tools"}]
    tools = [WEATHER, TIME, NOW]
    calls, reasons = {}, []
    for chunk in client.chat.completions.create(model=served.name, messages=messages, tools=tools, stream=True):
        (choice,) = chunk.choices
        reasons += [choice.finish_reason] if choice.finish_reason else []
        for piece in choice.delta.tool_calls or []:
            if piece.index not in calls:
                assert piece.id and piece.function.name and piece.type == "function"
                calls[piece.index] = {"id": piece.id, "name": piece.function.name, "pieces": []}
            else:
                assert piece.id is None and piece.function.name is None
            calls[piece.index]["pieces"].append(piece.function.arguments or "")
    assert reasons == ["tool_calls"] and list(calls) == [0, 1, 2]
    assert len(calls[0]["pieces"]) > 3, "arguments come in pieces"
    whole = [(call["name"], json.loads("".join(call["pieces"]))) for call in calls.values()]
    assert whole == [(name, ARGUMENTS[name]) for name in ("get_weather", "get_time", "now")]
    written = [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": "".join(call["pieces"])},
        }
        for call in calls.values()
    ]
    message = {"role": "assistant", "content": None, "tool_calls": written}
    answer(client, served, messages, tools, message, [call["id"] for call in written])


def test_parallel_calls_with_the_stream_helper(client, served):
    messages = [{"role": "user", "content": "use all tools"}]
    tools = [WEATHER, TIME, NOW]
    with client.chat.completions.stream(model=served.name, messages=messages, tools=tools) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        message = stream.get_final_completion().choices[0].message
    assert [(event.name, json.loads(event.arguments)) for event in done] == [
        (name, ARGUMENTS[name]) for name in ("get_weather", "get_time", "now")
    ]
    assert called(message.tool_calls) == expected("get_weather", "get_time", "now")


@pytest.mark.parametrize(("first", "second"), [("gpt", "claude"), ("claude", "gpt")])
def test_conversation_moves_to_the_other_provider_between_turns(client, first, second):
    """As it does when the first fails in the meantime: ids of calls are taken as they were given."""
    messages = [{"role": "user", "content": "use all tools"}]
    request = {"messages": messages, "tools": [WEATHER, TIME]}
    message = client.chat.completions.create(model=first, **request).choices[0].message
    messages.append(message)
    for call in message.tool_calls:
        messages.append({"role": "tool", "tool_call_id": call.id, "content": call.function.name})
    answer = client.chat.completions.create(model=second, **request).choices[0].message
    assert answer.content.endswith("the tools said get_weather, get_time")


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
        ("none", None),
    ],
    ids=["required", "named", "none"],
)
def test_tool_choice(client, single, choice, names):
    messages = [{"role": "user", "content": "hello"}]
    message = (
        client.chat.completions.create(
            model=single.name, messages=messages, tools=[WEATHER, TIME], tool_choice=choice
        )
        .choices[0]
        .message
    )
    assert called(message.tool_calls or []) == expected(*names or [])


def test_one_call_at_a_time(client, single):
    messages = [{"role": "user", "content": "use all tools"}]
    completion = client.chat.completions.create(
        model=single.name, messages=messages, tools=[WEATHER, TIME], parallel_tool_calls=False
    )
    assert called(completion.choices[0].message.tool_calls) == expected("get_weather")


class Lookup(BaseModel):
    """A tool as the SDK makes it from a class: strict, so that the arguments can be trusted."""

    city: str
    unit: Literal["celsius", "fahrenheit"]
    days: int


def test_arguments_as_the_sdks_own_objects(client, served):
    tools = [openai.pydantic_function_tool(Lookup)]
    request = {"model": served.name, "messages": [{"role": "user", "content": "use a tool"}], "tools": tools}
    whole = client.chat.completions.parse(**request)
    with client.chat.completions.stream(**request) as stream:
        streamed = stream.get_final_completion()
    for completion in (whole, streamed):
        (call,) = completion.choices[0].message.tool_calls
        assert call.function.parsed_arguments == Lookup(city="text", unit="celsius", days=1)
