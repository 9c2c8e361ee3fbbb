"""Recordings of what goes over the bus: MCAP files that other tools open, and that are replayed.

The commands are `horus record`, `replay` and `bag`. A message is stored in an encoding that viewers
know (CDR with a ROS 2 schema, or JSON), from which its exact bytes can be made again.
"""
