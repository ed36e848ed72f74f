"""Models with random weights: the architecture is the real one, to the last digit."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from transformers import (
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
)

from orchestrator.blobs import sha256_of
from orchestrator.models import tensors
from orchestrator.models.definition import load_definitions
from orchestrator.models.encoder_graph import Head
from orchestrator.models.encoder_graph import Shape as EncoderShape
from orchestrator.models.llama_graph import Shape as LlamaShape
from orchestrator.models.recipes import synthetic_encoder, synthetic_llama
from orchestrator.models.tensors import RandomBytes

LLAMA = LlamaShape(
    layers=2, hidden=64, heads=4, kv_heads=2, head=16, feed_forward=128, vocabulary=512, context=256, rope_theta=10_000
)
ENCODER = EncoderShape(layers=2, hidden=32, heads=4, feed_forward=64, vocabulary=100, positions=64, labels=3)
PROMPT = list(b"hello quick world")


def stored_weights(onnx_file: Path) -> dict[str, Any]:
    graph = onnx.load(onnx_file).graph
    return {one.name: torch.tensor(numpy_helper.to_array(one).copy()) for one in graph.initializer}


def test_the_llama_graph_generates_what_transformers_generates(tmp_path: Path) -> None:
    onnx_file = tmp_path / "model.onnx"
    synthetic_llama.write_model(onnx_file, LLAMA, "fp32", seed=0)
    weights = stored_weights(onnx_file)
    said: dict[str, Any] = {
        "vocab_size": LLAMA.vocabulary,
        "hidden_size": LLAMA.hidden,
        "intermediate_size": LLAMA.feed_forward,
        "num_hidden_layers": LLAMA.layers,
        "num_attention_heads": LLAMA.heads,
        "num_key_value_heads": LLAMA.kv_heads,
        "head_dim": LLAMA.head,
        "max_position_embeddings": LLAMA.context,
        "rms_norm_eps": 1e-5,
        "rope_theta": LLAMA.rope_theta,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    model: Any = LlamaForCausalLM(LlamaConfig(**said))
    model.eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == LLAMA.parameters
    state = model.state_dict()
    state["model.embed_tokens.weight"] = state["lm_head.weight"] = weights["table"].T.contiguous()
    widths = [LLAMA.heads * LLAMA.head, LLAMA.kv_heads * LLAMA.head, LLAMA.kv_heads * LLAMA.head]
    for layer in range(LLAMA.layers):
        query, key, value = weights[f"layers.{layer}.qkv"].split(widths, dim=1)
        theirs = {"self_attn.q_proj": query, "self_attn.k_proj": key, "self_attn.v_proj": value}
        theirs |= {
            "self_attn.o_proj": weights[f"layers.{layer}.output"],
            "mlp.gate_proj": weights[f"layers.{layer}.gate"],
            "mlp.up_proj": weights[f"layers.{layer}.up"],
            "mlp.down_proj": weights[f"layers.{layer}.down"],
        }
        for name, weight in theirs.items():
            state[f"model.layers.{layer}.{name}.weight"] = weight.T.contiguous()
    model.load_state_dict(state)
    ids = torch.tensor([PROMPT])
    theirs_ids = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=48, do_sample=False)
    ours = synthetic_llama.generate(onnx_file, PROMPT, 48)
    assert len(set(ours)) > 20
    assert theirs_ids[0, len(PROMPT) :].tolist() == ours


@pytest.mark.parametrize("dtype", synthetic_llama.ONNX_FILES)
def test_every_dtype_runs_and_is_the_same_on_every_build(dtype: str, tmp_path: Path) -> None:
    digests = set()
    for number in (1, 2):
        onnx_file = tmp_path / str(number) / synthetic_llama.ONNX_FILES[dtype]
        onnx_file.parent.mkdir()
        assert synthetic_llama.write_model(onnx_file, LLAMA, dtype, seed=7) == 1
        digests.add((sha256_of(onnx_file), sha256_of(onnx_file.with_name(f"{onnx_file.name}_data"))))
    assert len(digests) == 1
    tokens = synthetic_llama.generate(onnx_file, PROMPT, 32)
    assert len(set(tokens)) > 8


def test_large_models_are_cut_into_files_that_a_browser_can_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole" / "model.onnx"
    whole.parent.mkdir()
    synthetic_llama.write_model(whole, LLAMA, "fp32", seed=0)
    monkeypatch.setattr(tensors, "LARGEST_FILE_BYTES", 150_000)
    onnx_file = tmp_path / "model.onnx"
    chunks = synthetic_llama.write_model(onnx_file, LLAMA, "fp32", seed=0)
    names = [f"model.onnx_data{suffix}" for suffix in ("", *(f"_{number}" for number in range(1, chunks)))]
    assert chunks > 2
    assert sorted(path.name for path in tmp_path.glob("model.onnx_data*")) == names
    assert all((tmp_path / name).stat().st_size <= 150_000 for name in names)
    assert synthetic_llama.generate(onnx_file, PROMPT, 8) == synthetic_llama.generate(whole, PROMPT, 8)


def logits_of(onnx_file: Path, ids: Any, mask: Any) -> Any:
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"input_ids": ids, "attention_mask": mask})


@pytest.mark.parametrize(
    ("head", "architecture"),
    [("text-classification", DistilBertForSequenceClassification), ("fill-mask", DistilBertForMaskedLM)],
)
def test_the_encoder_graph_computes_what_transformers_computes(head: Head, architecture: Any, tmp_path: Path) -> None:
    onnx_file = tmp_path / "model.onnx"
    parameters = synthetic_encoder.write_model(onnx_file, ENCODER, head, "fp32", seed=0)
    weights = stored_weights(onnx_file)
    said: dict[str, Any] = {
        "vocab_size": ENCODER.vocabulary,
        "max_position_embeddings": ENCODER.positions,
        "n_layers": ENCODER.layers,
        "n_heads": ENCODER.heads,
        "dim": ENCODER.hidden,
        "hidden_dim": ENCODER.feed_forward,
        "num_labels": ENCODER.labels,
    }
    model: Any = architecture(DistilBertConfig(**said))
    model.eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    state = model.state_dict()
    for theirs in state:
        name = theirs.removeprefix("distilbert.").removeprefix("transformer.")
        table = name.removeprefix("embeddings.").removesuffix(".weight")
        if theirs == "vocab_projector.weight":
            table = "word_embeddings"
        if table in weights:
            state[theirs] = weights[table]
        else:
            state[theirs] = weights[name].T.contiguous() if weights[name].dim() == 2 else weights[name]
    model.load_state_dict(state)
    ids = np.array([[1, 5, 7, 9, 0, 0], [2, 3, 4, 5, 6, 7]])
    mask = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    (ours,) = logits_of(onnx_file, ids, mask)
    synthetic_encoder.write_model(tmp_path / "q8.onnx", ENCODER, head, "q8", seed=0)
    (rounded,) = logits_of(tmp_path / "q8.onnx", ids, mask)
    # The weights are the same ones, only the activations are rounded.
    assert np.corrcoef(ours[:, :4].ravel(), rounded[:, :4].ravel())[0, 1] > 0.99
    with torch.no_grad():
        logits = model(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask)).logits.numpy()
    # What is padded is nobody's answer.
    np.testing.assert_allclose(ours[:, :4], logits[:, :4], atol=1e-4) if head == "fill-mask" else (
        np.testing.assert_allclose(ours, logits, atol=1e-5)
    )


def test_random_bytes_are_fixed_by_seed_and_name() -> None:
    def digest(seed: int, name: str) -> bytes:
        return b"".join(part.tobytes() for part in RandomBytes(seed).stream(name, 20))

    assert digest(0, "a") == digest(0, "a")
    assert len({digest(0, "a"), digest(1, "a"), digest(0, "b")}) == 3
    assert digest(0, "a").hex() == "54d9b5045af9d284dd7b4ac76dc909131a644036"


def test_the_catalog_has_the_true_shapes() -> None:
    """Parameter counts of the published models, from their cards."""
    counts = {
        "smollm2-135m-shape.q4": 134_515_008,
        "llama-3.2-1b-shape.q4": 1_235_814_400,
        "distilbert-shape.q8": 66_955_010,
    }
    definitions = load_definitions()
    for variant, count in counts.items():
        assert definitions[variant].model.parameters == count
        parameters = definitions[variant].variant.recipe.parameters
        if variant.startswith("distilbert"):
            continue
        shape = LlamaShape(**{name: parameters[name] for name in asdict(LLAMA)})  # type: ignore[arg-type]  # fields by name
        assert shape.parameters == count
