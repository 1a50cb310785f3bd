#!/usr/bin/env python3
"""nde_lab on a machine that has Python 3.11 or newer and nothing else.

    python3 start.py lab     set up, then open the live book in JupyterLab
    python3 start.py test    set up, then run all tests (some want node and Chromium: see CONTRIBUTING.md)

Everything is put into the folder .venv beside this file; delete that folder to undo it. The second time,
nothing is installed and it starts at once. What follows the command goes to it:
`lab --no-browser --port 9000`, `test tests/test_cli.py -x`. Two options are for the set-up itself:

    --cpu            Linux: the small CPU build of torch, from PyTorch's own index
    --wheels FOLDER  install from a folder of wheels, with no network (CONTRIBUTING.md says how to fill one)
"""
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
CPU_MARK = VENV / "cpu-torch"
UV = "uv==0.13.9"
# `test` needs everything in pyproject.toml, `lab` only what a reader needs; the pins are the same.
LOCKS = {"lab": "requirements-lab.lock", "test": "requirements.lock"}
# GB on disk, measured on Linux x86_64 (README.md); elsewhere, and with --cpu, torch comes without CUDA.
NEEDS_GB = {False: 5.6, True: 2.0}


class Trouble(Exception):
    """A reason to stop, in sentences for the person at the keyboard."""


def main(arguments):
    if sys.version_info < (3, 11):
        raise Trouble(f"nde_lab needs Python 3.11 or newer; this is Python {platform.python_version()} "
                      f"({sys.executable}). Install a newer one beside it: python3.12 start.py lab")
    if not arguments or arguments[0] not in LOCKS:
        asked_for_help = not arguments or arguments[0] in ("-h", "--help")
        raise Trouble(__doc__ if asked_for_help else
                      f"start.py has two commands, `lab` and `test`; {arguments[0]!r} is neither. After a "
                      f"set-up, {BIN.relative_to(ROOT) / 'nde-lab'} has the others.")
    command, (cpu, wheels, rest) = arguments[0], options(arguments[1:])
    set_up(command, cpu=cpu, wheels=wheels)
    go(["-m", "nde_lab.cli", "lab", *rest] if command == "lab" else ["-m", "pytest", *rest], command)


def options(arguments):
    """Take --cpu and --wheels FOLDER out of the arguments; the rest belongs to JupyterLab or pytest."""
    cpu, wheels, rest = False, None, list(arguments)
    if "--cpu" in rest:
        rest.remove("--cpu")
        cpu = True
        if sys.platform != "linux":
            print("--cpu changes nothing here: outside Linux the usual torch is the CPU build.")
            cpu = False
    if "--wheels" in rest:
        at = rest.index("--wheels")
        folder = Path(rest[at + 1]).expanduser() if at + 1 < len(rest) else Path()
        if at + 1 == len(rest) or not folder.is_dir():
            raise Trouble("--wheels is followed by a folder of wheels; " + (
                "no folder was given." if at + 1 == len(rest) else f"{str(folder)!r} is not a folder."))
        wheels = folder.resolve()
        del rest[at:at + 2]
    return cpu, wheels, rest


def set_up(command, *, cpu, wheels):
    """Bring .venv to what the lock says, unless a stamp in it says that this was done."""
    cpu = cpu or CPU_MARK.exists() and bool(stamps())       # a choice that worked lasts as long as the folder
    if done(command, cpu):
        return
    small = cpu or sys.platform != "linux"
    free = shutil.disk_usage(ROOT).free / 1e9
    print(f"Setting up {VENV}, once: about {NEEDS_GB[small]} GB on disk; {free:.0f} GB are free.", flush=True)
    if not usable(cpu):
        make_venv()
    if cpu:
        CPU_MARK.touch()
    index = ["--no-index", "--find-links", wheels] if wheels else []
    fetch_uv(index)
    install = [BIN / "uv", "pip", "install", "--python", PYTHON, "--no-deps"]
    lock = ROOT / LOCKS[command]
    if cpu:
        text, torch = without_cuda(lock.read_text(encoding="utf-8"))
        lock = VENV / "requirements-cpu.lock"
        lock.write_text(text, encoding="utf-8")
        call([*install, *(index or ["--torch-backend=cpu"]), torch], "install the CPU build of torch")
    call([*install, "--require-hashes", "--only-binary", ":all:", *index, "-r", lock], "install the packages")
    # The build backend came with the lock: nothing is fetched for this step.
    call([*install, "--no-build-isolation", "--no-index", "--reinstall-package", "nde-lab", "-e", ROOT],
         "install nde_lab itself")
    stamp(command).write_text(fingerprint(command, cpu), encoding="utf-8")


