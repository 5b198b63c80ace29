"""Failures as the SDK's own exceptions, with what programs read from them."""

import time

import openai
import pytest

HELLO = [{"role": "user", "content": "hello"}]


def caught(client, kind, **request):
    """The exception of a request: of this very class, whole and streamed alike."""
    request = {"model": "gpt", "messages": HELLO, **request}
    errors = []
    for stream in (False, True):
        with pytest.raises(kind) as raised:
            client.chat.completions.create(**request, stream=stream)
        error = raised.value
        assert type(error) is kind
        assert isinstance(error, openai.APIStatusError), "an answer, not the lack of one"
        assert set(error.body) - {"attempts"} == {"message", "type", "param", "code"}
        assert error.body["message"] in error.message
        assert error.response.headers["content-type"] == "application/json"
        assert error.request_id, "what an operator can be asked about"
        errors.append(error)
    whole, streamed = errors
    for what in ("status_code", "type", "code", "param"):
        assert getattr(whole, what) == getattr(streamed, what), what
    assert whole.request_id != streamed.request_id
    return whole


def test_wrong_key_of_the_client(client, fakes):
    error = caught(client.with_options(api_key="sk-of-somebody-else"), openai.AuthenticationError)
    assert (error.code, error.type) == ("invalid_api_key", "invalid_request_error")
    assert fakes.requests() == []


