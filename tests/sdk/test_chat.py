"""Answers: whole, streamed and structured, from each provider and after a failover."""

import base64
import time
from typing import List, Literal, Optional

import openai
import pytest
from pydantic import BaseModel, Field

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n not much of a picture").decode()


def user(text):
    return [{"role": "user", "content": text}]


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def finish_reasons(chunks):
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    return [reason for reason in reasons if reason]


def test_chat(client, served):
    messages = [
        {"role": "system", "content": "Be brief."},
        *user("hello"),
        {"role": "assistant", "content": "Hello!"},
        *user("good morning"),
    ]
    completion = client.chat.completions.create(model=served.name, messages=messages, temperature=0.5, user="u-1")
    assert completion.object == "chat.completion"
    assert completion.id and completion.created > 1_700_000_000 and completion.model.endswith("-fake")
    (choice,) = completion.choices
    assert choice.index == 0 and choice.finish_reason == "stop"
    assert choice.message.role == "assistant"
    assert choice.message.content == f'{served.provider} fake: you said "good morning"'
    assert choice.message.tool_calls is None and choice.message.refusal is None
    usage = completion.usage
    assert usage.prompt_tokens > 0 and usage.completion_tokens == 6
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_stream(client, served):
    chunks = list(client.chat.completions.create(model=served.name, messages=user("count 20"), stream=True))
    assert text_of(chunks) == " ".join(map(str, range(1, 21)))
    assert len(chunks) > 20, "the words come one by one"
    for what in ("id", "created", "model", "object"):
        assert len({getattr(chunk, what) for chunk in chunks}) == 1, what
    assert chunks[0].object == "chat.completion.chunk" and chunks[0].id
    assert [chunk.choices[0].delta.role for chunk in chunks if chunk.choices[0].delta.role] == ["assistant"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert finish_reasons(chunks) == ["stop"] and chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None and len(chunk.choices) == 1 for chunk in chunks), "nobody asked for usage"


