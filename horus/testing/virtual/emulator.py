"""QEMU as a process: what is in its machine, and the sockets through which it is spoken to.

Everything between it and this process goes through pairs of sockets: there is no file to be left
behind, and the kernel ends the machine when the process that started it ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from horus.testing.virtual import bytecode, hardware, image
from horus.testing.virtual.fetch import Cache

MEMORY = 768  # MB
#: What the kernel is told: no watching of the emulated timer, no cures for real processors' faults,
#: no tests of itself, nothing against attackers.
KERNEL = (
    "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check tsc=reliable random.trust_cpu=on "
    "cryptomgr.notests lsm=capability nokaslr init_on_alloc=0 randomize_kstack_offset=off "
    "nowatchdog audit=0 preempt=none"
)
_PR_SET_PDEATHSIG = 1


class Emulator:
    """A QEMU with the machine's hardware, started from the cache.

    It must be started by a thread that lives as long: the kernel ends it with that.
    """

    def __init__(self, cache: Cache, shares: Sequence[Path]) -> None:
        self.cache = cache
        self.shares = shares
        #: This process's ends of the connections, by name: ``qmp``, ``console``, ``said`` (by QEMU
        #: itself), ``terminal``, and the ports ``orders``, ``out``, ``err``, ``control``.
        self.ends: dict[str, socket.socket] = {}
        self._theirs: list[socket.socket] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False

    def start(self) -> None:
        """Start it."""
        root = self.cache.root
        libraries = [root / "usr/lib/x86_64-linux-gnu", root / "lib/x86_64-linux-gnu"]
        given = os.environ.get("LD_LIBRARY_PATH")
        environment = {
            **os.environ,
            "LD_LIBRARY_PATH": ":".join([*map(str, libraries), *([given] if given else [])]),
            "QEMU_MODULE_DIR": str(libraries[0] / "qemu"),
        }
        said = self._theirs_of("said")
        command = self._command()
        libc = ctypes.CDLL(None)
        parent = os.getpid()

        def end_with_parent() -> None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said.fileno(),
            stderr=subprocess.STDOUT,
            pass_fds=[end.fileno() for end in self._theirs],
            preexec_fn=end_with_parent,
            start_new_session=True,  # a Ctrl-C is for the command, not for the emulator
        )
        if self._killed:
            self._process.kill()
        for end in self._theirs:
            end.close()
        self._theirs.clear()

    def _command(self) -> list[str]:
        root = self.cache.root
        machine = self.cache.machine
        kernel = next(machine / name for name in image.KERNELS if (machine / name).exists())
        words = [str(root / "usr/bin/qemu-system-x86_64"), "-M", "pc", "-accel", "tcg"]
        words += ["-icount", "shift=0,sleep=off"]
        words += ["-cpu", "max,la57=off", "-m", str(MEMORY), "-nodefaults", "-no-user-config"]
        words += ["-display", "none", "-no-reboot"]
        for base in (root, Path("/")):
            words += ["-L", str(base / "usr/share/qemu"), "-L", str(base / "usr/share/seabios")]
        # Not QEMU's BIOS: it looks for disks and keyboards for half of the time of the whole start.
        words += ["-bios", "qboot.rom"]
        words += ["-kernel", str(kernel), "-initrd", str(self.cache.initramfs())]
        words += ["-append", KERNEL]
        words += ["-chardev", self._outside("qmp"), "-mon", "chardev=qmp,mode=control"]
        words += ["-chardev", self._outside("console"), "-serial", "chardev:console"]
        words += ["-device", "virtio-serial-pci,max_ports=16,addr=3"]
        for name in ("orders", "out", "err", "control"):
            words += ["-chardev", self._outside(name)]
            words += ["-device", f"virtserialport,chardev={name},name={name}"]
        words += ["-chardev", self._outside("terminal"), "-device", "virtconsole,chardev=terminal"]
        words += self._host_files()
        words += [
            "-object",
            "can-bus,id=can",
            "-object",
            "can-bus,id=can2",
            "-device",
            "piix3-usb-uhci,id=uhci,addr=6",
        ]
        for line in hardware.LINES:
            here, there = socket.socketpair()
            for end in (here, there):  # as little as there can be: what nobody reads is to be lost
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            self._theirs += [here, there]
            words += ["-chardev", f"socket,id={line},fd={here.fileno()}"]
            words += ["-chardev", f"socket,id={line}.twin,fd={there.fileno()}"]
            words += ["-device", _far_end(line)]
        words += ["-device", "isa-serial,chardev=uart,index=1"]
        for name in hardware.PLUGGABLE:
            words += ["-device", json.dumps(hardware.properties(name))]
        return words

    def _host_files(self) -> list[str]:
        words = []
        shares = [(f"share{n}", path, "") for n, path in enumerate(self.shares)]
        compiled = bytecode.prepare(self.cache.folder / "bytecode")
        files = [("host", Path("/"), ",readonly=on"), ("bytecode", compiled, ",readonly=on")]
        files += shares
        for slot, (tag, path, mode) in enumerate(files, hardware.FREE_SLOT):
            folder = str(path).replace(",", ",,")
            words += [
                "-fsdev",
                f"local,id={tag},path={folder},security_model=none,multidevs=remap{mode}",
            ]
            words += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag},addr={slot}"]
        return words

    def ended(self) -> bool:
        """Return whether it has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def kill(self) -> None:
        """End the process, or the one that is about to start; `ended` says so then."""
        self._killed = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End it; nothing of it is left."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        for end in (*self.ends.values(), *self._theirs):
            end.close()

    def _theirs_of(self, name: str) -> socket.socket:
        """Make a pair; return QEMU's end of it."""
        mine, theirs = socket.socketpair()
        self.ends[name] = mine
        self._theirs.append(theirs)
        return theirs

    def _outside(self, name: str) -> str:
        return f"socket,id={name},fd={self._theirs_of(name).fileno()}"


def _far_end(line: str) -> str:
    """Return what is at the other end of a line of the machine."""
    if line in hardware.UARTS:
        return f"isa-serial,chardev={line}.twin,index={hardware.UARTS[line]},irq=5"
    return f"virtserialport,chardev={line}.twin,name={line}.twin"
