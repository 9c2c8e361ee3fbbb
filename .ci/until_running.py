"""Run a shell command until its robot runs and shows data, press Ctrl-C, expect exit 0."""

import os
import signal
import subprocess
import sys
import threading

# Ignored when this runs in the background of a script; the robot inherits it.
signal.signal(signal.SIGINT, signal.default_int_handler)
process = subprocess.Popen(
    ["bash", "-euo", "pipefail", "-c", sys.argv[1]],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    start_new_session=True,
)
killer = threading.Timer(300, lambda: os.killpg(process.pid, signal.SIGKILL))
killer.start()
running, shown, pressed = False, 0, False
assert process.stdout is not None
for line in process.stdout:
    print(line, end="", flush=True)
    running = running or "All processes running" in line
    shown += running and line.startswith("[")
    if shown >= 40 and not pressed:
        pressed = True
        os.killpg(process.pid, signal.SIGINT)
code = process.wait()
killer.cancel()
if not pressed or code:
    sys.exit(f"expected a running robot that Ctrl-C ends with 0: pressed={pressed}, exit {code}")
