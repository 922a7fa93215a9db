"""Which instructions does the Dockerfile have, stage by stage?"""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
DOCKERFILE = REPOSITORY / "deploy" / "docker" / "Dockerfile"


@dataclass(frozen=True, slots=True)
class Instruction:
    name: str
    text: str

    def words(self) -> list[str]:
        """The arguments, whether in the JSON form or as plain words."""
        if self.text.startswith("["):
            return [str(word) for word in json.loads(self.text)]
        return shlex.split(self.text)


@dataclass(frozen=True, slots=True)
class Stage:
    image: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, name: str) -> list[Instruction]:
        return [each for each in self.instructions if each.name == name]

    def environment(self) -> dict[str, str]:
        pairs = (word.split("=", 1) for each in self.all("ENV") for word in each.words())
        return {pair[0]: pair[1] for pair in pairs}


def stages() -> Sequence[Stage]:
    """Each stage with its image's name, arguments of the build filled in."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    defaults: dict[str, str] = {}
    found: list[Stage] = []
    for line in lines:
        name, rest = line.split(maxsplit=1)
        if name == "ARG" and not found:
            argument, _, value = rest.partition("=")
            defaults[argument] = value
        elif name == "FROM":
            image = rest.split()[0]
            found.append(Stage(defaults.get(image.removeprefix("${").removesuffix("}"), image)))
        else:
            found[-1].instructions.append(Instruction(name, rest))
    return found
