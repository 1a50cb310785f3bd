"""The process in which a submission runs: ``python -m nde_lab.course.worker``, started by ``nde_lab.course.grade``.

Reads {"setup": [...], "tasks": [{"name", "answer", "check"}, ...]} from standard input. Writes a line of JSON to
standard output when the setup is done, when an exercise begins, and when it ends. What the submission prints is thrown
away, and it finds no network; it is not locked in otherwise.
"""
from __future__ import annotations

import ast
import json
import os
import sys

from nde_lab.exercises import Result


def last_value(source: str, namespace: dict):
    """Run a cell and return the value of its last line, as Jupyter shows it."""
    *body, end = ast.parse(source).body
    exec(compile(ast.Module(body, []), "<check>", "exec"), namespace)
    return eval(compile(ast.Expression(end.value), "<check>", "eval"), namespace)


def outcome(task: dict, setup: dict) -> dict:
    """Run one answer and its check on the names of the setup."""
    namespace = dict(setup)
    try:
        exec(compile(task["answer"], "<answer>", "exec"), namespace)
        result = last_value(task["check"], namespace)
    except BaseException as error:      # sys.exit in an answer is a wrong answer too
        if isinstance(error, NameError):
            error = f"{error} (the grader runs the setup cells and this answer, no other cell)"
            return {"passed": False, "says": f"your code stopped with NameError: {error}"}
        return {"passed": False, "says": f"your code stopped with {type(error).__name__}: {error}"}
    if not isinstance(result, Result) or result.name != task["name"]:
        return {"passed": False, "says": f"the check answered {str(result)[:100]!r}, which is not its own result"}
    return {"passed": result.passed, "says": result.says}


def offline(event: str, arguments) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind"):
        raise PermissionError("there is no network while exercises are graded")


def main() -> None:
    asked = json.loads(sys.stdin.buffer.read())
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)

    def tell(**line):
        print(json.dumps(line), file=lines, flush=True)
    setup: dict = {}
    try:
        for source in asked["setup"]:
            exec(compile(source, "<setup>", "exec"), setup)
    except Exception as error:
        tell(broken=f"{type(error).__name__}: {error}")
        return
    tell(ready=True)
    sys.addaudithook(offline)
    for task in asked["tasks"]:
        tell(**outcome(task, setup))
    os._exit(0)      # at once, whatever threads an answer has left behind


if __name__ == "__main__":
    main()
