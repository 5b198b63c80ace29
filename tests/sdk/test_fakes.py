"""The fake providers, each proven by its vendor's own SDK, without the gateway between them.

The SDK reads whole answers, streams and calls of tools, and types what it reads; then requests that the
vendor documents as wrong are refused in its own words. A new format is a class and its rows of BAD.
"""

import json
import urllib.error
import urllib.request

import anthropic
import cohere
import dashscope
import groq
import mistralai.client
import openai
import pytest

from conftest import described

DESCRIBED = described()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ARGUMENTS = {"city": "text"}


class ChatCompletions:
    """OpenAI's own SDK, which is what the vendors of its format recommend, too."""

    path = "/chat/completions"
    wrong_key = 401
    tool = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}

    def __init__(self, name, url, key):
        self.model = DESCRIBED[name]["model"]
        self.client = openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=10)

    def create(self, text, **more):
        messages = [{"role": "user", "content": text}]
        return self.client.chat.completions.create(model=self.model, messages=messages, **more)

    def text(self):
        answer = self.create("hello")
        assert answer.choices[0].finish_reason == "stop" and answer.usage.total_tokens > 0
        return answer.choices[0].message.content

    def stream(self):
        chunks = list(self.create("hello", stream=True))
        finish = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
        assert finish[-1] == "stop" and set(finish[:-1]) == {None}
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    def call(self):
        message = self.create("use a tool", tools=[self.tool]).choices[0].message
        (call,) = message.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        history = [{"role": "user", "content": "use a tool"}, message.model_dump(exclude_none=True), result]
        completions = self.client.chat.completions
        answer = completions.create(model=self.model, tools=[self.tool], messages=history)
        return call.function.name, json.loads(call.function.arguments), answer.choices[0].message.content

    def streamed_call(self):
        name, arguments = "", ""
        for chunk in self.create("use a tool", tools=[self.tool], stream=True):
            for call in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
                name += call.function.name or ""
                arguments += call.function.arguments or ""
        return name, json.loads(arguments)

    def error(self):
        with pytest.raises(openai.BadRequestError) as raised:
            self.client.chat.completions.create(
                model=f"{self.model}?error=context_length_exceeded", messages=[{"role": "user", "content": "hi"}]
            )
        return str(raised.value)

    def good(self):
        return {"model": self.model, "messages": [{"role": "user", "content": "hi"}]}

    def headers(self, key):
        return {"authorization": f"Bearer {key}"}


class Azure(ChatCompletions):
    """OpenAI's SDK again, by the client that has the deployment in the path."""

    def __init__(self, name, url, key):
        self.model = DESCRIBED[name]["model"]
        version = DESCRIBED[name]["provider"]["api_version"]
        self.path = f"/openai/deployments/{self.model}/chat/completions?api-version={version}"
        self.client = openai.AzureOpenAI(
            azure_endpoint=url, api_key=key, api_version=version, max_retries=0, timeout=10
        )

    def headers(self, key):
        return {"api-key": key}


class Groq(ChatCompletions):
    """Groq's own SDK, which was made from the same mould."""

    def __init__(self, name, url, key):
        self.model = DESCRIBED[name]["model"]
        self.client = groq.Groq(base_url=url.removesuffix("/openai/v1"), api_key=key, max_retries=0, timeout=10)

    def error(self):
        with pytest.raises(groq.BadRequestError) as raised:
            self.create("hi", extra_body={"model": f"{self.model}?error=context_length_exceeded"})
        return str(raised.value)


class Mistral(ChatCompletions):
    """Mistral's own SDK."""

    def __init__(self, name, url, key):
        self.model = DESCRIBED[name]["model"]
        self.client = mistralai.client.Mistral(server_url=url.removesuffix("/v1"), api_key=key, timeout_ms=10_000)

    def ask(self, messages, **more):
        return self.client.chat.complete(model=self.model, messages=messages, **more)

    def create(self, text, stream=False, **more):
        messages = [{"role": "user", "content": text}]
        if not stream:
            return self.ask(messages, **more)
        return [event.data for event in self.client.chat.stream(model=self.model, messages=messages, **more)]

    def call(self):
        message = self.create("use a tool", tools=[self.tool]).choices[0].message
        (call,) = message.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        answer = self.ask([{"role": "user", "content": "use a tool"}, message, result], tools=[self.tool])
        return call.function.name, json.loads(call.function.arguments), answer.choices[0].message.content

    def error(self):
        with pytest.raises(mistralai.client.errors.SDKError) as raised:
            messages = [{"role": "user", "content": "hi"}]
            self.client.chat.complete(model=f"{self.model}?error=context_length_exceeded", messages=messages)
        return str(raised.value)


