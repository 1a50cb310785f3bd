"""Run a little JavaScript with files of the package in scope, and get JSON back."""
from __future__ import annotations

import json
import shutil
import subprocess

from nde_lab.explore.page.joined import joined


def run_js(script: str, *files: str, payload=None, before: str = ""):
    """``script`` is the body of an async function with ``payload`` in scope; what it returns comes back as Python.

    ``files`` (names in nde_lab/explore/page) are joined in front of it, as in a page.
    """
    node = shutil.which("node")
    assert node, "node is needed: the tests run the page's JavaScript with it"
    source = (f"{before}\n{joined(*files)}\n"
              "let text = ''; process.stdin.on('data', (d) => text += d).on('end', async () => {\n"
              "  const payload = JSON.parse(text);\n"
              f"  const result = await (async () => {{\n{script}\n}})();\n"
              "  process.stdout.write(JSON.stringify(result ?? null), () => process.exit(0));\n});\n")
    done = subprocess.run([node, "-e", source], input=json.dumps(payload), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
