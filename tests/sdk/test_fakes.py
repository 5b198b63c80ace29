"""The fake providers, each proven by its vendor's own SDK, without the gateway between them.

The SDK reads whole answers, streams and calls of tools, and types what it reads; then requests that the
vendor documents as wrong are refused in its own words. A new format is a class and its rows of BAD.
"""

import json
import urllib.error
import urllib.request

import anthropic
import botocore.config
import botocore.exceptions
import botocore.session
import cohere
import dashscope
import groq
import mistralai.client
import openai
import pytest
from google import genai
from google.oauth2.credentials import Credentials

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
        return self.client.messages.create(**self.request(text), **more)

    def text(self):
        answer = self.create("hello")
        assert answer.stop_reason == "end_turn" and answer.usage.output_tokens > 0
        return answer.content[0].text

    def stream(self):
        with self.client.messages.stream(**self.request("hello")) as stream:
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
        request = self.request() | {"messages": history}
        return block.name, block.input, self.client.messages.create(**request, tools=[self.tool]).content[0].text

    def streamed_call(self):
        with self.client.messages.stream(**self.request("use a tool"), tools=[self.tool]) as stream:
            (block,) = stream.get_final_message().content
        return block.name, block.input

    def error(self):
        with pytest.raises(anthropic.BadRequestError) as raised:
            self.client.messages.create(**self.request("hi") | {"model": f"{self.model}?error=context_length_exceeded"})
        return str(raised.value)

    def request(self, text="hi"):
        return {"model": self.model, "max_tokens": 100, "messages": [{"role": "user", "content": text}]}

    def good(self):
        return self.request()

    def headers(self, key):
        return {"x-api-key": key, "anthropic-version": "2026-10-21"}


class GenerateContent:
    """Google's own SDK, on AI Studio."""

    path = "/v1beta/models/gemini-fake:generateContent"
    wrong_key = 400
    tool = {"function_declarations": [{"name": "f", "parameters_json_schema": SCHEMA}]}

    def __init__(self, name, url, key):
        self.model = DESCRIBED[name]["model"]
        self.client = self.connect(DESCRIBED[name]["provider"], url, key)

    def connect(self, _settings, url, key):
        return genai.Client(api_key=key, http_options={"base_url": url, "api_version": "v1beta", "timeout": 10_000})

    def create(self, contents, **config):
        return self.client.models.generate_content(model=self.model, contents=contents, config=config)

    def text(self):
        answer = self.create("hello")
        assert answer.candidates[0].finish_reason == "STOP" and answer.usage_metadata.total_token_count > 0
        return answer.text

    def stream(self):
        chunks = list(self.client.models.generate_content_stream(model=self.model, contents="hello"))
        assert chunks[-1].candidates[0].finish_reason == "STOP"
        return "".join(chunk.text or "" for chunk in chunks if chunk.candidates)

    def call(self):
        answer = self.create("use a tool", tools=[self.tool])
        (call,) = answer.function_calls
        result = {"function_response": {"id": call.id, "name": call.name, "response": {"output": "sunny"}}}
        history = [
            {"role": "user", "parts": [{"text": "use a tool"}]},
            answer.candidates[0].content,
            {"role": "user", "parts": [result]},
        ]
        return call.name, call.args, self.create(history, tools=[self.tool]).text

    def streamed_call(self):
        stream = self.client.models.generate_content_stream(
            model=self.model, contents="use a tool", config={"tools": [self.tool]}
        )
        (call,) = [call for chunk in stream for call in chunk.function_calls or []]
        return call.name, call.args

    def error(self):
        # The SDK takes no question mark in a name.
        with pytest.raises(genai.errors.ClientError) as raised:
            self.client.models.generate_content(model=f"{self.model}%3Ferror=context_length_exceeded", contents="hi")
        return str(raised.value)

    def good(self):
        return {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}

    def headers(self, key):
        return {"x-goog-api-key": key}


class OfVertex(GenerateContent):
    """The same on Vertex AI."""

    path = "/v1/projects/fake-project-1/locations/europe-west4/publishers/google/models/gemini-fake:generateContent"
    wrong_key = 401

    def connect(self, settings, url, key):
        return genai.Client(
            vertexai=True,
            project=settings["project"],
            location=settings["region"],
            credentials=Credentials(key),
            http_options={"base_url": url, "api_version": "v1", "timeout": 10_000},
        )

    def headers(self, key):
        return {"authorization": f"Bearer {key}"}


