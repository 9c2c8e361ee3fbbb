import horus

def sensor_tick(node: horus.Node) -> None:
    # Read IMU sensor
    imu_data = {
        "accel_x": 1.0,
        "accel_y": 0.0,
        "accel_z": 9.8,
        "gyro_x": 0.0,
        "gyro_y": 0.0,
        "gyro_z": 0.1
    }
    node.send("imu_data", imu_data)

sensor = horus.Node(
    name="imu_sensor",
    pubs=["imu_data"],
    tick=sensor_tick,
    rate=100  # 100Hz sensor reading
)

if __name__ == "__main__":
    horus.run(sensor)
