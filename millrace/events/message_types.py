"""Types that msgspec reads messages into: of what identity and views need, and nothing else. messages.py makes them of its paths."""

from typing import Any

import msgspec

EACH = "[]"
"""Behind a key: each entry of the list there."""
Scalar = str | int | float | bool | None
Tree = dict[str, Any]
"""Keys that are wanted, by those above them."""


def struct_of(name: str, tree: Tree, whole: set[str]) -> type[msgspec.Struct]:
    """The type of an object of which the keys of the tree are wanted. An object in the place of a value that is wanted as a whole is left to the strict reading, and so is
    a list of which entries are wanted where something else of the same key is."""
    fields, names = [], {}
    for place, (key, inner) in enumerate(tree.items()):
        path, names[f"v{place}"] = f"{name}.{key}", key.removesuffix(EACH)
        if not key.endswith(EACH):
            fields.append((f"v{place}", struct_of(path, inner, whole) | Scalar if inner and path not in whole else Scalar, None))
        elif key.removesuffix(EACH) not in tree:
            fields.append((f"v{place}", list[struct_of(path, inner, whole) | Scalar] | Scalar, None))  # type: ignore[misc]
    return msgspec.defstruct("Body", fields, gc=False, rename={field: names[field] for field, *_ in fields})


def attributes_of(path: str, tree: Tree) -> tuple[str, ...]:
    """Where the structs keep the value of a path, below its body; empty when only the strict reading finds it."""
    body, *keys = path.split(".")
    place, found = tree[body], []
    for key in keys:
        if key.endswith(EACH) and key.removesuffix(EACH) in place:
            return ()
        found.append(f"v{list(place).index(key)}")
        place = place[key]
    return tuple(found)
