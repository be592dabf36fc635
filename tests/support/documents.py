"""The Python in documents runs as it stands there."""

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType


def python_blocks(text: str) -> list[str]:
    """The Python blocks, each preceded by as many empty lines as make tracebacks name the line of the document."""
    found = re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return ["\n" * text.count("\n", 0, block.start(1)) + block[1] for block in found]


async def run(source: str, module: ModuleType, document: Path) -> None:
    """Runs `source` in `module`; `await` may stand outside of functions, as in the interactive interpreter."""
    code = compile(source, document, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    outcome = eval(code, module.__dict__)  # noqa: S307 (our own document)
    if inspect.isawaitable(outcome):
        await outcome
