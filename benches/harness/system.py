"""Processes and what they cost, from the kernel's accounts. Nothing here knows what is measured."""

import contextlib
import ctypes
import os
import pathlib
import platform
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CPUS = sorted(os.sched_getaffinity(0))
# What is measured has a processor to itself; provider and load have another, or two.
MEASURED = CPUS[0]
LOAD = CPUS[-1]
PROVIDER = CPUS[1 % len(CPUS)]


class Process:
    """A child that dies with this process, on one processor."""

    def __init__(self, arguments, cpus, log=None, env=None, **options):
        arguments = [str(argument) for argument in arguments]
        self.log = log
        out = open(log, "wb") if log else subprocess.DEVNULL
        options.setdefault("stdout", out)
        options.setdefault("stderr", out)

        def prepare():
            os.sched_setaffinity(0, cpus)
            # PR_SET_PDEATHSIG
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)

        self.began = time.monotonic()
        self.child = subprocess.Popen(arguments, env={**os.environ, **(env or {})}, preexec_fn=prepare, **options)
        self.pid = self.child.pid

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

    def stop(self):
        self.child.kill()
        self.child.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def free_port():
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(address, path, body=None, headers=None, timeout=30):
    """One request by hand: status and body. Any failure to connect is an OSError."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=timeout) as connection:
        lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"host: {address}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body is not None:
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
        connection.sendall("\r\n".join(lines + ["", ""]).encode() + (body or b""))
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    head, _, rest = answer.partition(b"\r\n\r\n")
    if not head:
        raise ConnectionError("no answer")
    return int(head.split()[1]), rest


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