def bedrock_client(url, secret):
    """botocore's own client, which signs what it sends."""
    session = botocore.session.Session()
    session.set_credentials("AKIDFAKE", secret)
    config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=10)
    return session.create_client("bedrock-runtime", region_name="us-east-1", endpoint_url=url, config=config)


class Converse:
    """AWS's own SDK."""

    wrong_key = 403
    tool = {"toolSpec": {"name": "f", "inputSchema": {"json": SCHEMA}}}

    def __init__(self, name, url, key):
        self.model = DESCRIBED[name]["model"]
        self.path = f"/model/{self.model.replace(':', '%3A')}/converse"
        self.client = bedrock_client(url, key)

    def asked(self, text, **more):
        return {"modelId": self.model, "messages": [{"role": "user", "content": [{"text": text}]}], **more}

    def create(self, text, **more):
        return self.client.converse(**self.asked(text, **more))

    def events(self, text, **more):
        """The events of a stream by their names, each frame checked by botocore."""
        stream = self.client.converse_stream(**self.asked(text, **more))["stream"]
        events = [next(iter(event.items())) for event in stream]
        assert [name for name, _ in events[-2:]] == ["messageStop", "metadata"]
        return events

    def text(self):
        answer = self.create("hello")
        assert answer["stopReason"] == "end_turn" and answer["usage"]["outputTokens"] > 0
        return answer["output"]["message"]["content"][0]["text"]

    def stream(self):
        deltas = [event["delta"] for name, event in self.events("hello") if name == "contentBlockDelta"]
        return "".join(delta["text"] for delta in deltas)

    def call(self):
        more = {"toolConfig": {"tools": [self.tool]}}
        message = self.create("use a tool", **more)["output"]["message"]
        (block,) = message["content"]
        call = block["toolUse"]
        result = {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "sunny"}]}}
        request = self.asked("use a tool", **more)
        request["messages"] += [message, {"role": "user", "content": [result]}]
        answer = self.client.converse(**request)["output"]["message"]
        return call["name"], call["input"], answer["content"][0]["text"]

    def streamed_call(self):
        name, arguments = "", ""
        for kind, event in self.events("use a tool", toolConfig={"tools": [self.tool]}):
            name += event["start"]["toolUse"]["name"] if kind == "contentBlockStart" else ""
            arguments += event["delta"]["toolUse"]["input"] if kind == "contentBlockDelta" else ""
        return name, json.loads(arguments)

    def error(self):
        with pytest.raises(self.client.exceptions.ValidationException) as raised:
            self.create("hi", modelId=f"{self.model}?error=context_length_exceeded")
        return str(raised.value)

    def good(self):
        return {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}

    def headers(self, key):
        return {"authorization": f"Bearer {key}"}


class VertexMessages(Messages):
    """The same SDK's client for Vertex."""

    path = "/v1/projects/fake-project/locations/us-east5/publishers/anthropic/models/claude-fake:rawPredict"

    def __init__(self, name, url, key):
        self.model = DESCRIBED[name]["model"]
        self.client = anthropic.AnthropicVertex(
            base_url=f"{url}/v1",
            access_token=key,
            region="us-east5",
            project_id="fake-project",
            max_retries=0,
            timeout=10,
        )

    def good(self):
        return {"anthropic_version": "vertex-2023-10-16"} | without(self.request(), "model")

    def headers(self, key):
        return {"authorization": f"Bearer {key}"}


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


class BedrockMessages(Messages):
    """The same SDK's client for Bedrock: binary frames, read by botocore."""

    path = "/model/anthropic.claude-fake-v1%3A0/invoke"
    wrong_key = 403

    def __init__(self, name, url, key):
        self.model = DESCRIBED[name]["model"]
        self.client = anthropic.AnthropicBedrock(
            base_url=url, api_key=key, aws_region="us-east-1", max_retries=0, timeout=10
        )

    def good(self):
        return {"anthropic_version": "bedrock-2023-05-31"} | without(self.request(), "model")

    def headers(self, key):
        return {"authorization": f"Bearer {key}"}


