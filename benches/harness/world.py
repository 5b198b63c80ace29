"""Everything that a part of the benchmark needs to be running: the provider, Envoys, load."""

import contextlib
import dataclasses
import pathlib

from . import answers, bootstraps, measure, system, work


class World:
    def __init__(self, programs, directory, quick):
        self.programs = programs
        self.directory = pathlib.Path(directory).resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.quick = quick
        self.load = measure.Load(programs["load"], self.directory)
        self.stack = contextlib.ExitStack()
        self.known_words = {}

    def __enter__(self):
        self.stack.enter_context(system.awake())
        self.provider = self.stack.enter_context(
            system.Process([self.programs["upstream"]], {system.PROVIDER}, precise=True, stdout=-1, stderr=None)
        )
        said = self.provider.child.stdout.readline().decode().split()
        self.provider_address, self.events = said[0], int(said[1])
        self.kinds, self.missing = bootstraps.known_kinds(self.programs["dragoman"], self.directory)
        self.bootstraps = bootstraps.Bootstraps(
            self.programs, self.provider_address, self.kinds, self.directory,
        )
        return self

    def __exit__(self, *reason):
        return self.stack.__exit__(*reason)

    @property
    def rounds(self):
        return 3 if self.quick else 7

    @property
    def long_rounds(self):
        """Where a turn takes longer, or there are more sides."""
        return 3 if self.quick else 5

    def envoy(self, name, workers=1, cpus=None):
        """A started Envoy, and its address. It has answered nothing yet."""
        file, address = self.bootstraps.write(name)
        process = system.Process(
            [self.programs["envoy"], "--disable-hot-restart", "--log-level", "warning", "--concurrency", workers,
             "--config-path", file],
            cpus or {system.MEASURED}, log=file.with_suffix(".log"), env={bootstraps.KEY: "sk-bench"},
        )
        return process, address

    @contextlib.contextmanager
    def envoys(self, *names, usual=work.RELAY[0].target):
        """Envoys by name that answer, of gateways with this usual provider."""
        self.bootstraps.print(usual)
        with contextlib.ExitStack() as stack:
            started = {}
            for name in names:
                process, address = self.envoy(name)
                started[name] = stack.enter_context(process), address
            for name, (process, address) in started.items():
                side = self.side(name, process, address, work.RELAY[0])
                system.wait_for(process, side.ask, 30)
            for process, _ in started.values():
                system.wait_until_idle(process, 60)
            yield started

    def side(self, name, process, address, case, model=None):
        """How an Envoy is asked for a case: ours by the name of a model, the others by the provider's path."""
        if name in ("dragoman", "uncounted") or bootstraps.is_module(name):
            return measure.Side(name, process, address, "/v1/chat/completions", case.body(model or case.target))
        side = self.provider_side(case, name, process, address)
        # The only one of them that translates.
        return dataclasses.replace(side, speaks="openai") if name == "native" else side

    def provider_side(self, case, name="provider", process=None, address=None):
        """The provider itself, or what passes its answers on."""
        path, model = work.KINDS[case.kind][1:]
        if case.kind == "gemini" and case.stream:
            path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
        return measure.Side(name, process or self.provider, address or self.provider_address, f"/{case.pace}{path}",
                            case.body(model), speaks=case.kind)

    def words(self, case):
        """What the provider says."""
        key = case.kind, case.pace
        if key not in self.known_words:
            side = self.provider_side(case)
            self.known_words[key] = answers.words(side.speaks, case.stream, side.ask()[1])
            assert self.known_words[key], f"the provider says nothing to {side.path}"
        return self.known_words[key]

    def known(self, cases):
        """The cases whose kind there is."""
        for case in cases:
            if case.kind in self.missing:
                print(f"  {case.name}: left out, {self.missing[case.kind]}", flush=True)
            else:
                yield case
