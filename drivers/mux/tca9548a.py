"""TI TCA9548A (and NXP PCA9548A): eight I2C buses behind one, so that addresses can repeat.

Source: TCA9548A data sheet SCPS207 revision G. A0 to A2 choose the address from 0x70 to 0x77.
In horus.yaml each channel that is used is a bus of its own, whose parent is the bus that the chip
is on::

    buses:
      i2c1: {use: i2c, device: /dev/i2c-1}
      left: {use: tca9548a, parent: i2c1, address: 0x70, channel: 2}
    hardware:
      imu: {use: mpu6050, bus: left}

A device on the parent itself must have an address that none behind the chip has.
"""

from __future__ import annotations

from horus.hal.mux import MuxChannel


class Tca9548a(MuxChannel):
    """One channel of a TCA9548A."""

    chip = "tca9548a"
