import horus

def control_tick(node: horus.Node) -> None:
    # Process IMU data
    if node.has_msg("imu_data"):
        imu = node.get("imu_data")

        # Simple control logic
        cmd = {
            "linear": 1.0,
            "angular": imu["gyro_z"] * -2.0  # Stabilize rotation
        }
        node.send("cmd_vel", cmd)

controller = horus.Node(
    name="controller",
    subs=["imu_data"],
    pubs=["cmd_vel"],
    tick=control_tick,
    rate=50  # 50Hz control loop
)

if __name__ == "__main__":
    horus.run(controller)
