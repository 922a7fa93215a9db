"""What the Dockerfile would put into the image, laid out in a folder: its own steps, run as plain processes.

The steps that fetch the locked dependencies are left out; the tests' own installation of the same lock lends them.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.integration.deploy.dockerfile import REPOSITORY, stages
from tests.programs import clean_environment

PREFIX = "/opt/kessai"
"""Where the Dockerfile installs."""


@dataclass(frozen=True, slots=True)
class Image:
    prefix: Path
    """What is /opt/kessai in the image."""

    def environment(self) -> dict[str, str]:
        """All that a process in a container finds, beside what the service adds; no HOME, no locale."""
        return {name: self._here(value) for name, value in stages()[-1].environment().items()}

    def argv(self, command: Sequence[str]) -> list[str]:
        (entrypoint,) = stages()[-1].all("ENTRYPOINT")
        program, *rest = entrypoint.words()
        return [str(self.prefix / "bin" / program), *rest, *command]

    def files(self) -> dict[str, tuple[int, int]]:
        """Every file with its size and time of change."""
        found = ((path, path.lstat()) for path in self.prefix.rglob("*"))
        return {str(path): (state.st_size, state.st_mtime_ns) for path, state in found}

    def _here(self, text: str) -> str:
        return text.replace(PREFIX, str(self.prefix))


def build(folder: Path) -> Image:
    """Run the builder stage in a folder. Raises CalledProcessError with the output of the step that failed."""
    image = Image(folder / "kessai")
    context, wheels = folder / "src", folder / "wheels"
    builder = stages()[0]
    for copy in builder.all("COPY"):
        *sources, target = copy.words()
        for source in sources:
            _copy(source, context / target / ("" if (REPOSITORY / source).is_dir() else Path(source).name))
    for step in builder.all("RUN"):
        if "--require-hashes" in step.text or step.text.endswith("check"):
            continue
        text = step.text.replace(PREFIX, str(image.prefix)).replace("/wheels", str(wheels))
        _run(text, context)
    _lend_dependencies(image)
    return image


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps this path out of the build: the last line that names it or a folder above decides."""
    out = False
    for line in (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#") and re.fullmatch(_regex(line.removeprefix("!")), path):
            out = not line.startswith("!")
    return out


def _regex(pattern: str) -> str:
    within = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
    return f"{within}(?:/.*)?"


def _copy(source: str, target: Path) -> None:
    def left_out(folder: str, names: list[str]) -> list[str]:
        inside = Path(folder).relative_to(REPOSITORY)
        return [name for name in names if ignored(str(inside / name))]

    if (REPOSITORY / source).is_dir():
        shutil.copytree(REPOSITORY / source, target, ignore=left_out)
    else:
        assert not ignored(source), f"the Dockerfile copies {source}, which .dockerignore keeps from it"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / source, target)


def _run(text: str, context: Path) -> None:
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    ended = subprocess.run(
        ["sh", "-euc", text],
        cwd=context,
        env=clean_environment() | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert ended.returncode == 0, f"RUN {text}\n{ended.stdout}{ended.stderr}"


def _lend_dependencies(image: Image) -> None:
    (packages,) = image.prefix.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