def test_stream_with_usage(client, served):
    stream = client.chat.completions.create(
        model=served.name, messages=user("count 5"), stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = stream
    assert text_of(chunks) == "1 2 3 4 5" and finish_reasons(chunks) == ["stop"]
    assert all(chunk.usage is None for chunk in chunks)
    assert last.choices == [] and last.id == chunks[0].id
    assert last.usage.completion_tokens == 5 and last.usage.prompt_tokens > 0
    assert last.usage.total_tokens == last.usage.prompt_tokens + 5


def test_words_come_while_they_are_spoken(client, fakes, served):
    fakes.fault(served.provider, "pace_ms=40")
    times = []
    for chunk in client.chat.completions.create(model=served.name, messages=user("count 11"), stream=True):
        if chunk.choices[0].delta.content:
            times.append(time.monotonic())
    assert len(times) == 11
    # Ten pauses; an answer that is held anywhere comes at once.
    assert times[-1] - times[0] > 0.3 and times[5] - times[0] > 0.1


def test_text_of_any_language_and_length_arrives_as_it_was(client, served):
    text = 'Zürich, 東京, 🧑‍🚀, "quotes", back\\slash, \t and \n and \u2028'
    said = f'{served.provider} fake: you said "{text}"'
    assert client.chat.completions.create(model=served.name, messages=user(text)).choices[0].message.content == said
    assert text_of(client.chat.completions.create(model=served.name, messages=user(text), stream=True)) == said
    long = client.chat.completions.create(model=served.name, messages=user("count 5000"), stream=True)
    assert text_of(long) == " ".join(map(str, range(1, 5001)))


@pytest.mark.parametrize(
    "fault",
    ["crlf", "cr", "no_space", "bom", "split=1", "trailers", "bad_header", "finish_twice"]
    + ["done=missing", "done=twice", "done=then_data", "usage=missing"],
)
def test_oddities_of_a_provider_do_not_reach_the_client(client, fakes, single, fault):
    fakes.fault(single.provider, fault)
    request = {"model": single.name, "messages": user("count 5")}
    assert client.chat.completions.create(**request).choices[0].message.content == "1 2 3 4 5"
    chunks = list(client.chat.completions.create(**request, stream=True))
    assert text_of(chunks) == "1 2 3 4 5" and finish_reasons(chunks) == ["stop"]


def test_stream_helper(client, served):
    with client.chat.completions.stream(model=served.name, messages=user("count 5")) as stream:
        events = list(stream)
        completion = stream.get_final_completion()
    deltas = [event.delta for event in events if event.type == "content.delta"]
    assert [delta for delta in deltas if delta] == ["1", " 2", " 3", " 4", " 5"]
    (done,) = [event for event in events if event.type == "content.done"]
    assert done.content == completion.choices[0].message.content == "1 2 3 4 5"
    assert completion.choices[0].finish_reason == "stop"


def test_streaming_response(client, served):
    """The third way in which the SDK gives out a stream: lines, as they come."""
    with client.chat.completions.with_streaming_response.create(
        model=served.name, messages=user("count 3"), stream=True
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    assert all(line.startswith("data: {") for line in lines[:-1]) and lines[-1] == "data: [DONE]"


def test_image_by_data_url(client, fakes, served):
    content = [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
    ]
    completion = client.chat.completions.create(model=served.name, messages=[{"role": "user", "content": content}])
    assert completion.choices[0].message.content == f'{served.provider} fake: you said "what is this?"'
    _, image = fakes.last_body(served.provider)["messages"][0]["content"]
    if served.is_openai:
        assert image == content[1]
    else:
        assert image == {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_limit_on_tokens(client, served, limit):
    request = {"model": served.name, "messages": user("count 50"), limit: 3}
    choice = client.chat.completions.create(**request).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("1 2 3", "length")
    chunks = list(client.chat.completions.create(**request, stream=True))
    assert (text_of(chunks), finish_reasons(chunks)) == ("1 2 3", ["length"])


@pytest.mark.parametrize("stop", ["4", ["7", "4"]], ids=["one", "list"])
def test_stop(client, served, stop):
    request = {"model": served.name, "messages": user("count 50"), "stop": stop}
    choice = client.chat.completions.create(**request).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("1 2 3 ", "stop")
    chunks = list(client.chat.completions.create(**request, stream=True))
    assert (text_of(chunks), finish_reasons(chunks)) == ("1 2 3 ", ["stop"])


def test_cached_tokens_are_part_of_the_prompts(client, fakes, served):
    """Anthropic counts them apart; clients of OpenAI's API compute costs from the sum."""
    request = {"model": served.name, "messages": user("something cached")}
    whole = client.chat.completions.create(**request).usage
    uncached = (fakes.requests(served.provider)[-1]["body_bytes"] + 3) // 4
    *_, last = client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True})
    for usage in (whole, last.usage):
        assert usage.prompt_tokens_details.cached_tokens == 64
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    written = 16
    assert whole.prompt_tokens == (max(uncached, 64) if served.is_openai else uncached + 64 + written)


def test_several_choices(client):
    request = {"model": "gpt", "messages": user("count 3"), "n": 3}
    completion = client.chat.completions.create(**request)
    assert [(choice.index, choice.message.content) for choice in completion.choices] == [
        (index, "1 2 3") for index in range(3)
    ]
    texts = {}
    for chunk in client.chat.completions.create(**request, stream=True):
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
    assert texts == {index: "1 2 3" for index in range(3)}


class Step(BaseModel):
    explanation: str
    confidence: float = Field(ge=0, le=2)


class Answer(BaseModel):
    """Everything that people put into such models: nesting, unions, limits, words to choose from."""

    steps: List[Step] = Field(max_length=3)
    kind: Literal["short", "long"]
    count: int
    certain: bool
    remark: Optional[str]


EXPECTED = Answer(
    steps=[Step(explanation="text", confidence=1.5)], kind="short", count=1, certain=True, remark="text"
)


def test_structured_output(client, served):
    completion = client.chat.completions.parse(model=served.name, messages=user("solve it"), response_format=Answer)
    message = completion.choices[0].message
    assert message.parsed == EXPECTED and message.refusal is None


def test_structured_output_streamed(client, served):
    with client.chat.completions.stream(
        model=served.name, messages=user("solve it"), response_format=Answer
    ) as stream:
        (done,) = [event for event in stream if event.type == "content.done"]
        final = stream.get_final_completion()
    assert done.parsed == final.choices[0].message.parsed == EXPECTED


class Wordy(BaseModel):
    text: Literal["so many words"]


def test_structured_output_that_is_cut_is_never_taken_for_whole(client, served):
    request = {"model": served.name, "messages": user("solve it"), "response_format": Wordy}
    assert client.chat.completions.parse(**request).choices[0].message.parsed
    with pytest.raises(openai.LengthFinishReasonError) as raised:
        client.chat.completions.parse(**request, max_completion_tokens=2)
    assert raised.value.completion.choices[0].message.content == '{"text":"so many'
    with pytest.raises(openai.LengthFinishReasonError):
        with client.chat.completions.stream(**request, max_completion_tokens=2) as stream:
            stream.get_final_completion()


def test_json_object(client, served):
    completion = client.chat.completions.create(
        model=served.name, messages=user("Answer in JSON."), response_format={"type": "json_object"}
    )
    assert completion.choices[0].finish_reason == "stop"


def test_refusal(client, served):
    """OpenAI's models refuse in a field of its own, Anthropic's by the reason for which they end."""
    request = {"model": served.name, "messages": user("refuse this")}
    choice = client.chat.completions.create(**request).choices[0]
    chunks = list(client.chat.completions.create(**request, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    if served.is_openai:
        assert choice.message.refusal == "I cannot help with that." and choice.message.content is None
        assert choice.finish_reason == "stop" and finish_reasons(chunks) == ["stop"]
        assert "".join(delta.refusal or "" for delta in deltas) == "I cannot help with that."
    else:
        assert choice.finish_reason == "content_filter" and finish_reasons(chunks) == ["content_filter"]


def test_refusal_of_structured_output_is_told_apart_from_an_answer(client, single):
    request = {"model": single.name, "messages": user("refuse this"), "response_format": Answer}
    if single.is_openai:
        message = client.chat.completions.parse(**request).choices[0].message
        assert message.parsed is None and message.refusal == "I cannot help with that."
    else:
        with pytest.raises(openai.ContentFilterFinishReasonError):
            client.chat.completions.parse(**request)
