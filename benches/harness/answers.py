"""What an answer says, whatever its format: a gateway that is quick to say something else is not quicker."""

import json


def words(format, stream, body):
    """The text of an answer in a provider's format. What cannot be read is a ValueError, KeyError or TypeError."""
    return "".join(piece or "" for one in parts(stream, body) for piece in TEXTS[format](one))


def parts(stream, body):
    if not stream:
        return [json.loads(body)]
    data = [line[5:].strip() for line in body.decode().splitlines() if line.startswith("data:")]
    return [json.loads(one) for one in data if one != "[DONE]"]


def openai(part):
    for choice in part["choices"]:
        yield (choice.get("message") or choice.get("delta") or {}).get("content")


def anthropic(part):
    yield from (block.get("text") for block in part.get("content", []))
    yield part.get("delta", {}).get("text")


def gemini(part):
    for candidate in part["candidates"]:
        yield from (piece.get("text") for piece in candidate["content"]["parts"])


TEXTS = {"openai": openai, "anthropic": anthropic, "gemini": gemini}
