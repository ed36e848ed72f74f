"""The way from a checkpoint to each dtype's files, with a tiny random Llama in place of a downloaded one."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy
import onnxruntime
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from orchestrator.contract.catalog import TextValidation
from orchestrator.models.recipes import gguf_language_model as recipe
from orchestrator.models.workshop import RecipeError

WORDS, HEAD = 512, 16
IDS = [5, 300, 17, 17, 42, 511, 8]

pytestmark = pytest.mark.filterwarnings("ignore")
"""What torch, transformers and the exporter say of each other."""


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        tie_word_embeddings=True,
    )
    made: Any = LlamaForCausalLM(config)
    return made.eval()


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A token for each byte."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {"<s>": 0, "</s>": 1, "<pad>": 2} | {letter: index for index, letter in enumerate(letters, 3)}
    bytes_to_tokens = Tokenizer(models.BPE(vocab=words, merges=[]))
    bytes_to_tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_to_tokens.decoder = decoders.ByteLevel()
    fast: Any = PreTrainedTokenizerFast
    made = fast(tokenizer_object=bytes_to_tokens, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    made.chat_template = "{% for message in messages %}<s>{{ message['content'] }}</s>{% endfor %}"
    return made


@pytest.fixture(scope="module")
def exported(model: Any, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint and, in `exported`, what the builder made of it."""
    folder = tmp_path_factory.mktemp("language-model")
    model.save_pretrained(folder / "checkpoint")
    tokenizer.save_pretrained(folder / "checkpoint")
    recipe.export(folder / "checkpoint", folder / "exported", folder / "cache")
    return folder


def logits_of(model: Any) -> numpy.ndarray:
    with torch.no_grad():
        return numpy.asarray(model(torch.tensor([IDS])).logits[0].numpy())


def logits_in(onnx_file: Path) -> numpy.ndarray:
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    feeds: dict[str, Any] = {
        one.name: numpy.zeros((1, one.shape[1], 0, one.shape[3]), numpy.float32)
        for one in session.get_inputs()
        if one.name.startswith("past_key_values.")
    }
    assert all(cache.shape[3] == HEAD for cache in feeds.values())
    feeds |= {"input_ids": numpy.array([IDS]), "attention_mask": numpy.ones((1, len(IDS)), numpy.int64)}
    return numpy.asarray(session.run(["logits"], feeds)[0][0])


def least_cosine(one: numpy.ndarray, two: numpy.ndarray) -> float:
    """Of the logits of each position."""
    lengths = numpy.linalg.norm(one, axis=-1) * numpy.linalg.norm(two, axis=-1)
    return float(((one * two).sum(axis=-1) / lengths).min())


@pytest.mark.parametrize(
    ("dtype", "files", "close"),
    [
        ("fp32", {"model.onnx", "model.onnx_data"}, 0.999_999),
        ("q8", {"model_quantized.onnx"}, 0.999),
        ("q4", {"model_q4.onnx"}, 0.98),
    ],
)
def test_each_dtype_says_nearly_what_the_checkpoint_says(
    model: Any, exported: Path, tmp_path: Path, dtype: str, files: set[str], close: float
) -> None:
    recipe.write_weights(exported / "exported" / "model.onnx", tmp_path / "onnx", dtype, HEAD)
    assert {path.name for path in (tmp_path / "onnx").iterdir()} == files
    assert least_cosine(logits_in(tmp_path / "onnx" / recipe.FILES[dtype]), logits_of(model)) > close


def test_external_data_is_announced_in_the_configuration(exported: Path, tmp_path: Path) -> None:
    assert recipe.copy_companions(exported / "checkpoint", tmp_path, external_data=True) == HEAD
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["transformers.js_config"] == {"use_external_data_format": {"model.onnx": 1}}
    assert "message['content']" in json.loads((tmp_path / "tokenizer_config.json").read_text())["chat_template"]


def test_smoothing_changes_nothing_but_how_far_activations_reach(model: Any, tokenizer: Any) -> None:
    plain, smoothed = deepcopy(model), deepcopy(model)
    with torch.no_grad():
        # A channel as large as those that trained models have.
        for one in (plain, smoothed):
            one.model.layers[0].post_attention_layernorm.weight[3] = 500
    peaks = recipe.activation_peaks(smoothed, tokenizer)
    recipe.smooth(smoothed, peaks)
    assert least_cosine(logits_of(smoothed), logits_of(plain)) > 0.999_99
    after = recipe.activation_peaks(smoothed, tokenizer)["model.layers.0.mlp.up_proj"]
    before = peaks["model.layers.0.mlp.up_proj"]
    assert after.max() / after.median() < before.max() / before.median() / 10


def test_the_reference_is_the_model_s_own_greedy_answer(model: Any, tokenizer: Any) -> None:
    question = TextValidation(prompt="hi", max_tokens=6)
    answered = recipe.referenced(question, model, tokenizer, "1.2.3")
    prompt, reference = answered.prompt_ids, answered.reference_ids
    assert prompt == tokenizer("<s>hi</s>", add_special_tokens=False)["input_ids"]
    assert prompt is not None
    assert reference is not None
    assert 1 <= len(reference) <= 6
    with torch.no_grad():
        logits = model(torch.tensor([prompt + reference])).logits[0]
    assert logits[len(prompt) - 1 : -1].argmax(dim=-1).tolist() == reference
    assert answered.reference_source is not None
    assert answered.reference_source.startswith("transformers 1.2.3 ")


def test_a_model_that_cannot_answer_is_not_built(model: Any, tokenizer: Any) -> None:
    question = TextValidation(prompt="hi", max_tokens=2, expected_substring="Paris")
    with pytest.raises(RecipeError, match=r"answers 'hi' with .*, not with 'Paris'"):
        recipe.referenced(question, model, tokenizer, "1.2.3")