def test_unknown_model(client, fakes):
    error = caught(client, openai.NotFoundError, model="gpt-5-of-somebody-else")
    assert (error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error")
    assert "gpt-5-of-somebody-else" in error.message and fakes.requests() == []


def test_bad_request(client, single):
    error = caught(client, openai.BadRequestError, model=single.name, temperature=7)
    assert (error.code, error.param, error.type) == ("invalid_value", "temperature", "invalid_request_error")


@pytest.mark.parametrize("messages", [[{"role": "nobody", "content": "x"}], []], ids=["role", "none"])
def test_bad_messages(client, single, messages):
    error = caught(client, openai.BadRequestError, model=single.name, messages=messages)
    assert error.param.startswith("messages") and error.type == "invalid_request_error"


def test_what_a_model_cannot_do(client, fakes):
    error = caught(client, openai.BadRequestError, model="claude", n=2)
    assert (error.code, error.param) == ("unsupported_parameter", "n")
    assert fakes.requests() == []


def test_too_large(client, fakes):
    large = [{"role": "user", "content": "x" * (2 << 20)}]
    error = caught(client, openai.APIStatusError, messages=large)
    assert error.status_code == 413
    assert (error.code, error.type) == ("request_too_large", "invalid_request_error")
    assert fakes.requests() == []


def test_just_not_too_large(client, single):
    large = [{"role": "user", "content": "x" * 1_000_000}]
    completion = client.chat.completions.create(model=single.name, messages=large)
    assert completion.choices[0].finish_reason == "stop"


def test_path_and_method_that_are_not_served(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.get("/nothing", cast_to=object)
    assert raised.value.code == "unknown_url" and raised.value.request_id
    with pytest.raises(openai.APIStatusError) as raised:
        client.models.delete("gpt")
    assert raised.value.status_code == 405 and raised.value.code == "method_not_allowed"


OPENAI = [
    ("status=400", openai.BadRequestError, 400, "invalid_request_error", None),
    ("error=context_length_exceeded", openai.BadRequestError, 400, "invalid_request_error", "context_length_exceeded"),
    ("error=content_filter", openai.BadRequestError, 400, "invalid_request_error", "content_filter"),
    ("error=model_not_found", openai.NotFoundError, 404, "invalid_request_error", "model_not_found"),
    ("error=rate_limit_exceeded", openai.RateLimitError, 429, "requests", "rate_limit_exceeded"),
    ("error=insufficient_quota", openai.RateLimitError, 429, "insufficient_quota", "insufficient_quota"),
    # The gateway's own key: not the client's to mend.
    ("error=invalid_api_key", openai.InternalServerError, 502, "server_error", "upstream_auth_error"),
    ("error=server_error", openai.InternalServerError, 502, "server_error", "server_error"),
    ("error=slow_down", openai.InternalServerError, 503, "server_error", "slow_down"),
]

ANTHROPIC = [
    ("status=400", openai.BadRequestError, 400, "invalid_request_error", None),
    ("error=context_length_exceeded", openai.BadRequestError, 400, "invalid_request_error", "context_length_exceeded"),
    ("error=content_filter", openai.BadRequestError, 400, "invalid_request_error", "content_filter"),
    ("error=not_found_error", openai.NotFoundError, 404, "invalid_request_error", "model_not_found"),
    ("error=rate_limit_error", openai.RateLimitError, 429, "rate_limit_error", "rate_limit_exceeded"),
    ("error=insufficient_quota", openai.RateLimitError, 429, "insufficient_quota", "insufficient_quota"),
    ("error=authentication_error", openai.InternalServerError, 502, "server_error", "upstream_auth_error"),
    ("error=api_error", openai.InternalServerError, 502, "server_error", "server_error"),
    ("error=overloaded_error", openai.InternalServerError, 503, "server_error", "overloaded"),
    ("error=timeout_error", openai.InternalServerError, 504, "server_error", "timeout"),
]


@pytest.mark.parametrize(("fault", "kind", "status", "type_", "code"), OPENAI, ids=[row[0] for row in OPENAI])
def test_failure_of_openai(client, fakes, fault, kind, status, type_, code):
    fakes.fault("openai", fault)
    error = caught(client, kind)
    assert (error.status_code, error.type, error.code) == (status, type_, code)
    assert error.response.headers["x-dragoman-model"] == "gpt"


@pytest.mark.parametrize(("fault", "kind", "status", "type_", "code"), ANTHROPIC, ids=[row[0] for row in ANTHROPIC])
def test_failure_of_anthropic(client, fakes, fault, kind, status, type_, code):
    fakes.fault("anthropic", fault)
    error = caught(client, kind, model="claude")
    assert (error.status_code, error.type, error.code) == (status, type_, code)
    assert error.response.headers["x-dragoman-model"] == "claude"


@pytest.mark.parametrize("fault", ["html", "html_status=502", "garbage", "empty_body", "reset", "gzip_header"])
def test_answer_that_is_none(client, fakes, single, fault):
    fakes.fault(single.provider, fault)
    error = caught(client, openai.InternalServerError, model=single.name)
    assert error.status_code in (502, 503) and error.type == "server_error" and "<" not in error.message


@pytest.mark.parametrize(("stream", "text"), [(False, "lorem 20000000"), (True, "count 100000")])
def test_answer_larger_than_can_be_held(client, stream, text):
    """It must neither be cut nor take the gateway down with it."""
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(
            model="gpt",
            messages=[{"role": "user", "content": text}],
            stream=stream,
            extra_headers={"x-dragoman-commit": "complete"},
        )
    assert (raised.value.status_code, raised.value.code) == (502, "bad_upstream_response")
    assert "larger" in raised.value.message


def test_answer_larger_than_the_largest_request(client):
    messages = [{"role": "user", "content": "lorem 15000000"}]
    completion = client.chat.completions.create(model="gpt", messages=messages)
    assert len(completion.choices[0].message.content) == 15_000_000


def test_nobody_at_the_address(client):
    error = caught(client, openai.InternalServerError, model="refused")
    assert (error.status_code, error.code) == (503, "upstream_unreachable")


def test_failure_of_all_targets_tells_what_each_said(client, fakes):
    fakes.fault("anthropic", "status=429")
    error = caught(client, openai.RateLimitError, model="third")
    told = [(attempt["model"], attempt["status"]) for attempt in error.body["attempts"]]
    assert told == [("refused", 503), ("gpt-overloaded", 503), ("claude", 429)]
    assert error.response.headers["x-dragoman-attempts"] == "3"


def test_rate_limit_says_when_to_come_again(client, fakes, single):
    fakes.fault(single.provider, "status=429&retry_after=7")
    error = caught(client, openai.RateLimitError, model=single.name)
    assert error.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_clients_own_timeout(client, fakes, single, stream):
    fakes.fault(single.provider, "delay_ms=3000")
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model=single.name, messages=HELLO, stream=stream, timeout=0.3)
    fakes.wait_until_aborted(single.provider)


def broken_off(client, single, kind):
    """What the client gets of a stream, and the exception in which it ends."""
    words = []
    with pytest.raises(kind) as raised:
        for chunk in client.chat.completions.create(
            model=single.name, messages=[{"role": "user", "content": "count 50"}], stream=True
        ):
            words += [chunk.choices[0].delta.content] if chunk.choices[0].delta.content else []
            assert chunk.choices[0].finish_reason is None, "the answer never ended"
    return words, raised.value


@pytest.mark.parametrize("fault", ["error_after=4", "end_after=4"], ids=["error", "early-end"])
def test_failure_within_a_stream(client, fakes, single, fault):
    fakes.fault(single.provider, fault)
    words, error = broken_off(client, single, openai.APIError)
    assert words == ["1", " 2", " 3", " 4"]
    assert type(error) is openai.APIError and error.message and error.type == "server_error"


def test_connection_cut_within_a_stream(client, fakes, single):
    fakes.fault(single.provider, "cut_after=4&pace_ms=20")
    words, _ = broken_off(client, single, openai.APIConnectionError)
    # The last one may go down with the connection.
    assert words[:3] == ["1", " 2", " 3"] and words[3:] in ([], [" 4"])


def test_failure_within_a_stream_of_the_helper(client, fakes, single):
    fakes.fault(single.provider, "error_after=4")
    with pytest.raises(openai.APIError):
        with client.chat.completions.stream(
            model=single.name, messages=[{"role": "user", "content": "count 50"}]
        ) as stream:
            stream.get_final_completion()


def test_retry_of_the_sdk_after_an_overload(client, fakes, single):
    """503 of a single target goes to the client at once; its second request is answered."""
    fakes.fault(single.provider, "status=503&times=1")
    with_retries = client.with_options(max_retries=openai.DEFAULT_MAX_RETRIES)
    completion = with_retries.chat.completions.create(model=single.name, messages=HELLO)
    assert completion.choices[0].finish_reason == "stop"
    assert [record["status"] for record in fakes.requests(single.provider)] == [503, 200]


def test_retry_of_the_gateway_after_a_transient_failure(client, fakes, single):
    """500 is repeated by the gateway once, and by the SDK after that."""
    fakes.fault(single.provider, "status=500&times=1")
    began = time.monotonic()
    raw = client.chat.completions.with_raw_response.create(model=single.name, messages=HELLO)
    assert raw.headers["x-dragoman-attempts"] == "2" and raw.parse().choices
    assert time.monotonic() - began < 0.8, "nobody asked to wait"
    fakes.fault(single.provider, "status=500&times=2")
    with_retries = client.with_options(max_retries=openai.DEFAULT_MAX_RETRIES)
    assert with_retries.chat.completions.create(model=single.name, messages=HELLO).choices
    assert [record["status"] for record in fakes.requests(single.provider)] == [500, 200, 500, 500, 200]
