"""iceoryx2: zero-copy services for ctypes structures and slices. It has no nodes that tick."""

import ctypes
from importlib.metadata import version as installed

import iceoryx2 as iox2
import numpy as np
from measuring.measure import ARRAY_BYTES, Adapter, Loop

CHUNK = 64


class Twist(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in "abcdef"]


class Stamped(ctypes.Structure):
    _fields_ = [("stamp", ctypes.c_uint64), ("values", ctypes.c_double * 7)]


Bytes = ctypes.c_uint8 * ARRAY_BYTES


def version():
    return installed("iceoryx2")


class Peer(Adapter):
    name = "iceoryx2"
    module = "iceoryx2"

    def __init__(self, token, folder):
        super().__init__(token, folder)
        iox2.set_log_level(iox2.LogLevel.Error)
        config = iox2.config.default()
        config.global_cfg.prefix = iox2.FileName.new(f"{token}_")
        config.global_cfg.root_path = iox2.Path.new(f"{folder}/iceoryx2")
        self._node = iox2.NodeBuilder.new().config(config).create(iox2.ServiceType.Ipc)

    def _service(self, payload, buffer=64):
        builder = self._node.service_builder(iox2.ServiceName.new("bench"))
        return (
            builder.publish_subscribe(payload).subscriber_max_buffer_size(buffer).open_or_create()
        )

    def _publisher(self, service, array=False):
        builder = service.publisher_builder()
        if array:
            builder = builder.initial_max_slice_len(ARRAY_BYTES)
        return builder.create()

    def _subscriber(self, service):
        return service.subscriber_builder().create()

    def typed(self):
        service = self._service(Twist)
        return Loop(
            "send(message); got = receive()",
            {
                "publisher": self._publisher(service),
                "subscriber": self._subscriber(service),
                "message": Twist(1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
            },
            "send, receive = publisher.send_copy, subscriber.receive",
            lambda got: got.payload().contents.f == 6.0,
        )

    def typed_fields(self):
        service = self._service(Twist)
        return Loop(
            "send(Twist(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)); sample = receive(); "
            "m = view(sample.payload_ptr); got = m.a + m.b + m.c + m.d + m.e + m.f",
            {
                "publisher": self._publisher(service),
                "subscriber": self._subscriber(service),
                "Twist": Twist,
                "view": Twist.from_address,  # quicker than payload().contents
            },
            "send, receive = publisher.send_copy, subscriber.receive",
            lambda got: got == 21.0,
        )

    def array_copied(self):
        service = self._service(iox2.Slice[ctypes.c_uint8], 2)
        source = np.arange(ARRAY_BYTES // 8, dtype="f8")
        return Loop(
            "loan = publisher.loan_slice_uninit(SIZE); "
            "memmove(loan.payload_ptr, address, SIZE); loan.assume_init().send(); "
            "sample = subscriber.receive(); got = frombuffer(view(sample.payload_ptr))",
            {
                "publisher": self._publisher(service, array=True),
                "subscriber": self._subscriber(service),
                "memmove": ctypes.memmove,
                "source": source,
                "address": source.ctypes.data,
                "SIZE": ARRAY_BYTES,
                "view": Bytes.from_address,
                "frombuffer": np.frombuffer,
            },
        )

    def array_viewed(self):
        loop = self.array_copied()
        loop.statement = loop.statement.replace("memmove(loan.payload_ptr, address, SIZE); ", "")
        return loop

    def sender(self, kind):
        if kind == "typed":
            publisher, message = self._publisher(self._service(Stamped)), Stamped()

            def send_typed(stamp):
                message.stamp = stamp
                publisher.send_copy(message)

            return send_typed
        if kind == "mapping":
            return super().sender(kind)
        publisher = self._publisher(self._service(iox2.Slice[ctypes.c_uint8], 2), array=True)
        source = np.arange(ARRAY_BYTES // 8, dtype="i8")
        address = source.ctypes.data

        def send_array(stamp):
            source[0] = stamp
            loan = publisher.loan_slice_uninit(ARRAY_BYTES)
            ctypes.memmove(loan.payload_ptr, address, ARRAY_BYTES)
            loan.assume_init().send()

        def send_view(stamp):
            loan = publisher.loan_slice_uninit(ARRAY_BYTES)
            np.frombuffer(Bytes.from_address(loan.payload_ptr), "i8")[0] = stamp
            loan.assume_init().send()

        return send_array if kind == "array" else send_view

    def receiver(self, kind):
        if kind == "typed":
            receive = self._subscriber(self._service(Stamped)).receive

            def poll():
                sample = receive()
                return None if sample is None else Stamped.from_address(sample.payload_ptr).stamp

            return poll
        if kind == "mapping":
            return super().receiver(kind)
        receive = self._subscriber(self._service(iox2.Slice[ctypes.c_uint8], 2)).receive

        def poll_array():
            sample = receive()
            if sample is None:
                return None
            return int(np.frombuffer(Bytes.from_address(sample.payload_ptr), "i8")[0])

        return poll_array

    def flood(self, kind):
        if kind == "typed":
            send, message = self._publisher(self._service(Stamped, 1024)).send_copy, Stamped(1)

            def burst():
                for _ in range(CHUNK):
                    send(message)

            return burst
        publisher = self._publisher(self._service(iox2.Slice[ctypes.c_uint8], 8), array=True)
        self._source = np.arange(ARRAY_BYTES // 8, dtype="i8")  # outlives the address taken here
        address = self._source.ctypes.data

        def burst_arrays():
            loan = publisher.loan_slice_uninit(ARRAY_BYTES)
            ctypes.memmove(loan.payload_ptr, address, ARRAY_BYTES)
            loan.assume_init().send()

        return burst_arrays

    def drain(self, kind):
        typed = kind == "typed"
        service = (
            self._service(Stamped, 1024) if typed else self._service(iox2.Slice[ctypes.c_uint8], 8)
        )
        receive = self._subscriber(service).receive

        def drain_typed():
            count = 0
            while count < CHUNK and receive() is not None:
                count += 1
            return count

        def drain_arrays():
            sample = receive()
            if sample is None:
                return 0
            np.frombuffer(Bytes.from_address(sample.payload_ptr), "i8")
            return 1

        return drain_typed if typed else drain_arrays
