"""One node process for the whole folder; lowered modules are sent to it as text."""
import base64
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

KINDS = {"float32": np.float32, "int32": np.int32, "bool": np.uint8}


class Node:
    """Runs lowered programs in node, in both engines."""

    def __init__(self):
        path = shutil.which("node")
        if path is None:
            raise RuntimeError("node is needed to test lowered modules; install Node.js 18 or newer")
        self.process = subprocess.Popen([path, str(Path(__file__).with_name("driver.js"))],
                                        stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def load(self, lowered, wasm: bool = True) -> int:
        """Instantiate a module; returns its handle."""
        answer = self.ask(do="load", source=lowered.source, wasm=wasm)
        assert answer["engine"] == ("wasm" if wasm else "plain")
        return answer["handle"]

    def run(self, lowered, handle: int, program: str, inputs: dict) -> dict[str, torch.Tensor]:
        """inputs: name -> tensor (missing ones keep their value)."""
        spec = lowered.manifest["programs"][program]
        packed = {}
        for item in spec["inputs"]:
            if item["name"] in inputs:
                a = np.ascontiguousarray(inputs[item["name"]].detach().numpy().astype(KINDS[item["dtype"]]))
                packed[item["name"]] = [item["dtype"], base64.b64encode(a.tobytes()).decode()]
        answer = self.ask(do="run", handle=handle, program=program, inputs=packed)["outputs"]
        out = {}
        for item in spec["outputs"]:
            a = np.frombuffer(base64.b64decode(answer[item["name"]]), dtype=KINDS[item["dtype"]]).copy()
            t = torch.from_numpy(a).reshape(item["shape"])
            out[item["name"]] = t.bool() if item["dtype"] == "bool" else t
        return out

    def drop(self, handle: int) -> None:
        self.ask(do="drop", handle=handle)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=10)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def node():
    made = Node()
    yield made
    made.close()
