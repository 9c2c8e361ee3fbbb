"""The drivers that come with HORUS, one short file a device, each with its simulated twin."""

from __future__ import annotations

if __name__ != "horus_drivers":
    raise ImportError(
        "this folder is imported as horus_drivers; as "
        f"{__name__!r} every driver class would exist twice. Install the project "
        "(`pip install -e .`) and import horus_drivers"
    )

from horus.hookspecs import hookimpl


@hookimpl
def horus_drivers() -> dict[str, str]:
    """Return the drivers of this package by name."""
    return {
        "ads1115": "horus_drivers.adc.ads1115:Ads1115",
        "as5600": "horus_drivers.encoder.as5600:As5600",
        "bme280": "horus_drivers.env.bme280:Bme280",
        "bmp280": "horus_drivers.env.bmp280:Bmp280",
        "bno055": "horus_drivers.imu.bno055:Bno055",
        "cia402": "horus_drivers.motor.cia402:Cia402",
        "cubemars": "horus_drivers.motor.cubemars:CubeMars",
        "damiao": "horus_drivers.motor.damiao:Damiao",
        "dynamixel": "horus_drivers.servo.dynamixel:Dynamixel",
        "feetech": "horus_drivers.servo.feetech:Feetech",
        "icm20948": "horus_drivers.imu.icm20948:Icm20948",
        "ina219": "horus_drivers.power.ina219:Ina219",
        "ld06": "horus_drivers.lidar.ld06:Ld06",
        "lsm6dsox": "horus_drivers.imu.lsm6dsox:Lsm6dsox",
        "mpu6050": "horus_drivers.imu.mpu6050:Mpu6050",
        "nmea": "horus_drivers.gnss.nmea:Nmea",
        "odrive": "horus_drivers.motor.odrive:Odrive",
        "pca9685": "horus_drivers.servo.pca9685:Pca9685",
        "roboclaw": "horus_drivers.motor.roboclaw:Roboclaw",
        "rplidar": "horus_drivers.lidar.rplidar:Rplidar",
        "tfmini": "horus_drivers.range.tfmini:Tfmini",
        "ublox": "horus_drivers.gnss.ublox:Ublox",
        "vesc": "horus_drivers.motor.vesc:Vesc",
        "vesc_uart": "horus_drivers.motor.vesc_uart:VescUart",
        "vl53l0x": "horus_drivers.range.vl53l0x:Vl53l0x",
    }


@hookimpl
def horus_buses() -> dict[str, str]:
    """Return the kinds of bus of this package by name."""
    return {"tca9548a": "horus_drivers.mux.tca9548a:Tca9548a"}