class Watsonx(ChatCompletions):
    """No SDK: IBM's logs in at its cloud before it asks anything. Answers are read by OpenAI's types."""

    path = "/ml/v1/text/chat?version=2024-03-13"

    def __init__(self, name, url, key):
        self.model, self.url, self.key = DESCRIBED[name]["model"], url, key

    def post(self, path, body):
        data = json.dumps(body | {"model_id": body.get("model_id", self.model), "project_id": "p"}).encode()
        headers = {"content-type": "application/json", **self.headers(self.key)}
        return urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers), timeout=10)

    def ask(self, messages, **more):
        with self.post(self.path, {"messages": messages, **more}) as answer:
            return openai.types.chat.ChatCompletion.construct(**json.load(answer))

    def create(self, text, stream=False, **more):
        messages = [{"role": "user", "content": text}]
        return self.chunks(messages, **more) if stream else self.ask(messages, **more)

    def chunks(self, messages, **more):
        with self.post(self.path.replace("chat", "chat_stream"), {"messages": messages, **more}) as answer:
            events = [event.split("\n") for event in answer.read().decode().strip().split("\n\n")]
        for number, (first, second, data) in enumerate(events):
            assert (first, second) == (f"id: {number + 1}", "event: message")
            yield openai.types.chat.ChatCompletionChunk.construct(**json.loads(data.removeprefix("data: ")))

    def call(self):
        message = self.create("use a tool", tools=[self.tool]).choices[0].message
        (call,) = message.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        history = [{"role": "user", "content": "use a tool"}, message.model_dump(exclude_none=True), result]
        answer = self.ask(history, tools=[self.tool])
        return call.function.name, json.loads(call.function.arguments), answer.choices[0].message.content

    def error(self):
        body = {"messages": [{"role": "user", "content": "hi"}]}
        with pytest.raises(urllib.error.HTTPError) as raised:
            self.post(self.path, body | {"model_id": f"{self.model}?error=context_length_exceeded"})
        return raised.value.read().decode()

    def good(self):
        return {"model_id": self.model, "project_id": "p", "messages": [{"role": "user", "content": "hi"}]}


class Messages:
    """Anthropic's own SDK."""

    path = "/v1/messages"
    wrong_key = 401
    tool = {"name": "f", "input_schema": SCHEMA}

    def __init__(self, name, url, key):
        self.model = DESCRIBED[name]["model"]
        self.client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=10)

    def create(self, text, **more):
        return self.client.messages.create(**self.good(text), **more)

    def text(self):
        answer = self.create("hello")
        assert answer.stop_reason == "end_turn" and answer.usage.output_tokens > 0
        return answer.content[0].text

    def stream(self):
        with self.client.messages.stream(**self.good("hello")) as stream:
            text = "".join(stream.text_stream)
            assert stream.get_final_message().stop_reason == "end_turn"
        return text

    def call(self):
        answer = self.create("use a tool", tools=[self.tool])
        (block,) = answer.content
        result = {"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}
        history = [
            {"role": "user", "content": "use a tool"},
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": [result]},
        ]
        request = self.good("") | {"messages": history}
        return block.name, block.input, self.client.messages.create(**request, tools=[self.tool]).content[0].text

    def streamed_call(self):
        with self.client.messages.stream(**self.good("use a tool"), tools=[self.tool]) as stream:
            (block,) = stream.get_final_message().content
        return block.name, block.input

    def error(self):
        with pytest.raises(anthropic.BadRequestError) as raised:
            self.client.messages.create(**self.good("hi") | {"model": f"{self.model}?error=context_length_exceeded"})
        return str(raised.value)

    def good(self, text="hi"):
        return {"model": self.model, "max_tokens": 100, "messages": [{"role": "user", "content": text}]}

    def headers(self, key):
        return {"x-api-key": key, "anthropic-version": "2026-10-21"}


class ChatV2:
    """Cohere's own SDK."""

    path = "/v2/chat"
    wrong_key = 401
    tool = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}

    def __init__(self, name, url, key):
        self.model = DESCRIBED[name]["model"]
        self.client = cohere.ClientV2(api_key=key, base_url=url, timeout=10)

    def text(self):
        answer = self.client.chat(**self.good("hello"))
        assert answer.finish_reason == "COMPLETE" and answer.usage.tokens.output_tokens > 0
        (block,) = answer.message.content
        return block.text

    def stream(self):
        text, events = "", list(self.client.chat_stream(**self.good("hello")))
        assert [events[0].type, events[-1].type] == ["message-start", "message-end"]
        assert events[-1].delta.finish_reason == "COMPLETE" and events[-1].delta.usage.tokens.input_tokens > 0
        for event in events:
            text += event.delta.message.content.text if event.type == "content-delta" else ""
        return text

    def call(self):
        message = self.client.chat(**self.good("use a tool"), tools=[self.tool]).message
        (call,) = message.tool_calls
        assert message.tool_plan
        document = {"type": "document", "document": {"data": {"weather": "sunny"}}}
        result = {"role": "tool", "tool_call_id": call.id, "content": [document]}
        request = self.good("use a tool")
        messages = [*request["messages"], message, result]
        answer = self.client.chat(**request | {"messages": messages}, tools=[self.tool])
        return call.function.name, json.loads(call.function.arguments), answer.message.content[0].text

    def streamed_call(self):
        name, arguments, plan = "", "", ""
        for event in self.client.chat_stream(**self.good("use a tool"), tools=[self.tool]):
            if event.type == "tool-plan-delta":
                plan += event.delta.message.tool_plan
            if event.type == "tool-call-start":
                name += event.delta.message.tool_calls.function.name
            if event.type == "tool-call-delta":
                arguments += event.delta.message.tool_calls.function.arguments
        assert plan
        return name, json.loads(arguments)

    def error(self):
        with pytest.raises(cohere.BadRequestError) as raised:
            self.client.chat(**self.good() | {"model": f"{self.model}?error=context_length_exceeded"})
        return str(raised.value)

    def good(self, text="hi"):
        return {"model": self.model, "messages": [{"role": "user", "content": text}]}

    def headers(self, key):
        return {"authorization": f"Bearer {key}"}


