"""What is asked: bodies of requests and the cases they make. A row here is a row in the tables.

A case names a provider's kind and how its answer comes, which is the first segment of the path that the
provider of the benchmark knows (benches/tools/upstream.rs). A kind that Dragoman does not have yet is left
out, with a word on it.
"""

import base64
import dataclasses
import json
import random

# By kind: the path behind the address of the provider, and the model's id.
KINDS = {
    "openai": ("/v1", "/v1/chat/completions", "gpt-6.1-sol"),
    "anthropic": ("", "/v1/messages", "claude-opus-5-5"),
    "gemini": ("/v1beta", "/v1beta/models/gemini-3.8-flash:generateContent", "gemini-3.8-flash"),
}
PACES = ("json", "stream", "paced", "held")
LARGE_PLANS = (3, 100)


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    title: str
    kind: str
    pace: str
    size: int = 1 << 10
    connections: int = 32

    @property
    def stream(self):
        return self.pace != "json"

    @property
    def target(self):
        """The name of provider and model in gateway.yaml."""
        return f"{self.kind}-{self.pace}"

    def body(self, model):
        return request(model, self.size, self.stream)


RELAY = [
    Case("relay", "OpenAI to OpenAI, 1 KB", "openai", "json"),
    Case("relay-100k", "the same, 100 KB of messages", "openai", "json", 100 << 10),
    Case("relay-256k", "the same, 256 KB of messages", "openai", "json", 256 << 10, 16),
    Case("relay-2m", "the same, an image of 2 MB", "openai", "json", 2 << 20, 16),
]
TRANSLATE = [
    Case("anthropic", "OpenAI to Anthropic, 1 KB", "anthropic", "json"),
    Case("anthropic-256k", "the same, 256 KB of messages", "anthropic", "json", 256 << 10, 16),
    Case("gemini", "OpenAI to Gemini, 1 KB", "gemini", "json"),
]
STREAMS = [
    Case("stream-openai", "OpenAI, relayed, as fast as they go", "openai", "stream"),
    Case("stream-anthropic", "Anthropic, translated, as fast as they go", "anthropic", "stream"),
    Case("stream-gemini", "Gemini, translated, as fast as they go", "gemini", "stream"),
    Case("paced-openai", "OpenAI, relayed, each event alone", "openai", "paced", connections=48),
    Case("paced-anthropic", "Anthropic, translated, each event alone", "anthropic", "paced", connections=48),
    Case("paced-gemini", "Gemini, translated, each event alone", "gemini", "paced", connections=48),
]
HELD = [
    Case("held-openai", "OpenAI, relayed", "openai", "held"),
    Case("held-anthropic", "Anthropic, translated", "anthropic", "held"),
]


def prose(size, seed=1):
    """Text with the line ends, quotes and characters that texts have; the same each time."""
    words = "the interpreter spoke “quietly” of 3.5 \"letters\" and trade;\n naïve questions, too. Envoys waited".split(" ")
    dice = random.Random(seed)
    text = ""
    while len(text) < size:
        text += dice.choice(words) + " "
    return text[:size]


def request(model, size, stream):
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a dragoman: you translate what is said, and add nothing."},
            {"role": "user", "content": ""},
        ],
        "temperature": 0.7,
        "max_completion_tokens": 300,
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if size > 1 << 20:
        image = base64.b64encode(random.Random(2).randbytes(size * 3 // 4)).decode()
        url = {"url": "data:image/png;base64," + image}
        body["messages"][1]["content"] = [{"type": "text", "text": prose(500)}, {"type": "image_url", "image_url": url}]
        return encode(body)
    # A conversation of 2 KiB a turn, and a last one that fills up.
    for turn in range(max(0, (size - 2048) // 2048)):
        role = "assistant" if turn % 2 else "user"
        body["messages"].insert(-1, {"role": role, "content": prose(1960, turn)})
    while (missing := size - len(encode(body))) > 0:
        # Some characters are two or three bytes long.
        body["messages"][-1]["content"] += prose(missing, 3)[: max(1, missing * 3 // 4)]
    return encode(body)


def encode(body):
    return json.dumps(body, ensure_ascii=False).encode()
