import horus

def motor_tick(node: horus.Node) -> None:
    # Execute motor commands
    if node.has_msg("cmd_vel"):
        cmd = node.get("cmd_vel")
        # Apply to motors
        node.log_info(f"Motors: linear={cmd['linear']}, angular={cmd['angular']}")

motor = horus.Node(
    name="motor_controller",
    subs=["cmd_vel"],
    tick=motor_tick,
    rate=100  # 100Hz motor update
)

if __name__ == "__main__":
    horus.run(motor)
