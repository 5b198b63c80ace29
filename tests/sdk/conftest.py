"""The fake providers and an Envoy with the gateway, started once; the SDK's client for each test.

What is started comes from DRAGOMAN_ENVOY, DRAGOMAN_MODULE, DRAGOMAN_COMMAND and DRAGOMAN_FAKES, or
from where scripts/build leaves it. The SDK is as installed: nothing here changes how it behaves.
"""

import contextlib
import json
import os
import pathlib
import socket
import string
import subprocess
import time
import urllib.request

import openai
import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
KEY = "sk-client-of-the-tests"

# Everything is on this machine, whatever proxy there is to others.
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1"


def program(variable, default):
    path = ROOT / os.environ.get(variable, default)
    if not path.is_file():
        pytest.exit(f"{path} is missing: run scripts/build, or set {variable}", returncode=1)
    return str(path)


def fakes_program():
    return program("DRAGOMAN_FAKES", "target/dragoman-fakes")


def described():
    """What the fakes say of themselves, by name: see `dragoman-fakes --describe`."""
    return json.loads(subprocess.run([fakes_program(), "--describe"], check=True, stdout=subprocess.PIPE).stdout)


def provider_entry(name, fake, url):
    """A fake as gateway.yaml has its provider."""
    return {"kind": fake["kind"], "url": url, "credential": {"env": variable(f"{name}_key")}} | fake["provider"]


def variable(name):
    """Of the environment, for a key."""
    return f"TEST_{name.upper().replace('-', '_')}"


def model_entry(name, fake, faults=""):
    """The same of its model, with the faults that are asked of it."""
    return fake["model_settings"] | {"provider": name, "id": fake["model"] + (f"?{faults}" if faults else "")}


@pytest.fixture(scope="session")
def gateway_kinds(tmp_path_factory):
    """Which kinds of the fakes the gateway knows: a fake may be there before its translator."""
    path = tmp_path_factory.mktemp("kinds") / "gateway.yaml"
    known = set()
    for name, fake in described().items():
        document = {"providers": {name: provider_entry(name, fake, "http://127.0.0.1:1")}}
        document["models"] = {name: model_entry(name, fake)}
        path.write_text(json.dumps(document | {"listen": "127.0.0.1:1"}))
        command = [program("DRAGOMAN_COMMAND", "target/dragoman"), "check", path]
        checked = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if checked.returncode == 0:
            known.add(fake["kind"])
        # Anything else that is wrong is a mistake in what the fake says of itself.
        elif "unknown kind" not in checked.stdout:
            pytest.exit(f"{name} in gateway.yaml: {checked.stdout}", returncode=1)
    return known