def without(body, name):
    return {field: value for field, value in body.items() if field != name}


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


class PortkeyClient(openai.OpenAI):
    """OpenAI's, with Portkey's header for keys in the place of the usual one."""

    def _prepare_request(self, request):
        del request.headers["authorization"]


class Portkey(ChatCompletions):
    def __init__(self, name, url, key):
        super().__init__(name, url, key)
        headers = {"x-portkey-api-key": key}
        self.client = PortkeyClient(base_url=url, api_key=key, default_headers=headers, max_retries=0, timeout=10)

    def headers(self, key):
        return {"x-portkey-api-key": key}


# By the fake's name, or else by its format: see `dragoman-fakes --describe`.
SDKS = {
    "openai": ChatCompletions,
    "azure": Azure,
    "groq": Groq,
    "portkey": Portkey,
    "mistral": Mistral,
    "watsonx": Watsonx,
    "anthropic": Messages,
    "gemini": GenerateContent,
    "vertex": OfVertex,
    "bedrock": Converse,
    "anthropic_vertex": VertexMessages,
    "anthropic_bedrock": BedrockMessages,
    "cohere": ChatV2,
    "dashscope": Generation,
    "dashscope-multimodal": MultiModalConversation,
}


def sdk_of(name):
    return SDKS.get(name) or SDKS.get(DESCRIBED[name]["format"])


SEED = {"seed": 1}
CALLS = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
USER = {"role": "user", "content": "hi"}
ADDRESS = {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]}
TOOL = ChatCompletions.tool

HI = {"role": "user", "parts": [{"text": "hi"}]}
MADE = {"role": "model", "parts": [{"functionCall": {"name": "f"}}]}
DONE = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}
GENERATE_CONTENT = [
    ({"foo": 1}, 400, 'Unknown name \\"foo\\": Cannot find field'),
    ({"contents": None}, 400, "contents is not specified"),
    ({"contents": [{"role": "assistant", "parts": [{"text": "hi"}]}]}, 400, "Please use a valid role: user, model."),
    ({"contents": [HI, MADE, HI]}, 400, "number of function response parts is equal to"),
    ({"contents": [HI, MADE, DONE]}, 400, "missing a thought_signature in functionCall parts"),
    ({"generationConfig": {"frequencyPenalty": 1}}, 400, "Penalty is not enabled for this model"),
    ({"tools": [{"functionDeclarations": [{"name": "a b"}]}]}, 400, "Invalid function name"),
    (
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": SCHEMA | {"additionalProperties": False}}]}]},
        400,
        "Cannot find field",
    ),
]

