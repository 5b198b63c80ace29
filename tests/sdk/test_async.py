"""The asynchronous client, and many streams at once."""

import asyncio

import openai
import pytest

STREAMS = 20


def run(settings, program):
    async def main():
        async with openai.AsyncOpenAI(**settings) as client:
            return await program(client)

    return asyncio.run(main())


def counting(to):
    return [{"role": "user", "content": f"count {to}"}]


async def streamed(client, model, to):
    """The text of a stream, and the ids of its chunks."""
    text, ids = "", set()
    async for chunk in await client.chat.completions.create(model=model, messages=counting(to), stream=True):
        text += chunk.choices[0].delta.content or ""
        ids.add(chunk.id)
    return text, ids


def test_streams_at_once_do_not_mix(settings, fakes, served):
    fakes.fault(served.provider, "first_token_ms=300&pace_ms=2")
    lengths = range(30, 30 + STREAMS)

    async def program(client):
        return await asyncio.gather(*(streamed(client, served.name, to) for to in lengths))

    answers = run(settings, program)
    assert [text for text, _ in answers] == [" ".join(map(str, range(1, to + 1))) for to in lengths]
    assert all(len(ids) == 1 for _, ids in answers) and len({ids.pop() for _, ids in answers}) == STREAMS
    assert fakes.most_open(served.provider) > STREAMS // 2, "they were not under way together"


def test_answers_of_all_providers_at_once(settings, fakes):
    names = ["gpt", "claude", "gpt-after-claude", "claude-after-gpt", "third"] * 4

    async def program(client):
        requests = [client.chat.completions.create(model=name, messages=counting(5)) for name in names]
        return await asyncio.gather(*requests)

    assert {answer.choices[0].message.content for answer in run(settings, program)} == {"1 2 3 4 5"}


def test_stream_helper(settings, served):
    async def program(client):
        async with client.chat.completions.stream(model=served.name, messages=counting(5)) as stream:
            return await stream.get_final_completion()

    assert run(settings, program).choices[0].message.content == "1 2 3 4 5"


def test_failures(settings, fakes, single):
    fakes.fault(single.provider, "status=429")

    async def limited(client):
        await client.chat.completions.create(model=single.name, messages=counting(5))

    with pytest.raises(openai.RateLimitError):
        run(settings, limited)

    fakes.fault(single.provider, "cut_after=4&pace_ms=20")
    with pytest.raises(openai.APIError):
        run(settings, lambda client: streamed(client, single.name, 50))
