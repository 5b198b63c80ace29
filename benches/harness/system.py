"""Processes and what they cost, from the kernel's accounts. Nothing here knows what is measured."""

import contextlib
import ctypes
import http.client
import os
import pathlib
import platform
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CPUS = sorted(os.sched_getaffinity(0))
# What is measured has a processor to itself; provider and load have another, or two.
MEASURED = CPUS[0]
LOAD = CPUS[-1]
PROVIDER = CPUS[1 % len(CPUS)]


# Of linux/prctl.h.
PR_SET_PDEATHSIG = 1
PR_SET_TIMERSLACK = 29
# The part of its time that a process uses which has nothing to do.
IDLE = 0.006
# Seconds.
SETTLED = 0.05


def prctl(option, value):
    ctypes.CDLL(None).prctl(option, value)


class Process:
    """A child that dies with this process, on one processor. `precise`: it wakes when it is to, and not with others
    within the next 50 µs."""

    # Those that run.
    started = []

    def __init__(self, arguments, cpus, log=None, env=None, precise=False, **options):
        arguments = [str(argument) for argument in arguments]
        self.log = log
        out = open(log, "wb") if log else subprocess.DEVNULL
        options.setdefault("stdout", out)
        options.setdefault("stderr", out)

        def prepare():
            os.sched_setaffinity(0, cpus)
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if precise:
                prctl(PR_SET_TIMERSLACK, 1)

        self.cpus = cpus
        self.began = time.monotonic()
        self.child = subprocess.Popen(arguments, env={**os.environ, **(env or {})}, preexec_fn=prepare, **options)
        self.pid = self.child.pid
        self.started.append(self)

    def cpu(self):
        """Seconds of processor time so far, of all threads, ended ones too, to the nanosecond."""
        # MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of the kernel's posix-timers.h.
        return time.clock_gettime((~self.pid << 3) | 2)

    def status(self, field):
        """A line of /proc/PID/status, in bytes."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) << 10
        raise KeyError(field)

    def resident(self):
        return self.status("VmRSS")

    def peak(self):
        return self.status("VmHWM")

    def forget_peak(self):
        """From here on the peak counts anew: what a start took is no matter later."""
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def running(self):
        return self.child.poll() is None

    @contextlib.contextmanager
    def alone(self):
        """Whatever else runs where it runs stands still meanwhile: gateways have work to do when nobody asks."""
        others = [other for other in self.started if other is not self and other.cpus == self.cpus and other.running()]
        try:
            for other in others:
                other.child.send_signal(signal.SIGSTOP)
            # What was due while it stood still itself is done then.
            time.sleep(SETTLED)
            yield
        finally:
            for other in others:
                other.child.send_signal(signal.SIGCONT)

    def stop(self):
        self.child.kill()
        self.child.wait()
        if self in self.started:
            self.started.remove(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


@contextlib.contextmanager
def awake():
    """No processor sleeps meanwhile: in a virtual machine it takes as long to wake one as a gateway to serve a request.

    What Linux calls PM QoS: processors wait awake while this file is open. Only root may say so.
    """
    try:
        file = open("/dev/cpu_dma_latency", "wb", buffering=0)
    except OSError as error:
        print(f"  processors may sleep, which adds to all times: {error}", flush=True)
        yield
        return
    with file:
        # Microseconds in which one has to be awake, as 32 bits.
        file.write((0).to_bytes(4, sys.byteorder))
        yield


def free_port():
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(address, path, body=None, headers=None, timeout=30):
    """One request on a connection of its own: status and body. Any failure to be answered is an OSError."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    with contextlib.closing(connection):
        method = "GET" if body is None else "POST"
        connection.request(method, path, body, {"content-type": "application/json", **(headers or {})})
        try:
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(repr(error)) from error


def wait_for(process, question, seconds, pause=0.1):
    """Until the question is answered with 200; the seconds it took since the process began."""
    told = None
    while time.monotonic() < process.began + seconds:
        if not process.running():
            break
        try:
            status, told = question()
            if status == 200:
                return time.monotonic() - process.began
        except OSError as error:
            told = error
        time.sleep(pause)
    raise RuntimeError(f"no good answer within {seconds} s: {told}; {tail(process.log)}")


def wait_until_idle(process, seconds):
    """Until two seconds pass of which the process uses next to nothing: compilers are done, and what a start puts off.

    Dragoman shows the health of its models by 20 a second, which takes 9 ms of each (under valgrind 50); when it has
    shown all it takes one of a second (4).
    """
    while time.monotonic() < process.began + seconds:
        before, began = process.cpu(), time.monotonic()
        # What is done once a second falls into them, late as it may be.
        time.sleep(2.2)
        if process.cpu() - before < IDLE * (time.monotonic() - began):
            return
    raise RuntimeError(f"it is still busy after {seconds} s; {tail(process.log)}")


def tail(log, lines=15):
    if not log:
        return ""
    return "\n".join(pathlib.Path(log).read_text(errors="replace").splitlines()[-lines:])


def output(*arguments, **options):
    return subprocess.run([str(argument) for argument in arguments], check=True, capture_output=True, text=True,
                          **options).stdout.strip()


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return f"{len(CPUS)} × {cpu}, {memory} GiB, Linux {platform.release().split('-')[0]}"
