"""Steer the simulated devices of a running robot: what they sense, and what is wrong with them.

list [DEVICE]                what can be set, with units and present values, and the faults
set DEVICE.STIMULUS VALUE... set what a device senses, such as imu.rotation 0 0 1
fault DEVICE FAULT [NUMBER]  unplug, plug, silence, nak, corrupt, drop, slow or clear
truth DEVICE                 the true state of a device; with -f again and again
serve i2c DEVICE...          simulated chips on a real /dev/i2c-N of this computer, for any program;
                             each a device of this folder's horus.yaml, or the name of a driver
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from horus.cli import live

_EXAMPLES = """\
examples:
  horus mock list
  horus mock set imu.rotation 0 0 1       turn it at 1 rad/s
  horus mock fault imu unplug             pull its plug; plug puts it back
  horus mock fault imu corrupt 0.01       damage 1 % of what it says
  horus mock truth left_wheel -f
  sudo env PATH=$PATH horus mock serve i2c mpu6050 --bus 20
"""
PREFIX = "sim."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus mock`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("action", choices=("list", "set", "fault", "truth", "serve"))
    parser._negative_number_matcher = live.NEGATIVE  # its own knows no -5e-1
    parser.add_argument(
        "what", nargs="*", default=[], metavar="WHAT", help="the device and the rest"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="truth: until Ctrl-C")
    parser.add_argument("--bus", type=int, metavar="N", help="serve: the number of its /dev/i2c-N")
    parser.add_argument(
        "--absent",
        choices=("ENXIO", "EREMOTEIO", "ENODEV"),
        default="ENXIO",
        help="serve: the error at an address where nothing is, which adapters disagree about",
    )
    live.add_session(parser)


def main(args: argparse.Namespace) -> int:
    """Do it; 1 when the twin refuses, 2 when nothing runs or the words make no sense."""
    words = args.what
    wrong = _usage(args.action, words, args.bus)
    if wrong:
        print(f"horus mock {args.action}: {wrong}", file=sys.stderr)
        return 2
    if args.action == "serve":
        from horus.cli.mock_serve import serve

        return serve(words[1:], args.bus, args.absent)
    live.join_any(args)
    if args.action == "list":
        for name in words or twins():
            _print_state(_ask(name, "state"))
    elif args.action == "set":
        device, _, stimulus = words[0].rpartition(".")
        _ask(device, "set", stimulus, [live.value(word) for word in words[1:]])
        about = _ask(device, "state")["stimuli"][stimulus]
        print(f"{words[0]} = {live.shown(about['value'])} {about['unit']}".rstrip())
    elif args.action == "fault":
        faults = _ask(words[0], "fault", words[1], *map(live.value, words[2:]))
        print(f"{words[0]}: {_faults(faults)}")
    else:
        _truth(words[0], follow=args.follow)
    return 0


def _usage(action: str, words: list[str], bus: int | None) -> str:
    if action == "serve" and (len(words) < 2 or words[0] != "i2c" or bus is None or bus < 0):
        return "say what and where: horus mock serve i2c mpu6050 --bus 20"
    if action == "set" and (len(words) < 2 or "." not in words[0]):
        return "name a stimulus and its values: horus mock set imu.rotation 0 0 1"
    if action == "fault" and not 2 <= len(words) <= 3:
        return "name a device, a fault and its number, if it has one: horus mock fault imu nak 0.1"
    if action == "truth" and len(words) != 1:
        return "name one device: horus mock truth imu"
    return ""


def twins() -> list[str]:
    """Return the devices that have a twin to be steered; none is an error that says so."""
    from horus.node.caller import CallAbsentError, servers

    found = [name.removeprefix(PREFIX) for name in servers() if name.startswith(PREFIX)]
    if not found:
        raise CallAbsentError(
            "no simulated device runs: start the robot with --mock, or wait until it is up"
        )
    return found


def _ask(device: str, method: str, *arguments: Any) -> Any:
    from horus.errors import did_you_mean
    from horus.node.caller import CallAbsentError, CallRefusedError, call

    known = twins()
    if device not in known:
        near = did_you_mean(device, known) or f"; simulated: {', '.join(known)}"
        raise CallAbsentError(f"no simulated device is called {device!r}{near}")
    try:
        return call(PREFIX + device, method, *arguments)
    except CallRefusedError as error:
        text = str(error).removeprefix(f"{PREFIX}{device}.{method}: ")
        raise CallRefusedError(f"{device}: {text}") from None


def _print_state(state: dict[str, Any]) -> None:
    from horus.hal.sim import limits

    print(f"{state['name']} ({state['twin']}): {_faults(state['faults'])}")
    for name, about in state["stimuli"].items():
        value = f"{live.shown(about['value'])} {about['unit']}".rstrip()
        allowed = limits(about["low"], about["high"]).removeprefix("from ")
        texts = (f"  {state['name']}.{name} = {value}", allowed, about["doc"])
        print("  ".join(text for text in texts if text))


def _faults(faults: dict[str, Any]) -> str:
    """Return the faults that are on, in words."""
    on = [name if about is True else f"{name} {about:g}" for name, about in faults.items() if about]
    return ", ".join(on) or "no faults"


def _truth(device: str, *, follow: bool) -> None:
    while True:
        truth = _ask(device, "truth")
        print(live.shown(truth), flush=True)
        if not follow:
            return
        time.sleep(0.2)
