"""eclipse-zenoh: peers on this machine only, no scouting, over a unix socket between two processes.

Its shared-memory transport is on, as by default, and carries the arrays. Typed messages are
struct.pack, dicts are MessagePack. Between processes it receives by blocking, since its own
threads move the messages and would starve beside a loop that polls. It has no nodes that tick.
"""

import json
import struct
from importlib.metadata import version as installed

import msgpack
import numpy as np
import zenoh
from measuring.measure import ARRAY_BYTES, Adapter, Loop
from zenoh import shm

CHUNK = 64
KEY = "bench/topic"


def version():
    return installed("eclipse-zenoh")


class Peer(Adapter):
    name = "zenoh"
    module = "zenoh"
    blocks = True

    def _session(self, listen=(), connect=()):
        config = zenoh.Config()
        config.insert_json5("mode", '"peer"')
        config.insert_json5("scouting/multicast/enabled", "false")
        config.insert_json5("scouting/gossip/enabled", "false")
        config.insert_json5("listen/endpoints", json.dumps(list(listen)))
        config.insert_json5("connect/endpoints", json.dumps(list(connect)))
        return zenoh.open(config)

    def _address(self):
        return f"unixsock-stream/{self.folder}/{self.token}.zenoh"

    def _put(self, session):
        block = zenoh.CongestionControl.BLOCK
        return session.declare_publisher(KEY, congestion_control=block, express=True).put

    def _both(self):
        self.session = self._session()
        self.subscriber = self.session.declare_subscriber(KEY, zenoh.handlers.FifoChannel(64))
        return self._put(self.session), self.subscriber.try_recv

    def _names(self, **names):
        put, recv = self._both()
        return {"put_": put, "recv_": recv, **names}

    def typed(self):
        return Loop(
            "put(message); got = recv()",
            self._names(message=struct.pack("6d", 1, 2, 3, 4, 5, 6)),
            "put, recv = put_, recv_",
            lambda got: len(got.payload.to_bytes()) == 48,
        )

    def typed_fields(self):
        layout = struct.Struct("6d")
        return Loop(
            "put(pack(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)); m = unpack(recv().payload.to_bytes()); "
            "got = m[0] + m[1] + m[2] + m[3] + m[4] + m[5]",
            self._names(pack=layout.pack, unpack=layout.unpack),
            "put, recv = put_, recv_",
            lambda got: got == 21.0,
        )

    def mapping(self):
        message = {"x": 1.0, "y": 2.0, "theta": 3.0}
        return Loop(
            "put(pack(message)); got = unpack(recv().payload.to_bytes())",
            self._names(pack=msgpack.Packer().pack, unpack=msgpack.unpackb, message=message),
            "put, recv = put_, recv_",
            lambda got: got == message,
        )

    def array_copied(self):
        return Loop(
            "put(source.tobytes()); got = frombuffer(recv().payload.to_bytes())",
            self._names(source=np.arange(ARRAY_BYTES // 8, dtype="f8"), frombuffer=np.frombuffer),
            "put, recv = put_, recv_",
            lambda got: got[7] == 7.0,
        )

    def array_viewed(self):
        provider = shm.ShmProvider.default_backend(16 * ARRAY_BYTES)
        return Loop(
            "put(alloc(SIZE, policy=policy)); got = recv().payload.as_shm()",
            self._names(alloc=provider.alloc, policy=shm.GarbageCollect(), SIZE=ARRAY_BYTES),
            "put, recv = put_, recv_",
        )

    def sender(self, kind):
        if kind == "view":
            return super().sender(kind)
        self.session = self._session(connect=[self._address()])
        put = self._put(self.session)
        if kind == "typed":
            pack = struct.Struct("q7d").pack
            return lambda stamp: put(pack(stamp, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0))
        if kind == "mapping":
            pack = msgpack.Packer().pack
            return lambda stamp: put(pack({"stamp": stamp, "x": 1.0, "theta": 3.0}))
        source = np.arange(ARRAY_BYTES // 8, dtype="i8")

        def send_array(stamp):
            source[0] = stamp
            put(source.tobytes())

        return send_array

    def receiver(self, kind):
        if kind == "view":
            return super().receiver(kind)
        self.session = self._session(listen=[self._address()])
        self.subscriber = self.session.declare_subscriber(KEY, zenoh.handlers.FifoChannel(64))
        recv = self.subscriber.recv  # sleeps: its own threads need the processor
        if kind == "typed":
            unpack = struct.Struct("q7d").unpack

            def read(message):
                return unpack(message)[0]

        elif kind == "mapping":
            unpackb = msgpack.unpackb

            def read(message):
                return unpackb(message)["stamp"]

        else:

            def read(message):
                return int(np.frombuffer(message, "i8")[0])

        return lambda: read(recv().payload.to_bytes())

    def flood(self, kind):
        self.session = self._session(connect=[self._address()])
        block = zenoh.CongestionControl.BLOCK
        publisher = self.session.declare_publisher(KEY, congestion_control=block)
        put = publisher.put
        if kind == "typed":
            message = struct.pack("q7d", 1, 1, 2, 3, 4, 5, 6, 7)

            def burst():
                for _ in range(CHUNK):
                    put(message)

            return burst
        source = np.arange(ARRAY_BYTES // 8, dtype="i8")
        return lambda: put(source.tobytes())

    def drain(self, kind):
        self.session = self._session(listen=[self._address()])
        self.subscriber = self.session.declare_subscriber(KEY, zenoh.handlers.RingChannel(1024))
        recv = self.subscriber.try_recv
        count = CHUNK if kind == "typed" else 1

        def drain():
            received = 0
            while received < count:
                sample = recv()
                if sample is None:
                    break
                sample.payload.to_bytes()
                received += 1
            return received

        return drain
