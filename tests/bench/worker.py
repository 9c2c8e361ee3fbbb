"""Run one measurement in a peer's environment: worker.py ADAPTER JOB ...

The measuring code is HORUS's own, loaded by path and under another name, because the package that
is called ``horus`` in a peer's environment may be the peer.
"""

import importlib.util
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCH = HERE.parents[1] / "horus" / "bench"


def _load(name, path, folder=None):
    spec = importlib.util.spec_from_file_location(
        name, path, submodule_search_locations=[str(folder)] if folder else None
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    _load("measuring", BENCH / "__init__.py", BENCH)
    from measuring import worker

    peer = _load("peer", HERE / "peers" / f"{sys.argv[1]}.py")
    status = worker.main(peer.Peer, {"version": peer.version()}, sys.argv[2:])
    # Closing a flooded connection can take for ever; what is left behind the parent removes.
    os._exit(status)
