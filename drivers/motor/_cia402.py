"""The CiA 402 profile: objects, states and controlwords, for the driver and for the twin."""

from __future__ import annotations

PROFILE = 402  # low half of the device type, object 0x1000
CONTROL, STATUS, MODE, MODE_SHOWN = 0x6040, 0x6041, 0x6060, 0x6061  # objects
ERROR, ABORT_OPTION, QUICK_STOP_OPTION = 0x603F, 0x6007, 0x605A
TARGET_POSITION, POSITION, TARGET_VELOCITY, VELOCITY = 0x607A, 0x6064, 0x60FF, 0x606C
MOST_VELOCITY, PROFILE_VELOCITY = 0x607F, 0x6081
ACCELERATION, DECELERATION, QUICK_STOP_DECELERATION = 0x6083, 0x6084, 0x6085
PROFILE_POSITION, PROFILE_VELOCITY_MODE = 1, 3  # modes
QUICK_STOP_THEN_OFF = 2  # of 0x605A: brake, then switch on disabled
STOP_WHEN_LOST = 3  # of 0x6007: quick stop when the master's heartbeat is lost
NEW, AT_ONCE = 0x10, 0x20  # bits of the controlword: a new position, without finishing the last

#: State by mask and value of the statusword.
STATES = {
    "not ready": (0x4F, 0x00),
    "switch on disabled": (0x4F, 0x40),
    "ready": (0x6F, 0x21),
    "switched on": (0x6F, 0x23),
    "enabled": (0x6F, 0x27),
    "quick stop": (0x6F, 0x07),
    "fault reaction": (0x4F, 0x0F),
    "fault": (0x4F, 0x08),
}
SHUT_DOWN, SWITCH_ON, ENABLE, QUICK_STOP, NO_VOLTAGE, RESET = 0x06, 0x07, 0x0F, 0x02, 0x00, 0x80
#: Controlword that leads on towards enabled.
ONWARD = {
    "switch on disabled": SHUT_DOWN,
    "ready": SWITCH_ON,
    "switched on": ENABLE,
    "enabled": ENABLE,
    "quick stop": NO_VOLTAGE,
}
ERRORS = {  # emergency error codes, CiA 301 and 402
    0x2310: "over-current",
    0x3210: "over-voltage",
    0x3220: "under-voltage",
    0x4310: "over-temperature",
    0x7305: "encoder",
    0x8130: "heartbeat lost",
    0x8611: "following error",
}
#: What a controlword asks for, by mask and value; the first that fits.
ORDERS = {
    "no voltage": (0x82, 0x00),
    "quick stop": (0x86, 0x02),
    "shut down": (0x87, 0x06),
    "enable": (0x8F, 0x0F),
    "switch on": (0x8F, 0x07),
}
TRANSITIONS = {
    ("switch on disabled", "shut down"): "ready",
    ("ready", "switch on"): "switched on",
    ("ready", "no voltage"): "switch on disabled",
    ("ready", "quick stop"): "switch on disabled",
    ("switched on", "shut down"): "ready",
    ("switched on", "enable"): "enabled",
    ("switched on", "no voltage"): "switch on disabled",
    ("switched on", "quick stop"): "switch on disabled",
    ("enabled", "switch on"): "switched on",
    ("enabled", "shut down"): "ready",
    ("enabled", "no voltage"): "switch on disabled",
    ("enabled", "quick stop"): "quick stop",
    ("quick stop", "no voltage"): "switch on disabled",
}


def order_in(word: int) -> str:
    """Return what a controlword asks for, in words; "" for nothing known."""
    return next((name for name, (mask, value) in ORDERS.items() if word & mask == value), "")


def state_of(status: int) -> str:
    """Return the state that a statusword tells, in words."""
    for name, (mask, value) in STATES.items():
        if status & mask == value:
            return name
    return f"unknown (0x{status:04X})"
