"""What Envoy signs for AWS, verified by AWS's own SDK on what the provider received: Converse, and Anthropic's own
API through InvokeModel.

botocore signs the received request again, with the headers that Envoy says it has signed: both signatures have
to be the same. The fake checks them, too, by itself; here nobody has to believe it.
"""

import hashlib
import json
import string

import openai
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from conftest import KEY, serving

ACCESS_KEY, TOKEN = "AKIDFAKE", "session/token+of=the==tests"
REGION = "us-east-1"

MODELS = {
    # A colon, and an ARN with slashes: encoded once in the path, and twice in what is signed.
    "claude": "us.anthropic.claude-fake-v1:0",
    "profile": f"arn:aws:bedrock:{REGION}:123456789012:inference-profile/us.anthropic.claude-fake-v1:0",
    "overloaded": "us.anthropic.claude-fake-v1:0?status=503",
}

# What answers, by the model: its fake, and the operations that it is asked for.
CONVERSE = "bedrock", "converse", "converse-stream"
INVOKE = "anthropic_bedrock", "invoke", "invoke-with-response-stream"
SERVED = {
    "claude": ("claude", CONVERSE),
    "profile": ("profile", CONVERSE),
    "messages": ("claude", INVOKE),
    "messages-profile": ("profile", INVOKE),
}

GATEWAY = string.Template("""
listen: $$LISTEN
clients: {keys: {file: keys.yaml}}
providers:
  signed: {kind: bedrock, url: "$BEDROCK", region: $REGION, credential: {aws: env}}
  invoked: {kind: anthropic-bedrock, url: "$INVOKE", region: $REGION, credential: {aws: env}}
  keyed: {kind: bedrock, url: "$BEDROCK", region: $REGION, credential: {env: TEST_BEDROCK_KEY}}
  openai: {url: "$OPENAI", credential: {env: TEST_OPENAI_KEY}}
models:
  claude: {provider: signed, id: "$claude"}
  profile: {provider: signed, id: "$profile"}
  overloaded: {provider: signed, id: "$overloaded"}
  messages: {provider: invoked, id: "$claude", max_output: 4096}
  messages-profile: {provider: invoked, id: "$profile", max_output: 4096}
  messages-overloaded: {provider: invoked, id: "$overloaded", max_output: 4096}
  with-key: {provider: keyed, id: "$claude"}
  gpt: {provider: openai, id: gpt-fake}
routes:
  signed-then-key: {targets: [overloaded, with-key]}
  signed-then-openai: {targets: [overloaded, gpt]}
  converse-then-invoke: {targets: [overloaded, messages]}
  invoke-then-openai: {targets: [messages-overloaded, gpt]}
""")


def gateway_yaml(addresses):
    urls = {"BEDROCK": addresses["bedrock"], "INVOKE": addresses["anthropic_bedrock"], "OPENAI": addresses["openai"]}
    return GATEWAY.substitute(MODELS, **urls, REGION=REGION)


@pytest.fixture(scope="module")
def aws_gateway(all_fakes, tmp_path_factory):
    addresses = all_fakes.addresses
    # One environment has one secret key.
    assert addresses["anthropic_bedrock_key"] == addresses["bedrock_key"]
    config = gateway_yaml(addresses)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        environment.setenv("AWS_SECRET_ACCESS_KEY", addresses["bedrock_key"])
        environment.setenv("AWS_SESSION_TOKEN", TOKEN)
        # Envoy would look for the metadata of an instance.
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with serving(all_fakes, config, tmp_path_factory.mktemp("aws")) as url:
            yield url


@pytest.fixture
def ask(aws_gateway, fakes):
    with openai.OpenAI(base_url=f"{aws_gateway}/v1", api_key=KEY, max_retries=0, timeout=20) as client:

        def ask(model, stream, text="hello — “wörld”"):
            # What a proxy or a client may add must not get into the signature, nor the provider.
            headers = {"x-forwarded-for": "203.0.113.7", "x-amz-meta": "client", "accept": "text/html"}
            answer = client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": text}], stream=stream, extra_headers=headers
            )
            if not stream:
                return answer.choices[0].message.content
            return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)

        yield ask


