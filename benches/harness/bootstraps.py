"""Envoy's configurations: the one that `dragoman envoy` prints, and those it is compared with.

The floor is the very same file without our two filters: listener, limits, error pages, retry policy, clusters
and credentials stay. Only the choice of the cluster, which our filter makes, has to be written down: a route
for each path of the provider, as cheap as routes get.
"""

import copy
import functools
import json
import pathlib

import yaml

from . import system, work

KEY = "BENCH_KEY"
WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"


def gateway(provider, kinds, listen, usual):
    """gateway.yaml: a provider and a model for each kind and pace, and the large plans. `usual`: whom most are for."""
    providers, models, routes = {}, {}, {}
    for kind in kinds:
        base, _, model = work.KINDS[kind]
        for pace in work.PACES:
            name = f"{kind}-{pace}"
            providers[name] = {"kind": kind, "url": f"http://{provider}/{pace}{base}", "credential": {"env": KEY}}
            models[name] = {"provider": name, "id": model, "max_output": 64000, "sampling": ["temperature"]}
    for count in work.LARGE_PLANS:
        targets = [f"plan-{number}" for number in range(count)]
        routes[f"targets-{count}"] = {"targets": targets}
        for number, name in enumerate(targets):
            kind = kinds[number % len(kinds)]
            models[name] = {**models[f"{kind}-json"], "id": f"{models[f'{kind}-json']['id']}-{number}"}
    document = {"version": "bench", "listen": listen, "providers": providers, "models": models, "routes": routes}
    # The first route's first provider is it if nothing is said, which older commands do not understand.
    return document if usual == work.RELAY[0].target else {**document, "usual_provider": usual}


def known_kinds(command, directory):
    """The kinds that this Dragoman has, and for the others what it says of them."""
    known, missing = [], {}
    for kind in work.KINDS:
        file = directory / f"kind-{kind}.yaml"
        # JSON is YAML.
        file.write_text(json.dumps({
            "version": "kind",
            "providers": {kind: {"credential": "none"}},
            "models": {"m": {"provider": kind, "id": "m", "max_output": 1000}},
        }))
        try:
            system.output(command, "check", file)
            known.append(kind)
        except Exception:
            missing[kind] = f"this Dragoman has no provider kind {kind}"
    return known, missing


class Bootstraps:
    def __init__(self, programs, provider, kinds, directory):
        self.programs = programs
        self.uncounted = programs["uncounted"]
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.gateway = functools.partial(gateway, provider, kinds, "127.0.0.1:18080")
        self.print(work.RELAY[0].target)

    def print(self, usual):
        """What `dragoman envoy` says of a gateway with this usual provider: of all bootstraps from here on."""
        self.usual = usual
        self.printed = self.printed_by(self.programs["dragoman"])

    def printed_by(self, command):
        file = self.directory / "gateway.yaml"
        document = self.gateway(self.usual)
        file.write_text(json.dumps(document))
        return yaml.safe_load(system.output(command, "envoy", file, "--module", self.programs["module"]))

    def write(self, name):
        """A bootstrap's file, and the address at which it listens."""
        own = {"dragoman": self.dragoman, "uncounted": self.without_counting, "floor": self.floor, "native": self.with_native}
        if is_module(name):
            bootstrap = self.with_module(name)
        else:
            bootstrap = own[name]() if name in own else self.with_filter(name)
        port = system.free_port()
        listener = bootstrap["static_resources"]["listeners"][0]
        listener["address"]["socket_address"]["port_value"] = port
        file = self.directory / f"{pathlib.Path(name).stem}-{port}.json"
        file.write_text(json.dumps(bootstrap, indent=1))
        return file, f"127.0.0.1:{port}"

    def dragoman(self):
        return copy.deepcopy(self.printed)

    def without_counting(self):
        """Nothing is counted, logged or learnt; all else is the same."""
        bootstrap = self.with_module(self.uncounted)
        del manager(bootstrap)["access_log"]
        return bootstrap

    def with_module(self, module):
        """Another module, and what its command prints if that lies beside it (A.dragoman beside A.wasm)."""
        command = pathlib.Path(module).with_suffix(".dragoman")
        bootstrap = self.printed_by(command) if command.exists() else self.dragoman()
        for filters in all_filters(bootstrap):
            for one in filters:
                if one["name"].startswith("dragoman."):
                    one["typed_config"]["config"]["vm_config"]["code"]["local"]["filename"] = str(module)
        return bootstrap

    def floor(self):
        bootstrap = copy.deepcopy(self.printed)
        for filters in all_filters(bootstrap):
            filters[:] = [one for one in filters if not one["name"].startswith("dragoman.")]
        host = manager(bootstrap)["route_config"]["virtual_hosts"][0]
        attempts = next(route["route"] for route in host["routes"] if route["name"] == "attempts")
        host["routes"] = []
        for cluster in bootstrap["static_resources"]["clusters"]:
            kind, _, pace = cluster["name"].partition("-")
            if kind not in work.KINDS or pace not in work.PACES:
                continue
            path = work.KINDS[kind][1].split(":")[0]
            action = {key: value for key, value in attempts.items() if "cluster" not in key}
            retry = {key: value for key, value in action["retry_policy"].items() if "cluster" not in key}
            action = {**action, "cluster": cluster["name"], "retry_policy": retry}
            host["routes"].append({"match": {"prefix": f"/{pace}{path}"}, "route": action})
        return bootstrap

    def with_filter(self, name):
        """Another filter in the places of our two; of "bare-without-KIND" the calls of a kind are left out."""
        program, _, without = name.partition("-without-")
        bootstrap = self.floor()
        for filters, stage in zip(all_filters(bootstrap), self.stages()):
            if stage:
                stage = copy.deepcopy(stage)
                config = stage["typed_config"]["config"]
                config["vm_config"]["code"]["local"]["filename"] = str(self.programs[program])
                config["configuration"]["value"] = without or "{}"
                filters.insert(0, stage)
        return bootstrap

    def with_native(self):
        from . import native
        return native.add(self.floor())

    def stages(self):
        """Our filter in each chain, in the order of the chains; there are chains without."""
        chains = all_filters(self.printed)
        return [next((one for one in chain if one["name"].startswith("dragoman.")), None) for chain in chains]


def is_module(name):
    """Whether a side is Dragoman as another file has it."""
    return name.endswith(".wasm")


def manager(bootstrap):
    return bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def all_filters(bootstrap):
    """The chain of the listener, and that of each cluster."""
    chains = [manager(bootstrap)["http_filters"]]
    for cluster in bootstrap["static_resources"]["clusters"]:
        options = cluster.get("typed_extension_protocol_options", {})
        chains += [option["http_filters"] for option in options.values() if "http_filters" in option]
    return chains
