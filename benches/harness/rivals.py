"""Other gateways, from the registries that have them: how each is installed, configured, started and asked.

Each runs as its makers have it run in production as far as one processor goes, with the logging and the
telemetry to elsewhere turned off, and with one worker.
"""

import contextlib
import json
import time

from . import bootstraps, measure, system, work

CACHE = system.ROOT / ".cache" / "rivals"
# The first start compiles, downloads nothing.
MOST_START = 90


class TensorZero:
    name = "tensorzero"
    title = "TensorZero"
    package = "tensorzero==2026.6.0"
    python = True
    # Its gateway is in the wheel, for use from within Python; nothing of Python is in the way of a request.
    START = (
        "import sys, time, tensorzero\n"
        "gateway = tensorzero._start_http_gateway(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None,"
        " valkey_url=None, async_setup=False)\n"
        "open(sys.argv[2], 'w').write(gateway.base_url)\n"
        "while True: time.sleep(3600)\n"
    )

    def start(self, world):
        lines = ["[gateway]", "observability.enabled = false", "disable_pseudonymous_usage_analytics = true"]
        for kind in self.kinds(world):
            for pace in work.PACES:
                base = {"openai": "/v1", "anthropic": "/v1"}[kind]
                lines += [f"[models.{kind}-{pace}]", 'routing = ["bench"]', f"[models.{kind}-{pace}.providers.bench]",
                          f'type = "{kind}"', f'model_name = "{work.KINDS[kind][2]}"',
                          f'api_base = "http://{world.provider_address}/{pace}{base}"',
                          f'api_key_location = "env::{bootstraps.KEY}"']
        file = world.directory / "tensorzero.toml"
        file.write_text("\n".join(lines) + "\n")
        said = world.directory / "tensorzero.url"
        said.unlink(missing_ok=True)
        process = system.Process([directory(self) / "bin/python", "-c", self.START, file, said], {system.MEASURED},
                                 log=world.directory / "tensorzero.log",
                                 env={bootstraps.KEY: "sk-bench", "RUST_LOG": "error"})
        deadline = time.monotonic() + MOST_START
        while not (said.exists() and said.read_text()):
            if not process.running() or time.monotonic() > deadline:
                raise RuntimeError(system.tail(process.log))
            time.sleep(0.1)
        return process, said.read_text().split("//")[1].split("/")[0]

    def kinds(self, world):
        return ["openai", "anthropic"]

    def side(self, process, address, world, case):
        return measure.Side(self.name, process, address, "/openai/v1/chat/completions",
                            case.body(f"tensorzero::model_name::{case.target}"))


class LiteLlm:
    name = "litellm"
    title = "LiteLLM proxy"
    package = "litellm[proxy]==1.106.2"
    python = True

    def start(self, world):
        models = []
        for kind in self.kinds(world):
            for pace in work.PACES:
                base = {"openai": "/v1", "anthropic": "", "gemini": ""}[kind]
                models.append({"model_name": f"{kind}-{pace}", "litellm_params": {
                    "model": f"{kind}/{work.KINDS[kind][2]}", "api_key": "sk-bench",
                    "api_base": f"http://{world.provider_address}/{pace}{base}"}})
        file = world.directory / "litellm.yaml"
        # JSON is YAML.
        file.write_text(json.dumps({
            "model_list": models,
            "litellm_settings": {"telemetry": False, "drop_params": True},
            # One failure would have the next five seconds refused: there is one deployment of each model.
            "router_settings": {"disable_cooldowns": True},
        }))
        port = system.free_port()
        process = system.Process(
            [directory(self) / "bin/litellm", "--config", file, "--host", "127.0.0.1", "--port", port,
             "--num_workers", 1], {system.MEASURED}, log=world.directory / "litellm.log",
            env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION",
                 "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"})
        return process, f"127.0.0.1:{port}"

    def kinds(self, world):
        return ["openai", "anthropic"]

    def side(self, process, address, world, case):
        return measure.Side(self.name, process, address, "/v1/chat/completions", case.body(case.target))


class Portkey:
    name = "portkey"
    title = "Portkey gateway"
    package = "@portkey-ai/gateway@1.15.2"
    # With the newest one its streams are answered with 500: there, headers of a fetched answer are immutable.
    overrides = {"@hono/node-server": "1.13.8"}
    python = False

    def start(self, world):
        port = system.free_port()
        program = directory(self) / "node_modules/@portkey-ai/gateway/build/start-server.js"
        process = system.Process(["node", program, f"--port={port}", "--headless"], {system.MEASURED},
                                 log=world.directory / "portkey.log",
                                 env={"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"})
        return process, f"127.0.0.1:{port}"

    def kinds(self, world):
        return ["openai", "anthropic"]

    def side(self, process, address, world, case):
        headers = {
            "x-portkey-provider": case.kind, "authorization": "Bearer sk-bench",
            "x-portkey-custom-host": f"http://{world.provider_address}/{case.pace}/v1",
        }
        return measure.Side(self.name, process, address, "/v1/chat/completions", case.body(work.KINDS[case.kind][2]),
                            headers)


RIVALS = [TensorZero(), LiteLlm(), Portkey()]


def directory(rival):
    return CACHE / rival.name


def install(rival):
    """Once; into .cache, as everything that is fetched."""
    place = directory(rival)
    mark = place / "installed"
    if mark.exists() and mark.read_text() == rival.package:
        return
    place.mkdir(parents=True, exist_ok=True)
    print(f"  installing {rival.package}", flush=True)
    if rival.python:
        system.output("python3", "-m", "venv", "--clear", place)
        system.output(place / "bin/pip", "install", "--quiet", "--disable-pip-version-check", rival.package)
    else:
        (place / "package.json").write_text(json.dumps({"overrides": rival.overrides}))
        system.output("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", place, rival.package)
    mark.write_text(rival.package)


@contextlib.contextmanager
def running(rival, world):
    install(rival)
    process, address = rival.start(world)
    with process:
        side = rival.side(process, address, world, work.RELAY[0])
        system.wait_for(process, side.ask, MOST_START)
        yield process, address
