"""What the virtual machine starts with: a kernel, the modules that are needed, a first program."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path, PurePosixPath

from horus.testing.virtual.errors import VirtualError

#: Modules that are taken along; what they need comes with them.
MODULES = (
    *("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"),
    *("i2c_dev", "i2c_stub", "i2c_piix4", "at24", "lm75", "cuse"),
    *("can", "can_raw", "can_bcm", "can_isotp", "can_gw", "vcan", "vxcan", "slcan", "kvaser_pci"),
    *("uhci_hcd", "usbserial", "ftdi_sio", "cdc_acm", "dummy_hcd", "g_serial"),
)
#: The kernel as an ELF file, which starts sooner, or where it cannot be had as Debian packs it.
KERNELS = ("vmlinux", "vmlinuz")
#: Where the modules are in the cache folder and in the machine.
FOLDER = "modules"
_XZ = b"\xfd7zXZ\x00"
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
_ALIAS = re.compile(rb"\0alias=([^\0]*)(?=\0)")


def unpack_kernel(archive: Path, folder: Path) -> None:
    """Take the kernel and the `MODULES` with their dependencies out of a linux-image package."""
    kernel = b""
    modules: dict[str, bytes] = {}
    reader = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE)
    assert reader.stdout is not None
    with reader, tarfile.open(fileobj=reader.stdout, mode="r|") as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            found = tar.extractfile(member) if member.isfile() else None
            if found is None:
                continue
            if path.name.startswith("vmlinuz"):
                kernel = found.read()
            elif ".ko" in path.suffixes:
                modules[_name(path.name)] = _plain(path.name, found.read())
    if not kernel or reader.returncode:
        raise VirtualError(f"{archive} holds no kernel", "horus hil virtual --fetch gets it anew")
    elf = vmlinux(kernel)
    (folder / KERNELS[not elf]).write_bytes(elf or kernel)
    (folder / FOLDER).mkdir()
    for name in closure(MODULES, modules):
        (folder / FOLDER / f"{name}.ko").write_bytes(modules[name])


def vmlinux(kernel: bytes) -> bytes:
    """Return the ELF file inside a bzImage; b"" if it is packed in another way than by xz."""
    start = kernel.find(_XZ)
    reader = lzma.LZMADecompressor()
    try:
        elf = reader.decompress(kernel[start:]) if start >= 0 else b""
    except lzma.LZMAError:
        return b""
    return elf if reader.eof and elf.startswith(b"\x7fELF") else b""


def closure(wanted: Sequence[str], modules: dict[str, bytes]) -> list[str]:
    """Return modules and all that they need, each after what it needs.

    One that the kernel has built in, or this kernel lacks, is left out.
    """
    order: list[str] = []

    def add(name: str) -> None:
        if name in modules and name not in order:
            for other in depends(modules[name]):
                add(other)
            order.append(name)

    for name in wanted:
        add(name)
    return order


def depends(module: bytes) -> list[str]:
    """Return the names of the modules that one needs."""
    found = _DEPENDS.search(module)
    return [_name(word) for word in found[1].decode().split(",") if word] if found else []


def version() -> str:
    """Return what tells an initramfs of this version of HORUS from others."""
    digest = hashlib.sha256(_first_program().encode())
    digest.update(" ".join(MODULES).encode())
    return digest.hexdigest()[:12]


def _first_program() -> str:
    return resources.files(__package__).joinpath("init.sh").read_text()


def build(machine: Path, busybox: Path, place: Path) -> None:
    """Write the initramfs: busybox, the modules, the first program (``init.sh``)."""
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="image-") as made:
        stage = Path(made)
        (stage / "bin").mkdir()
        shutil.copy(busybox, stage / "bin" / "busybox")
        shutil.copytree(machine / FOLDER, stage / FOLDER)
        files = sorted((machine / FOLDER).glob("*.ko"))
        (stage / FOLDER / "modules.dep").write_text(_dep(files))
        (stage / FOLDER / "modules.alias").write_text(_aliases(files))
        (stage / "init").write_text(_first_program())
        (stage / "init").chmod(0o755)
        names = [".", *sorted(str(path.relative_to(stage)) for path in stage.rglob("*"))]
        packed = subprocess.run(
            [busybox, "cpio", "-o", "-H", "newc"],
            cwd=stage,
            input="\n".join(names).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        ).stdout
    draft = place.with_suffix(".new")
    draft.write_bytes(packed)
    draft.replace(place)


def _dep(files: Sequence[Path]) -> str:
    """Return modules.dep: each module with all that it needs, the nearest first."""
    modules = {path.stem: path.read_bytes() for path in files}
    lines = []
    for name in modules:
        needs = reversed([other for other in closure([name], modules) if other != name])
        lines.append(f"{name}.ko: {' '.join(f'{other}.ko' for other in needs)}".rstrip())
    return "".join(f"{line}\n" for line in lines)


def _aliases(files: Sequence[Path]) -> str:
    lines = [
        f"alias {alias.decode()} {path.stem}\n"
        for path in files
        for alias in _ALIAS.findall(path.read_bytes())
    ]
    return "".join(lines)


def _plain(name: str, data: bytes) -> bytes:
    if name.endswith(".xz"):
        return lzma.decompress(data)
    if name.endswith(".gz"):
        return gzip.GzipFile(fileobj=io.BytesIO(data)).read()
    return data


def _name(file: str) -> str:
    return file.partition(".")[0].replace("-", "_")