class Fakes:
    """The control listener of the fake providers: faults in, records out."""

    def __init__(self, addresses):
        self.addresses = addresses
        self.descriptions = described()
        self.providers = list(self.descriptions)

    def ask(self, method, path, body=""):
        request = urllib.request.Request(self.addresses["control"] + path, body.encode(), method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def fault(self, provider, faults):
        """Until the end of the test, or for so many requests with `times=`."""
        self.ask("PUT", f"/faults/{provider}", faults)

    def requests(self, provider=None):
        """What the providers were asked in this test, oldest first."""
        return self.ask("GET", "/requests" + (f"?provider={provider}" if provider else ""))

    def last_body(self, provider):
        return json.loads(self.requests(provider)[-1]["body"])

    def known_faults(self):
        """The form of each fault's value, by provider and name."""
        return {name: fake["faults"] for name, fake in self.descriptions.items()}

    def open(self):
        """How many requests the providers are answering."""
        return sum(counts["open"] for counts in self.ask("GET", "/counts").values())

    def most_open(self, provider):
        return self.ask("GET", "/counts")[provider]["max_open"]

    def wait_until_aborted(self, provider):
        """A client that has left is nobody to go on talking to, and tokens cost."""
        deadline = time.monotonic() + 5
        while not self.requests(provider)[-1]["aborted"]:
            assert time.monotonic() < deadline, "the provider is still answering"
            time.sleep(0.02)

    def forget(self):
        for provider in self.providers:
            self.ask("DELETE", f"/faults/{provider}")
        self.ask("DELETE", "/requests")


@contextlib.contextmanager
def running(command, **options):
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def unused_address():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="session")
def all_fakes():
    command = [fakes_program(), "--stop-with-stdin"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with running(command, **pipes) as process, process.stdin, process.stdout:
        yield Fakes(json.loads(process.stdout.readline()))


@pytest.fixture(scope="session")
def gateway(all_fakes, tmp_path_factory):
    """The address of a gateway that answers."""
    addresses = all_fakes.addresses
    config = string.Template((HERE / "gateway.yaml").read_text()).safe_substitute(
        OPENAI=addresses["openai"], ANTHROPIC=addresses["anthropic"], NOWHERE=unused_address()
    )
    with serving(all_fakes, config, tmp_path_factory.mktemp("gateway")) as url:
        yield url


@contextlib.contextmanager
def serving(all_fakes, config, directory):
    """An Envoy with a gateway.yaml, in which $LISTEN stands for its address."""
    addresses = all_fakes.addresses
    listen = unused_address()
    (directory / "gateway.yaml").write_text(config.replace("$LISTEN", listen))
    (directory / "keys.yaml").write_text(f"tests: {KEY}\n")
    command = program("DRAGOMAN_COMMAND", "target/dragoman")
    module = program("DRAGOMAN_MODULE", "target/dragoman.wasm")
    written = [command, "envoy", directory / "gateway.yaml", "-o", directory, "--module", module]
    subprocess.run(written, check=True, stdout=subprocess.DEVNULL)

    log = directory / "envoy.log"
    envoy = [program("DRAGOMAN_ENVOY", ".cache/envoy/bin/envoy"), "-c", directory / "envoy.yaml"]
    # Two workers, as the tests of what they share need; no shared memory with other Envoys here.
    envoy += ["--concurrency", "2", "--disable-hot-restart", "--log-path", log]
    keys = {variable(name): key for name, key in addresses.items() if name.endswith("_key")}
    # Envoy writes the access log to its standard output.
    access_log = open(directory / "access.log", "wb")
    with access_log, running(envoy, env={**os.environ, **keys}, stdout=access_log) as process:
        wait_until_ready(f"http://{listen}", process, log)
        yield f"http://{listen}"
    # A crash of the module is no failure of a request that Envoy could repeat.
    problems = [line for line in log.read_text().splitlines() if "[critical]" in line or "panicked" in line]
    assert not problems, "\n".join(problems)


def wait_until_ready(url, process, log):
    request = urllib.request.Request(f"{url}/v1/models", headers={"authorization": f"Bearer {KEY}"})
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    pytest.exit(f"Envoy does not answer; the end of its log:\n{log.read_text()[-4000:]}", returncode=1)


@pytest.fixture
def fakes(all_fakes):
    all_fakes.forget()
    yield all_fakes
    all_fakes.forget()


@pytest.fixture
def settings(gateway, fakes):
    """For clients of a test's own. A retry by the SDK would hide what the gateway did."""
    return {"base_url": f"{gateway}/v1", "api_key": KEY, "max_retries": 0, "timeout": 20}


@pytest.fixture
def client(settings):
    with openai.OpenAI(**settings) as client:
        yield client


class Served:
    """A name that clients use, and what is known of the model that answers to it."""

    def __init__(self, name, model, provider, attempts=1):
        self.name, self.model, self.provider, self.attempts = name, model, provider, attempts

    @property
    def is_openai(self):
        return self.provider == "openai"


@pytest.fixture(
    params=[
        Served("gpt", "gpt", "openai"),
        Served("claude", "claude", "anthropic"),
        Served("gpt-after-claude", "gpt", "openai", attempts=2),
        Served("claude-after-gpt", "claude", "anthropic", attempts=2),
    ],
    ids=lambda served: served.name,
)
def served(request):
    """Each kind of provider, directly and after another that is down."""
    return request.param


@pytest.fixture(params=[Served("gpt", "gpt", "openai"), Served("claude", "claude", "anthropic")], ids=lambda s: s.name)
def single(request):
    """Each kind of provider, with nobody to fail over to."""
    return request.param
