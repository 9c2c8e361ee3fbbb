"""horus-robotics: a Rust core under Python. The typed message is its Twist: 6 doubles and a stamp.

Its budgets are raised where a rate is asked for that it cannot keep, since its scheduler otherwise
isolates the node after a few misses. Array rows use its Image (1000 x 1000, one byte a pixel),
which lies in its tensor pool; its topics refuse numpy arrays.
"""

import numpy as np
from measuring.measure import Adapter, Loop

import horus  # theirs

SIDE = 1000
CHUNK = 64


def version():
    return horus.__version__


class Peer(Adapter):
    name = "horus-robotics"
    module = "horus"
    bare_node = (
        "import horus\n"
        "horus.run(horus.Node('bare', tick=lambda node: node.request_stop(), rate=100), duration=5)"
    )

    def _topic(self, kind):
        if kind == "typed":
            return horus.Topic(horus.Twist, 1024, endpoint=f"{self.token}.typed")
        if kind == "mapping":
            return horus.Topic(f"{self.token}.dict", 1024)
        return horus.Topic(horus.Image, 8, endpoint=f"{self.token}.image")

    def typed(self):
        topic = self._topic("typed")
        return Loop(
            "send(message); got = recv()",
            {"topic": topic, "message": horus.Twist(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)},
            "send, recv = topic.send, topic.recv",
            lambda got: got.angular_z == 6.0,
        )

    def typed_fields(self):
        return Loop(
            "send(Twist(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)); m = recv(); "
            "got = m.linear_x + m.linear_y + m.linear_z + m.angular_x + m.angular_y + m.angular_z",
            {"topic": self._topic("typed"), "Twist": horus.Twist},
            "send, recv = topic.send, topic.recv",
            lambda got: got == 21.0,
        )

    def mapping(self):
        return Loop(
            "send(message); got = recv()",
            {"topic": self._topic("mapping"), "message": {"x": 1.0, "y": 2.0, "theta": 3.0}},
            "send, recv = topic.send, topic.recv",
            lambda got: got == {"x": 1.0, "y": 2.0, "theta": 3.0},
        )

    def array_copied(self):
        return Loop(
            "image = Image(1000, 1000, 'mono8'); image.to_numpy()[:] = source; send(image); "
            "got = asarray(recv())",
            {
                "topic": self._topic("array"),
                "Image": horus.Image,
                "asarray": np.asarray,
                "source": np.arange(SIDE * SIDE, dtype="u1").reshape(SIDE, SIDE),
            },
            "send, recv = topic.send, topic.recv",
            lambda got: got.nbytes == SIDE * SIDE and got[3, 7] == (3 * SIDE + 7) % 256,
        )

    def array_viewed(self):
        image = horus.Image(SIDE, SIDE, "mono8")
        image.to_numpy()[:] = 7
        return Loop(
            "send(image); got = asarray(recv())",
            {"topic": self._topic("array"), "image": image, "asarray": np.asarray},
            "send, recv = topic.send, topic.recv",
            lambda got: got.nbytes == SIDE * SIDE and got[3, 7] == 7,
        )

    def in_node(self, kind, run):
        topic = f"{self.token}.node"
        if kind == "typed":
            message, of = horus.Twist(1.0, 2.0, 3.0, 4.0, 5.0, 6.0), horus.Twist
        else:
            message, of = {"x": 1.0, "y": 2.0, "theta": 3.0}, None
        done = []

        def tick(node):
            if not done:
                done.append(True)
                names = {"node": node, "topic": topic, "message": message}
                run(Loop("node.send(topic, message); got = node.recv(topic)", names))
            node.request_stop()

        pubs, subs = [horus.Pub(topic, of)], [horus.Sub(topic, of)]
        if of is None:
            pubs, subs = [topic], [topic]
        horus.run(horus.Node("bench", tick, 10, pubs, subs))

    def sender(self, kind):
        topic = self._topic(kind)
        send = topic.send
        if kind == "typed":
            message = horus.Twist(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)

            def send_typed(stamp):
                message.timestamp_ns = stamp
                send(message)

            return send_typed
        if kind == "mapping":
            return lambda stamp: send({"stamp": stamp, "x": 1.0, "theta": 3.0})
        source = np.arange(SIDE * SIDE, dtype="u1").reshape(SIDE, SIDE)
        if kind == "array":
            stamps = source.reshape(-1).view("i8")

            def send_array(stamp):
                stamps[0] = stamp
                image = horus.Image(SIDE, SIDE, "mono8")
                image.to_numpy()[:] = source
                send(image)

            return send_array
        image = horus.Image(SIDE, SIDE, "mono8")
        shared = image.to_numpy()
        shared[:] = source
        shared = shared.reshape(-1).view("i8")

        def send_view(stamp):
            shared[0] = stamp
            send(image)

        return send_view

    def receiver(self, kind):
        topic = self._topic(kind)
        recv = topic.recv
        if kind == "typed":

            def poll():
                message = recv()
                return None if message is None else message.timestamp_ns

        elif kind == "mapping":

            def poll():
                message = recv()
                return None if message is None else message["stamp"]

        else:
            asarray = np.asarray

            def poll():
                image = recv()
                return None if image is None else int(asarray(image).reshape(-1).view("i8")[0])

        return poll

    def flood(self, kind):
        topic = self._topic(kind)
        if kind == "typed":
            send, message = topic.try_send, horus.Twist(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)

            def burst():
                for _ in range(CHUNK):
                    send(message)

            return burst
        source = np.arange(SIDE * SIDE, dtype="u1").reshape(SIDE, SIDE)

        def burst_arrays():
            image = horus.Image(SIDE, SIDE, "mono8")
            image.to_numpy()[:] = source
            topic.send(image)

        return burst_arrays

    def drain(self, kind):
        recv = self._topic(kind).recv
        asarray = np.asarray

        def drain_typed():
            count = 0
            while count < CHUNK and recv() is not None:
                count += 1
            return count

        def drain_arrays():
            image = recv()
            if image is None:
                return 0
            asarray(image)
            return 1

        return drain_typed if kind == "typed" else drain_arrays

    def run_nodes(self, count, rate, seconds, tick, work):
        # Each row gets the class of execution in which this project does best.
        options = {"compute": True} if work == "many" else {}
        if work == "fastest":
            options = {"budget": 1.0, "deadline": 2.0}
        scheduler = horus.Scheduler(rt=work == "jitter_best")
        for number in range(count):
            scheduler.add(horus.Node(f"node_{number}", tick, rate, **options))
        scheduler.run(seconds)
