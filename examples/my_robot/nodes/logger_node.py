import horus


def logger_tick(node: horus.Node) -> None:
    # Ten times a second, the newest of what went by since
    imu = node.get_latest("imu_data")
    cmd = node.get_latest("cmd_vel")
    if imu is not None and cmd is not None:
        node.log_info(f"gyro_z={imu['gyro_z']} rad/s -> angular={cmd['angular']} rad/s")


logger = horus.Node(
    name="logger",
    subs=["imu_data", "cmd_vel"],
    tick=logger_tick,
    rate=10,  # 10Hz data logging
)

if __name__ == "__main__":
    horus.run(logger)