def stamp(command):
    return VENV / f"installed-{command}"


def fingerprint(command, cpu):
    """Where, and from which files, .venv was filled."""
    digest = hashlib.sha256(f"{UV} {cpu}".encode())
    for name in (LOCKS[command], "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return f"{ROOT}\n{digest.hexdigest()}\n"


def stamps():
    return {name: stamp(name).read_text(encoding="utf-8") for name in LOCKS if stamp(name).exists()}


def done(command, cpu):
    """Was this, or the larger set of `test`, installed here from these very locks?"""
    found = stamps()
    return PYTHON.exists() and any(found.get(name) == fingerprint(name, cpu) for name in (command, "test"))


def usable(cpu):
    """Can .venv be filled as it is? Not if it does not start, was moved, or holds the other torch."""
    if not PYTHON.exists() or cpu != CPU_MARK.exists():
        return False
    if any(text.splitlines()[0] != str(ROOT) for text in stamps().values()):
        return False
    new_enough = "import sys; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([str(PYTHON), "-c", new_enough], capture_output=True).returncode == 0


def make_venv():
    try:
        import venv
        venv.EnvBuilder(with_pip=True, clear=True, symlinks=os.name != "nt").create(VENV)
    except (ImportError, subprocess.CalledProcessError, OSError) as error:
        raise Trouble(f"Python could not make the folder .venv ({error}). On Debian and Ubuntu the part that "
                      "does it is a package of its own: sudo apt install python3-venv. Otherwise look at the "
                      f"permissions of {ROOT} and at the free disk space.") from None


def fetch_uv(index):
    """uv, at the version above, inside .venv: it installs faster than pip and checks the same hashes."""
    try:
        answer = subprocess.run([str(BIN / "uv"), "--version"], capture_output=True, text=True)
        if answer.stdout.split()[1:2] == [UV.partition("==")[2]]:
            return
    except OSError:
        pass
    if subprocess.run([str(PYTHON), "-m", "pip", "--version"], capture_output=True).returncode:
        call([PYTHON, "-m", "ensurepip"], "put pip into .venv")
    call([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *index, UV],
         "fetch uv by pip")


def without_cuda(lock):
    """The lock without torch and its CUDA libraries, and torch's own pin ('torch==2.15.0')."""
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
    is_torch = re.compile(r"torch==[\w.]+").match
    kept = [e for e in entries if not is_torch(e) and not re.match(r"(nvidia|cuda)-", e)]
    return "".join(kept), next(is_torch(e).group() for e in entries if is_torch(e))


def call(command, purpose):
    """Run one step of the set-up with its output shown; a failure becomes advice."""
    environment = os.environ | {"VIRTUAL_ENV": str(VENV), "PIP_USER": "0"}
    if subprocess.call([str(part) for part in command], cwd=ROOT, env=environment) == 0:
        return
    free = shutil.disk_usage(ROOT).free / 1e9
    advice = (f"The disk is full: {free:.1f} GB are free in {ROOT}." if free < 1 else
              "Most often there is no network: look at the connection and at HTTPS_PROXY, or see --wheels "
              f"for a machine without one. ({free:.0f} GB of disk are free; ready-made packages exist for "
              f"Python 3.11 to 3.14, and this is {platform.python_version()}.)")
    raise Trouble(f"start.py could not {purpose}; the reason is printed above.\n{advice}\n"
                  "The same command goes on where it stopped.")


def go(command, purpose):
    """Become the command (on Windows, where that is not possible, wait for it)."""
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = os.environ | {"VIRTUAL_ENV": str(VENV), "PATH": path}
    if purpose == "test":
        os.chdir(ROOT)
    sys.stdout.flush()
    if os.name != "nt":
        os.execve(PYTHON, [str(PYTHON), *command], environment)
    process = subprocess.Popen([str(PYTHON), *command], env=environment)
    while process.poll() is None:
        try:
            process.wait()
        except KeyboardInterrupt:           # Ctrl-C reached the command as well; it decides
            pass
    sys.exit(process.returncode)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Trouble as trouble:
        sys.exit(str(trouble))
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command goes on where it stopped.")
