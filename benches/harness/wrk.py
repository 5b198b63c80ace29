"""wrk, as a second opinion on our own load."""

import json
import re
import subprocess

from . import measure

SCRIPT = """
local file = io.open({body}, "rb")
wrk.method, wrk.body = "POST", file:read("*a")
wrk.headers["content-type"] = "application/json"
"""


def run(world, side, connections, seconds):
    body = world.directory / f"wrk-{side.name}"
    body.write_bytes(side.body)
    script = world.directory / "wrk.lua"
    script.write_text(SCRIPT.replace("{body}", json.dumps(str(body))))
    before = side.process.cpu()
    said = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script, f"http://{side.address}{side.path}"],
        check=True, capture_output=True, text=True, preexec_fn=measure.on_load,
    ).stdout
    taken = side.process.cpu() - before
    if "Non-2xx" in said:
        raise RuntimeError(f"{side.name}: {said}")
    requests = int(re.search(r"(\d+) requests in", said)[1])
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    return {"us": taken / requests * 1e6, "rate": rate}
