"""The JSON Schema of recipes (draft 2020-12), for editors and for whoever writes recipes by program."""

from __future__ import annotations

from typing import Any

import msgspec

from serendip.data.features.declared import KINDS
from serendip.model import find, names
from serendip.recipe.sections import Choice, Recipe
from serendip.rerank.options import KINDS as RERANKERS


def json_schema() -> dict[str, Any]:
    """The schema of a ``recipe.toml``: every key with its description, bounds and default, and the options of every
    model of this package. A model from elsewhere, named by its dotted path, may have any options."""
    _, components = msgspec.json.schema_components([Recipe], ref_template="#/$defs/{name}")
    models = [name for name in names() if "." not in name and ":" not in name]
    definitions = {name: _without_null(part) for name, part in components.items() if name not in ("Recipe", "Choice")}
    definitions["Choice"] = {
        "description": "A model, by name alone or as a table of its name and options.",
        "anyOf": [
            {
                "type": "string",
                "description": "The name of a model, or the dotted path of one from elsewhere.",
                "examples": models,
            },
            {"$ref": "#/$defs/Model", "required": ["name"]},
        ],
    }
    definitions["Model"] = {
        "description": "A model: its name and, beside it, its options.",
        "type": "object",
        "properties": {
            "name": {
                "description": "The name of a model, or the dotted path of one from elsewhere.",
                "type": "string",
                "default": Recipe().model.name,
                "examples": models,
            }
        },
        "allOf": [_when(name) for name in models],
    }
    definitions |= {f"model-{name}": _options(name) for name in models}
    for kind in KINDS.values():
        definitions[kind.__name__]["properties"]["kind"]["description"] = "What is made of the column."
    definitions["SourceSection"] = {
        "description": definitions["SourceSection"]["description"],
        "anyOf": [definitions["Choice"]["anyOf"][0], definitions["SourceSection"]],
    }
    for reranker in RERANKERS.values():
        definitions[reranker.__name__]["properties"]["name"]["description"] = "Which re-ranker it is."
    recipe = _without_null(components["Recipe"])
    recipe["properties"]["model"] = {
        "description": recipe["properties"]["model"]["description"],
        "$ref": "#/$defs/Model",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Serendip recipe",
        **{key: value for key, value in recipe.items() if key not in ("title", "required")},
        "$defs": definitions,
    }


def _when(name: str) -> dict[str, Any]:
    """The options of this model where it is the one named, or where none is and it is the default."""
    required = {} if name == Recipe().model.name else {"required": ["name"]}
    return {"if": {"properties": {"name": {"const": name}}, **required}, "then": {"$ref": f"#/$defs/model-{name}"}}


def _options(name: str) -> dict[str, Any]:
    model = find(name)
    _, components = msgspec.json.schema_components([model.Config], ref_template="#/$defs/{name}")
    properties = _without_null(components[model.Config.__name__])["properties"]
    described = {"name": {"description": "The name of the model.", "const": name}, **properties}
    return {"description": model.summary, "type": "object", "properties": described, "additionalProperties": False}


def _without_null(node: Any) -> Any:
    """The same without null, which TOML cannot say, with defaults as a recipe writes them."""
    if isinstance(node, list | tuple):
        return [_without_null(part) for part in node]
    if not isinstance(node, dict):
        return node
    out = {key: _without_null(value) for key, value in node.items() if not (key == "default" and value is None)}
    if out.get("required") == []:
        del out["required"]
    if "$ref" in out:
        out.pop("default", None)
    elif isinstance(out.get("default"), list):
        out["default"] = [_written(part) for part in out["default"]]
    if "anyOf" in out:
        kept = [part for part in out["anyOf"] if part != {"type": "null"}]
        out.pop("anyOf")
        out = {**kept[0], **out} if len(kept) == 1 else {**out, "anyOf": kept}
    return out


def _written(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == set(Choice.__struct_fields__):
        return {"name": value["name"], **value["options"]} if value["options"] else value["name"]
    return value