def headers_of(record):
    return {name.lower(): value for name, value in record["headers"]}


def signed_again(record, secret):
    """The signature by botocore, the headers that are signed, and the one that was received."""
    headers = headers_of(record)
    authorization = headers["authorization"]
    signed = authorization.split("SignedHeaders=")[1].split(",")[0].split(";")
    request = AWSRequest(
        method=record["method"],
        url=f"http://{headers['host']}{record['path']}",
        data=record["body"].encode(),
        headers={name: headers[name] for name in signed if name != "host"},
    )
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(ACCESS_KEY, secret, TOKEN), "bedrock", REGION)
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    scope = f"{ACCESS_KEY}/{headers['x-amz-date'][:8]}/{REGION}/bedrock/aws4_request"
    assert f"Credential={scope}," in authorization
    return signature, signed, authorization.split("Signature=")[1]


def is_signed(record, fakes):
    signature, _, received = signed_again(record, fakes.addresses["bedrock_key"])
    return signature == received


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("model", SERVED)
def test_signature_is_botocores(ask, fakes, model, stream):
    id, (fake, whole, streamed) = SERVED[model]
    assert ask(model, stream) == f'{fake} fake: you said "hello — “wörld”"'
    (record,) = fakes.requests(fake)
    encoded = MODELS[id].replace(":", "%3A").replace("/", "%2F")
    assert record["path"] == f"/model/{encoded}/{streamed if stream else whole}" and "“wörld”" in record["body"]
    signature, signed, received = signed_again(record, fakes.addresses["bedrock_key"])
    assert signature == received
    # No header that somebody may still change.
    assert signed == ["content-type", "host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"]
    headers = headers_of(record)
    assert headers["x-amz-security-token"] == TOKEN
    # botocore takes the hash of the body from this header.
    assert headers["x-amz-content-sha256"] == hashlib.sha256(record["body"].encode()).hexdigest()
    assert not [name for name in headers if name.startswith(("x-envoy-", "x-forwarded-")) or name == "x-amz-meta"]


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_an_api_key_is_a_bearer_token_and_nothing_of_another_attempts_signature_stays(ask, fakes, stream):
    assert "you said" in ask("signed-then-key", stream)
    *signed, keyed = fakes.requests("bedrock")
    assert signed and all(headers_of(record)["authorization"].startswith("AWS4-HMAC-SHA256 ") for record in signed)
    headers = headers_of(keyed)
    assert headers["authorization"] == f"Bearer {fakes.addresses['bedrock_key']}"
    assert not [name for name in headers if name.startswith("x-amz-")]


@pytest.mark.parametrize(
    "route, fake", [("signed-then-openai", "bedrock"), ("invoke-then-openai", "anthropic_bedrock")], ids=["converse", "invoke"]
)
def test_every_attempt_is_signed_for_itself_and_others_see_nothing_of_it(ask, fakes, route, fake):
    assert "you said" in ask(route, False)
    for record in fakes.requests(fake):
        assert is_signed(record, fakes)
    (record,) = fakes.requests("openai")
    headers = headers_of(record)
    assert headers["authorization"] == f"Bearer {fakes.addresses['openai_key']}"
    assert not [name for name in headers if name.startswith("x-amz-")]
    assert TOKEN not in json.dumps(record)


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_what_converse_was_sent_is_signed_anew_for_invoke(ask, fakes, stream):
    assert "you said" in ask("converse-then-invoke", stream)
    first, then = fakes.requests("bedrock"), fakes.requests("anthropic_bedrock")
    assert first and len(then) == 1
    assert all(is_signed(record, fakes) for record in [*first, *then])


def test_wrong_credentials_are_the_gateways_fault(all_fakes, tmp_path_factory, fakes):
    addresses = all_fakes.addresses
    config = gateway_yaml(addresses)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        environment.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        environment.delenv("AWS_SESSION_TOKEN", raising=False)
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with serving(all_fakes, config, tmp_path_factory.mktemp("wrong")) as url:
            client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=20)
            with client:
                for model in ["claude", "messages"]:
                    with pytest.raises(openai.InternalServerError) as raised:
                        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
                    assert raised.value.code == "upstream_auth_error" and "wrong" not in str(raised.value)
