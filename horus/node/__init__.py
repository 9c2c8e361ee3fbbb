"""Nodes: named pieces of a robot's program that tick at a rate and talk over topics."""

from horus.node.info import NodeInfo, NodeState
from horus.node.node import Node
from horus.node.options import FailurePolicy, OnMiss
from horus.node.pubsub import Pub, Sub

__all__ = ["FailurePolicy", "Node", "NodeInfo", "NodeState", "OnMiss", "Pub", "Sub"]
