"""Print the code block of README.md that is marked with ``<!-- command: NAME -->``."""

import re
import sys
from pathlib import Path

path, name = sys.argv[1:]
pattern = rf"<!-- command: {re.escape(name)} -->\n+```(?:bash|sh)\n(.+?)\n```"
found = re.search(pattern, Path(path).read_text(), re.S)
if not found:
    sys.exit(f"{path} has no code block marked <!-- command: {name} -->")
print(found[1])