class Generation:
    """DashScope's own SDK, which returns what others raise."""

    path = "/services/aigc/text-generation/generation"
    wrong_key = 401
    tool = {"type": "function", "function": {"name": "f", "description": "A tool.", "parameters": SCHEMA}}
    calls = dashscope.Generation

    def __init__(self, name, url, key):
        self.model, self.key = DESCRIBED[name]["model"], key
        dashscope.base_http_api_url = url

    def ask(self, messages, model=None, **more):
        settings = {"api_key": self.key, "result_format": "message", "request_timeout": 10}
        return self.calls.call(model=model or self.model, messages=messages, **settings | more)

    def user(self, text):
        return {"role": "user", "content": self.content(text)}

    def content(self, text):
        return text

    def said(self, message):
        return message.content

    def text(self):
        answer = self.ask([self.user("hello")])
        assert answer.status_code == 200, answer
        assert answer.output.choices[0].finish_reason == "stop" and answer.usage.output_tokens > 0
        return self.said(answer.output.choices[0].message)

    def stream(self):
        answers = list(self.ask([self.user("hello")], stream=True, incremental_output=True))
        choices = [answer.output.choices[0] for answer in answers]
        assert choices[-1].finish_reason == "stop" and {choice.finish_reason for choice in choices[:-1]} == {"null"}
        assert answers[-1].usage.output_tokens > answers[0].usage.output_tokens > 0
        return "".join(self.said(choice.message) for choice in choices)

    def call(self):
        message = self.ask([self.user("use a tool")], tools=[self.tool]).output.choices[0].message
        (call,) = message["tool_calls"]
        called = {"role": "assistant", "content": message.content, "tool_calls": message["tool_calls"]}
        result = {"role": "tool", "tool_call_id": call["id"], "content": self.content("sunny")}
        answer = self.ask([self.user("use a tool"), called, result], tools=[self.tool])
        function = call["function"]
        return function["name"], json.loads(function["arguments"]), self.said(answer.output.choices[0].message)

    def streamed_call(self):
        # The SDK itself adds up the pieces where it is not told that they are wanted.
        for answer in self.ask([self.user("use a tool")], tools=[self.tool], stream=True, incremental_output=False):
            assert answer.status_code == 200, answer
        (call,) = answer.output.choices[0].message["tool_calls"]
        return call["function"]["name"], json.loads(call["function"]["arguments"])

    def error(self):
        answer = self.ask([self.user("hi")], model=f"{self.model}?error=context_length_exceeded")
        assert answer.status_code == 400 and answer.code == "InvalidParameter"
        return answer.message

    def good(self):
        return {"model": self.model, "input": {"messages": [self.user("hi")]}, "parameters": {}}

    def headers(self, key):
        return {"authorization": f"Bearer {key}"}


