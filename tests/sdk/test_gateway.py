"""What the gateway adds to OpenAI's API, as a program that uses the SDK sees it."""

import time

import openai
import pytest

HELLO = [{"role": "user", "content": "hello"}]


def test_list_of_models(client):
    models = list(client.models.list())
    owners = {model.id: model.owned_by for model in models}
    assert owners["gpt"] == owners["team/gpt"] == "openai" and owners["claude"] == "anthropic"
    assert owners["claude-after-gpt"] == "dragoman", "routes are the gateway's own"
    assert all(model.object == "model" and isinstance(model.created, int) for model in models)


@pytest.mark.parametrize("name", ["gpt", "team/gpt", "claude-after-gpt"])
def test_one_model(client, name):
    model = client.models.retrieve(name)
    assert (model.id, model.object) == (name, "model")
    assert client.chat.completions.create(model=name, messages=HELLO).choices


def test_model_that_is_not_there(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("team/other")
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
    assert "team/other" in raised.value.message


def test_models_need_a_key(client):
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-of-somebody-else").models.list()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_headers_say_who_answered(client, fakes, served, stream):
    raw = client.chat.completions.with_raw_response.create(model=served.name, messages=HELLO, stream=stream)
    assert raw.headers["x-dragoman-model"] == served.model
    assert raw.headers["x-dragoman-route"] == served.name
    assert raw.headers["x-dragoman-attempts"] == str(served.attempts)
    assert raw.headers["x-dragoman-version"] == "sdk-tests"
    assert "x-dragoman-dropped" not in raw.headers
    answer = raw.parse()
    if stream:
        assert [chunk for chunk in answer if chunk.choices]
    else:
        assert answer._request_id == raw.request_id == raw.headers["x-request-id"]
    # The gateway's id, beside the provider's.
    assert raw.headers["x-upstream-request-id"] != raw.headers["x-request-id"]
    ours = ("openai-processing-ms", "openai-version")
    private = ("server", "set-cookie", "x-envoy", "openai-", "anthropic-", "cf-", "via")
    leaked = [name for name in raw.headers if name.startswith(private) and name not in ours]
    assert leaked == []


def test_providers_learn_nothing_of_the_client(client, fakes, served):
    client.chat.completions.create(model=served.name, messages=HELLO, extra_headers={"cookie": "a=b", "x-mine": "1"})
    asked = fakes.requests()
    assert len(asked) == served.attempts
    for record in asked:
        names = {name for name, _ in record["headers"]}
        values = " ".join(value for _, value in record["headers"])
        assert not [name for name in names if name.startswith(("x-stainless", "x-mine", "cookie", "x-dragoman"))]
        assert client.api_key not in values and "OpenAI/Python" not in values


def test_short_rate_limit_is_waited_for(client, fakes):
    """So that a conversation stays with its model, and with what that has cached."""
    fakes.fault("openai", "status=429&retry_after=1&times=1")
    began = time.monotonic()
    raw = client.chat.completions.with_raw_response.create(model="gpt-then-claude", messages=HELLO)
    assert (raw.headers["x-dragoman-model"], raw.headers["x-dragoman-attempts"]) == ("gpt", "2")
    assert time.monotonic() - began > 0.9


def test_long_rate_limit_is_not_waited_for(client, fakes):
    fakes.fault("openai", "status=429&retry_after=30")
    began = time.monotonic()
    raw = client.chat.completions.with_raw_response.create(model="gpt-then-claude", messages=HELLO)
    assert raw.headers["x-dragoman-model"] == "claude" and "retry-after" not in raw.headers
    assert time.monotonic() - began < 2


def test_failover_to_the_third_target(client):
    raw = client.chat.completions.with_raw_response.create(model="third", messages=HELLO)
    assert (raw.headers["x-dragoman-model"], raw.headers["x-dragoman-attempts"]) == ("claude", "3")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_answer_that_breaks_half_way_is_replaced_where_it_is_held(client, stream):
    messages = [{"role": "user", "content": "count 50"}]
    raw = client.chat.completions.with_raw_response.create(model="durable", messages=messages, stream=stream)
    assert (raw.headers["x-dragoman-model"], raw.headers["x-dragoman-attempts"]) == ("claude", "2")
    answer = raw.parse()
    if stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in answer)
    else:
        text = answer.choices[0].message.content
    assert text == " ".join(map(str, range(1, 51)))


def test_dropped_parameters_are_named(client):
    raw = client.chat.completions.with_raw_response.create(model="claude", messages=HELLO, seed=1, logit_bias={"1": 1})
    assert set(raw.headers["x-dragoman-dropped"].split(",")) == {"seed", "logit_bias"}
    assert raw.parse().choices
    raw = client.chat.completions.with_raw_response.create(model="gpt", messages=HELLO, seed=1)
    assert "x-dragoman-dropped" not in raw.headers


def test_strict_requests_are_refused_where_something_would_be_dropped(client, fakes):
    strict = {"model": "claude", "messages": HELLO, "extra_headers": {"x-dragoman-strict": "true"}}
    assert client.chat.completions.create(**strict).choices
    fakes.forget()
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**strict, seed=1)
    assert (raised.value.code, raised.value.param) == ("unsupported_parameter", "seed")
    assert "seed" in raised.value.message and fakes.requests() == []


def test_strict_requests_go_to_the_target_that_drops_nothing(client):
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-after-claude", messages=HELLO, seed=1, extra_headers={"x-dragoman-strict": "true"}
    )
    assert (raw.headers["x-dragoman-model"], raw.headers["x-dragoman-attempts"]) == ("gpt", "1")


def test_fields_unknown_to_the_sdk_reach_a_provider_of_the_same_api(client, fakes):
    body = {"prompt_cache_key": "k", "metadata": {"a": "b"}}
    client.chat.completions.create(model="gpt", messages=HELLO, extra_body=body)
    sent = fakes.last_body("openai")
    assert sent["prompt_cache_key"] == "k" and sent["metadata"] == {"a": "b"}


def test_stream_that_is_closed_early_ends_at_the_provider(client, fakes, single):
    fakes.fault(single.provider, "pace_ms=20")
    messages = [{"role": "user", "content": "count 1000"}]
    with client.chat.completions.create(model=single.name, messages=messages, stream=True) as stream:
        next(chunk for chunk in stream if chunk.choices[0].delta.content)
    fakes.wait_until_aborted(single.provider)
