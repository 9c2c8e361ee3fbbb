"""A rig: devices on buses, what is wired, what is allowed, and how to break it on purpose."""
