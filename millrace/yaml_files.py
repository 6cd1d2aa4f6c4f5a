"""YAML that people write: read strictly, and answered with the word they probably meant. Configuration and definitions are read with it."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from millrace.errors import ConfigurationError


def read_yaml(path: Path, *, missing: str) -> Any:
    """What the file holds; ConfigurationError when it is not there (``missing`` says what to do), unreadable, no YAML, or names a key twice."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except FileNotFoundError:
        raise ConfigurationError(f"{path} is missing; {missing}") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}); name a YAML file this user may read") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).replace('in "<unicode string>", ', "at ").split())
        raise ConfigurationError(f"{path} is not readable as YAML: {said}") from None


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the nearest allowed word; nothing when none is near."""
    near = difflib.get_close_matches(word, list(allowed), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice: the second would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                raise yaml.constructor.ConstructorError(None, None, f"found a {type(key).__name__} as a key; a key must be text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)
