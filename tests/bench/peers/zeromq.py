"""pyzmq: PAIR over inproc in one process, PUSH to PULL over a unix socket between two.

Those are its quickest sockets; PUB and SUB cost a little more. Typed messages are struct.pack,
dicts are MessagePack. Between processes it receives by blocking, since its own threads move the
messages and would starve beside a loop that polls. It has no nodes that tick, and nothing is
shared in place.
"""

import struct

import msgpack
import numpy as np
import zmq
from measuring.measure import ARRAY_BYTES, Adapter, Loop

CHUNK = 64
CONTEXT = zmq.Context()  # never ended: that can hang for ever after a flood


def version():
    return zmq.__version__


class Peer(Adapter):
    name = "pyzmq"
    module = "zmq"
    blocks = True

    def _pair(self):
        a, b = CONTEXT.socket(zmq.PAIR), CONTEXT.socket(zmq.PAIR)
        b.bind("inproc://bench")
        a.connect("inproc://bench")
        return a, b

    def _push(self):
        socket = CONTEXT.socket(zmq.PUSH)
        socket.connect(f"ipc://{self.folder}/{self.token}.zmq")
        return socket

    def _pull(self):
        socket = CONTEXT.socket(zmq.PULL)
        socket.bind(f"ipc://{self.folder}/{self.token}.zmq")
        return socket

    def typed(self):
        a, b = self._pair()
        return Loop(
            "send(message); got = recv()",
            {"a": a, "b": b, "message": struct.pack("6d", 1, 2, 3, 4, 5, 6)},
            "send, recv = a.send, b.recv",
            lambda got: struct.unpack("6d", got)[5] == 6.0,
        )

    def typed_fields(self):
        a, b = self._pair()
        layout = struct.Struct("6d")
        return Loop(
            "send(pack(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)); m = unpack(recv()); "
            "got = m[0] + m[1] + m[2] + m[3] + m[4] + m[5]",
            {"a": a, "b": b, "pack": layout.pack, "unpack": layout.unpack},
            "send, recv = a.send, b.recv",
            lambda got: got == 21.0,
        )

    def mapping(self):
        a, b = self._pair()
        message = {"x": 1.0, "y": 2.0, "theta": 3.0}
        return Loop(
            "send(pack(message)); got = unpack(recv())",
            {
                "a": a,
                "b": b,
                "pack": msgpack.Packer().pack,
                "unpack": msgpack.unpackb,
                "message": message,
            },
            "send, recv = a.send, b.recv",
            lambda got: got == message,
        )

    def array_copied(self):
        a, b = self._pair()
        return Loop(
            "a.send(source, copy=True); got = frombuffer(b.recv(copy=False))",
            {
                "a": a,
                "b": b,
                "source": np.arange(ARRAY_BYTES // 8, dtype="f8"),
                "frombuffer": np.frombuffer,
            },
            check=lambda got: got[7] == 7.0,
        )

    def sender(self, kind):
        if kind == "view":
            return super().sender(kind)
        send = self._push().send
        if kind == "typed":
            pack = struct.Struct("q7d").pack
            return lambda stamp: send(pack(stamp, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0))
        if kind == "mapping":
            pack = msgpack.Packer().pack
            return lambda stamp: send(pack({"stamp": stamp, "x": 1.0, "theta": 3.0}))
        source = np.arange(ARRAY_BYTES // 8, dtype="i8")

        def send_array(stamp):
            source[0] = stamp
            send(source, copy=True)

        return send_array

    def receiver(self, kind):
        if kind == "view":
            return super().receiver(kind)
        socket = self._pull()
        socket.setsockopt(zmq.RCVTIMEO, 100)
        recv, again = socket.recv, zmq.Again
        if kind == "typed":
            unpack = struct.Struct("q7d").unpack

            def read():
                return unpack(recv())[0]

        elif kind == "mapping":
            unpackb = msgpack.unpackb

            def read():
                return unpackb(recv())["stamp"]

        else:

            def read():
                return int(np.frombuffer(recv(copy=False), "i8")[0])

        def poll():
            try:
                return read()
            except again:
                return None

        return poll

    def flood(self, kind):
        socket = self._push()
        socket.setsockopt(zmq.SNDTIMEO, 200)
        if kind == "typed":
            message, count, copy = struct.pack("q7d", 1, 1, 2, 3, 4, 5, 6, 7), CHUNK, True
        else:
            message, count, copy = np.arange(ARRAY_BYTES // 8, dtype="i8"), 1, True

        def burst():
            try:
                for _ in range(count):
                    socket.send(message, copy=copy)
            except zmq.Again:
                pass

        return burst

    def drain(self, kind):
        socket = self._pull()
        socket.setsockopt(zmq.RCVTIMEO, 100)
        count = CHUNK if kind == "typed" else 1
        copy = kind == "typed"

        def drain():
            received = 0
            try:
                while received < count:
                    socket.recv(copy=copy)
                    received += 1
            except zmq.Again:
                pass
            return received

        return drain