class MultiModalConversation(Generation):
    """The same for models with eyes."""

    path = "/services/aigc/multimodal-generation/generation"
    calls = dashscope.MultiModalConversation

    def content(self, text):
        return [{"text": text}]

    def said(self, message):
        return "".join(block["text"] for block in message.content)


# By the fake's name, or else by its format: see `dragoman-fakes --describe`.
SDKS = {
    "openai": ChatCompletions,
    "azure": Azure,
    "groq": Groq,
    "mistral": Mistral,
    "watsonx": Watsonx,
    "anthropic": Messages,
    "cohere": ChatV2,
    "dashscope": Generation,
    "dashscope-multimodal": MultiModalConversation,
}


def sdk_of(name):
    return SDKS.get(name) or SDKS.get(DESCRIBED[name]["format"])


SEED = {"seed": 1}
CALLS = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
USER = {"role": "user", "content": "hi"}
TOOL = ChatCompletions.tool

# What each vendor refuses, as a change of a good request: the status, and words of the vendor's.
BAD = {
    "openai": [
        ({"foo": 1}, 400, "Unrecognized request argument supplied: foo"),
        ({"temperature": 3}, 400, "temperature"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": CALLS}, USER]}, 400, "tool_call_id"),
        ({"response_format": {"type": "json_object"}}, 400, "must contain the word 'json'"),
        ({"model": "llama"}, 404, "model_not_found"),
    ],
    "mistral": [
        (SEED, 422, '"extra_forbidden"'),
        ({"stream": True, "stream_options": {"include_usage": True}}, 422, '"stream_options"'),
        ({"messages": [{"role": "developer", "content": "x"}, USER]}, 422, '"role"'),
        ({"messages": [USER, {"role": "assistant", "tool_calls": CALLS}]}, 400, "with a length of 9"),
        ({"temperature": 1.6}, 400, "1.5"),
    ],
    "deepseek": [
        ({"response_format": {"type": "json_schema"}}, 400, "unknown variant `json_schema`"),
        ({"messages": [{"role": "developer", "content": "x"}, USER]}, 400, "unknown variant `developer`"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": CALLS}]}, 400, "must be passed back to the API"),
    ],
    "qwen": [
        ({"tool_choice": "required", "tools": [TOOL]}, 400, "tool_choice"),
        ({"temperature": 2}, 400, "temperature"),
    ],
    "moonshot": [
        ({"temperature": 1.5}, 400, "temperature"),
        ({"n": 2}, 400, "'n'"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": CALLS}]}, 400, "must be passed back to the API"),
    ],
    "groq": [
        ({"foo": 1}, 400, "property 'foo' is unsupported"),
        ({"n": 2}, 400, "'n'"),
        ({"logprobs": True}, 400, "unsupported"),
        ({"messages": [USER, {"role": "assistant", "content": "x", "refusal": None}]}, 400, "unsupported"),
    ],
    "openrouter": [
        ({"messages": [USER, {"role": "assistant", "tool_calls": CALLS}], "reasoning_effort": "low"}, 400, "reasoning"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "robot"),
    ],
    "azure": [
        ({"foo": 1}, 400, "Unrecognized request argument supplied: foo"),
        ({"temperature": 3}, 400, "temperature"),
    ],
    "watsonx": [
        ({"foo": 1}, 400, '"invalid_request_entity"'),
        ({"stream": True}, 400, '"invalid_request_entity"'),
        ({"tool_choice": "auto", "tools": [TOOL]}, 400, "tool_choice_option"),
    ],
    "anthropic": [
        ({"foo": 1}, 400, "foo: Extra inputs are not permitted"),
        ({"max_tokens": None}, 400, "max_tokens"),
        ({"temperature": 0.5}, 400, "temperature"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, 400, "not supported for this model"),
        ({"messages": [{"role": "assistant", "content": "hi"}]}, 400, 'must use the \\"user\\" role'),
        ({"messages": [USER, {"role": "assistant", "content": "hi"}]}, 400, "prefill"),
        ({"model": "gpt-fake"}, 404, "not_found_error"),
    ],
    "cohere": [
        ({"foo": 1}, 422, "unknown field: parameter foo is not a valid field"),
        ({"model": None}, 400, "a model parameter is required for this endpoint."),
        ({"model": "gpt-fake"}, 404, "make sure the correct model ID was used"),
        ({"temperature": 1.5}, 400, "temperature must be between 0 and 1.0 inclusive."),
        ({"frequency_penalty": 0.1, "presence_penalty": 0.1}, 400, "cannot specify both"),
        ({"messages": [USER, {"role": "system", "content": "x"}, USER]}, 400, "system turn must be the first"),
        ({"messages": [{"role": "user", "content": ""}]}, 400, "message must not be empty in a turn"),
        ({"messages": [USER, {"role": "tool", "tool_call_id": "a", "content": "x"}]}, 400, "tool call id not found"),
        ({"tools": [{"type": "function", "function": {"name": "a.b", "parameters": SCHEMA}}]}, 400, "A-Za-z0-9_"),
    ],
    "dashscope": [
        ({"input": None}, 400, "BadRequest.EmptyInput"),
        ({"model": "gpt-fake"}, 404, "ModelNotFound"),
        ({"model": "qwen-vl-fake"}, 400, "url error, please check url!"),
        ({"input": {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}}, 400, "input content must be a string."),
        ({"parameters": {"temperature": 2}}, 400, "Temperature should be in [0.0, 2.0)"),
        ({"parameters": {"incremental_output": True}}, 400, "incremental_output only support stream call"),
        ({"parameters": {"response_format": {"type": "json_object"}}}, 400, "must contain the word 'json'"),
    ],
    "dashscope-multimodal": [
        ({"model": "qwen-fake"}, 400, "url error, please check url!"),
        ({"input": {"messages": [{"role": "user", "content": [{"type": "text"}]}]}}, 400, "of a certain modal"),
        ({"parameters": {"top_p": 0}}, 400, "Range of top_p should be (0.0, 1.0]"),
    ],
}


def test_every_fake_is_proven():
    assert all(map(sdk_of, DESCRIBED)), "a fake that no SDK proves"
    assert set(DESCRIBED) == set(BAD), "a fake whose refusals nobody has seen"


@pytest.fixture(params=DESCRIBED)
def name(request):
    return request.param


@pytest.fixture
def sdk(name, fakes):
    return sdk_of(name)(name, fakes.addresses[name], fakes.addresses[f"{name}_key"])


def test_sdk_reads_an_answer(name, sdk):
    assert sdk.text() == f'{name} fake: you said "hello"'


def test_sdk_reads_a_stream(name, sdk):
    assert sdk.stream() == f'{name} fake: you said "hello"'


def test_sdk_reads_a_call_and_sends_its_result(name, sdk):
    assert sdk.call() == ("f", ARGUMENTS, f"{name} fake: the tools said sunny")


def test_sdk_reads_a_streamed_call(sdk):
    assert sdk.streamed_call() == ("f", ARGUMENTS)


def test_sdk_raises_an_error(sdk):
    text = sdk.error()
    assert "tokens" in text or "input length" in text, text


def post(url, headers, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_fake_refuses_what_its_vendor_refuses(name, sdk, fakes):
    url, key = fakes.addresses[name] + sdk.path, fakes.addresses[f"{name}_key"]
    assert post(url, sdk.headers(key), sdk.good())[0] == 200
    assert post(url, sdk.headers("wrong"), sdk.good())[0] == sdk.wrong_key
    for change, status, words in BAD[name]:
        body = {field: value for field, value in (sdk.good() | change).items() if value is not None}
        was, text = post(url, sdk.headers(key), body)
        assert was == status and words in text, f"{change}: {was} {text}"


def test_anthropic_knows_its_thoughts_again(fakes):
    sdk = Messages("anthropic", fakes.addresses["anthropic"], fakes.addresses["anthropic_key"])
    thinks = {"thinking": {"type": "adaptive", "display": "summarized"}, "tools": [sdk.tool]}
    answer = sdk.create("think, then use a tool", **thinks)
    thought, call = answer.content
    assert thought.type == "thinking" and thought.signature and answer.usage.output_tokens_details.thinking_tokens > 0
    with sdk.client.messages.stream(**sdk.good("think, then use a tool"), **thinks) as stream:
        assert [block.type for block in stream.get_final_message().content] == ["thinking", "tool_use"]

    def again(**changes):
        block = thought.model_dump() | changes
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        turns = [{"role": "assistant", "content": [block, call]}, {"role": "user", "content": [result]}]
        request = sdk.good("think, then use a tool")
        return sdk.client.messages.create(**request | {"messages": request["messages"] + turns}, **thinks)

    assert again().stop_reason == "end_turn"
    for changed in ({"thinking": "something else"}, {"signature": thought.signature.replace("+", " ")}):
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
            again(**changed)
