"""Print the packages that tests/clients needs: ``pip install --no-deps --target FOLDER $(...)``."""

from importlib.metadata import requires
from pathlib import Path

wanted = [line.partition(";")[0].strip() for line in requires("horus") or () if "clients" in line]
beside = Path(__file__).with_name("requirements.txt").read_text().splitlines()
print(*wanted, *(line for line in beside if not line.startswith("#")))