def marked(*ttls):
    parts = [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": ttl}} for ttl in ttls]
    return {"role": "user", "content": parts}


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
    "bedrock": [
        ({"foo": 1}, 400, "extraneous key [foo] is not permitted"),
        ({"inferenceConfig": {"temperature": 1.5}}, 400, "failed to satisfy constraint"),
        ({"messages": []}, 400, "A conversation must start with a user message"),
        ({"messages": [{"role": "user", "content": [{"text": " "}]}]}, 400, "messages.0.content.0 is blank"),
        ({"toolConfig": {"tools": []}}, 400, "failed to satisfy constraint"),
        ({"additionalModelRequestFields": {"max_tokens": 5}}, 400, "extraneous key"),
    ],
    "anthropic": [
        ({"foo": 1}, 400, "foo: Extra inputs are not permitted"),
        ({"max_tokens": None}, 400, "max_tokens"),
        ({"temperature": 0.5}, 400, "temperature"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, 400, "not supported for this model"),
        ({"messages": [{"role": "assistant", "content": "hi"}]}, 400, 'must use the \\"user\\" role'),
        ({"messages": [USER, {"role": "assistant", "content": "hi"}]}, 400, "prefill"),
        ({"model": "gpt-fake"}, 404, "not_found_error"),
        ({"messages": [marked("5m", "1h")]}, 400, "must not come after"),
        ({"messages": [marked("5m", "5m", "5m", "5m", "5m")]}, 400, "A maximum of 4 blocks with cache_control"),
    ],
    "anthropic_vertex": [
        ({"foo": 1}, 400, "foo: Extra inputs are not permitted"),
        ({"model": "claude-fake"}, 400, "model: Extra inputs are not permitted"),
        ({"anthropic_version": None}, 400, "anthropic_version: Field required"),
        ({"anthropic_version": "bedrock-2023-05-31"}, 400, "anthropic_version: Input should be"),
        ({"messages": [ADDRESS]}, 400, "messages.0.content.0.source: URL sources are not supported"),
        ({"stream": True}, 400, "stream"),
    ],
    "anthropic_bedrock": [
        ({"foo": 1}, 400, "foo: Extra inputs are not permitted"),
        ({"model": "claude-fake"}, 400, "model: Extra inputs are not permitted"),
        ({"stream": False}, 400, "stream: Extra inputs are not permitted"),
        ({"anthropic_version": None}, 400, "anthropic_version: Field required"),
        ({"anthropic_beta": "x"}, 400, "anthropic_beta"),
        ({"messages": [ADDRESS]}, 400, "messages.0.content.0.source: URL sources are not supported"),
    ],
    "gemini": [
        *GENERATE_CONTENT,
        ({"contents": [{"role": "user", "parts": [{"fileData": {"fileUri": "gs://b/o"}}]}]}, 400, "unsupported file uri"),
        ({"modelArmorConfig": {}}, 400, 'Unknown name \\"model_armor_config\\": Cannot find field'),
    ],
    "vertex": [
        *GENERATE_CONTENT,
        ({"contents": [{"parts": [{"text": "hi"}]}]}, 400, "Please use a valid role: user, model."),
        ({"store": False}, 400, 'Unknown name \\"store\\": Cannot find field'),
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
    "zhipu": [
        ({"tool_choice": "required", "tools": [TOOL]}, 400, "tool_choice"),
        ({"temperature": 1.5}, 400, "temperature"),
    ],
    "xai": [({"stop": ["x"]}, 400, "stop")],
    "together": [({"temperature": 1.5}, 400, "temperature")],
    "perplexity": [({"tools": [TOOL]}, 400, "tools")],
    "ollama": [({"n": 2}, 400, "'n'")],
} | {
    # What all of OpenAI's format refuse, and what little more is known of these.
    name: [({"temperature": 3}, 400, "temperature"), ({"messages": []}, 400, "messages")]
    for name in (
        "fireworks cerebras nvidia vllm sglang llamacpp openai-compatible litellm portkey tokenmix xidao"
    ).split()
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


def without_tools(name, call):
    """Who has no tools says so. Whether a fake has them is told by itself."""
    if "tools" not in DESCRIBED[name]["lacks"]:
        return False
    with pytest.raises(openai.BadRequestError, match="function"):
        call()
    return True


def test_sdk_reads_a_call_and_sends_its_result(name, sdk):
    assert without_tools(name, sdk.call) or sdk.call() == ("f", ARGUMENTS, f"{name} fake: the tools said sunny")


def test_sdk_reads_a_streamed_call(name, sdk):
    assert without_tools(name, sdk.streamed_call) or sdk.streamed_call() == ("f", ARGUMENTS)


def test_sdk_raises_an_error(sdk):
    text = sdk.error()
    assert any(words in text for words in ("tokens", "too long", "input length")), text


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


@pytest.mark.parametrize("name", [name for name in SDKS if issubclass(SDKS[name], Messages)])
def test_anthropic_knows_its_thoughts_again(name, fakes):
    sdk = SDKS[name](name, fakes.addresses[name], fakes.addresses[f"{name}_key"])
    thinks = {"thinking": {"type": "adaptive", "display": "summarized"}, "tools": [sdk.tool]}
    answer = sdk.create("think, then use a tool", **thinks)
    thought, call = answer.content
    assert thought.type == "thinking" and thought.signature and answer.usage.output_tokens_details.thinking_tokens > 0
    with sdk.client.messages.stream(**sdk.request("think, then use a tool"), **thinks) as stream:
        assert [block.type for block in stream.get_final_message().content] == ["thinking", "tool_use"]

    def again(**changes):
        block = thought.model_dump() | changes
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        turns = [{"role": "assistant", "content": [block, call]}, {"role": "user", "content": [result]}]
        request = sdk.request("think, then use a tool")
        return sdk.client.messages.create(**request | {"messages": request["messages"] + turns}, **thinks)

    assert again().stop_reason == "end_turn"
    for changed in ({"thinking": "something else"}, {"signature": thought.signature.replace("+", " ")}):
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
            again(**changed)


def test_gemini_knows_its_signatures_again(fakes):
    sdk = GenerateContent("gemini", fakes.addresses["gemini"], fakes.addresses["gemini_key"])
    config = {"tools": [sdk.tool], "thinking_config": {"include_thoughts": True, "thinking_level": "LOW"}}
    question = {"role": "user", "parts": [{"text": "think, then use a tool"}]}
    answer = sdk.create([question], **config)
    thought, call = answer.candidates[0].content.parts
    assert thought.thought and call.thought_signature and answer.usage_metadata.thoughts_token_count > 0
    streamed = sdk.client.models.generate_content_stream(model=sdk.model, contents=[question], config=config)
    parts = [part for chunk in streamed for one in chunk.candidates or [] for part in one.content.parts]
    assert parts[0].thought and any(part.function_call and part.thought_signature for part in parts)

    def again(**changes):
        part = call.model_copy(update=changes)
        made = call.function_call
        result = {"function_response": {"id": made.id, "name": made.name, "response": {"output": "sunny"}}}
        turns = [{"role": "model", "parts": [part]}, {"role": "user", "parts": [result]}]
        return sdk.create([question, *turns], **config)

    assert again().text == "gemini fake: the tools said sunny"
    assert again(thought_signature=b"skip_thought_signature_validator").candidates is not None
    for signature, words in ((b"something else", "signature is not valid"), (None, "missing a thought_signature")):
        with pytest.raises(genai.errors.ClientError, match=words):
            again(thought_signature=signature)


def test_gemini_blocks_a_prompt(fakes):
    sdk = GenerateContent("gemini", fakes.addresses["gemini"], fakes.addresses["gemini_key"])
    answer = sdk.create("refuse")
    assert not answer.candidates and answer.prompt_feedback.block_reason == "PROHIBITED_CONTENT"


def test_bedrock_checks_signatures(fakes):
    sdk = Converse("bedrock", fakes.addresses["bedrock"], "wrong")
    with pytest.raises(botocore.exceptions.ClientError, match="InvalidSignatureException"):
        sdk.create("hi")


def test_bedrock_reports_exceptions_within_a_stream(fakes):
    sdk = Converse("bedrock", fakes.addresses["bedrock"], fakes.addresses["bedrock_key"])
    broken = f"{sdk.model}?error_after=1&error=ModelStreamErrorException"
    with pytest.raises(botocore.exceptions.EventStreamError, match="modelStreamErrorException"):
        sdk.events("hi there", modelId=broken)
    with pytest.raises(sdk.client.exceptions.ThrottlingException):
        sdk.create("hi", modelId=f"{sdk.model}?status=429")


def test_bedrock_knows_its_thoughts_again(fakes):
    sdk = Converse("bedrock", fakes.addresses["bedrock"], fakes.addresses["bedrock_key"])
    thinks = {
        "additionalModelRequestFields": {"thinking": {"type": "adaptive", "display": "summarized"}},
        "toolConfig": {"tools": [sdk.tool]},
    }
    message = sdk.create("think, then use a tool", **thinks)["output"]["message"]
    thought, call = message["content"]
    assert thought["reasoningContent"]["reasoningText"]["signature"]
    kinds = [next(iter(event["delta"])) for name, event in sdk.events("think", **thinks) if name == "contentBlockDelta"]
    assert kinds[0] == "reasoningContent" and kinds[-1] == "text"

    def again(**changes):
        text = thought["reasoningContent"]["reasoningText"] | changes
        blocks = [{"reasoningContent": {"reasoningText": text}}, call]
        result = {"toolResult": {"toolUseId": call["toolUse"]["toolUseId"], "content": [{"text": "sunny"}]}}
        request = sdk.asked("think, then use a tool", **thinks)
        request["messages"] += [{"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
        return sdk.client.converse(**request)

    assert again()["stopReason"] == "end_turn"
    with pytest.raises(sdk.client.exceptions.ValidationException, match="Invalid `signature`"):
        again(text="something else")
