"""The vLLM command for what is served: the weights that were measured, or why there is none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from material import shipped, tuned

from advisor.ship.fleet import NO_DORA, serving

PACKAGED = SimpleNamespace(name="smollm2-135m-instruct",
                           weights=SimpleNamespace(files=SimpleNamespace(folder=Path("/models/s"))))


def command(contender: str) -> str:
    return serving(shipped(contender), Path("/b"), PACKAGED, name="tolls")


def test_an_adapter_lies_beside_the_base_that_was_measured_not_the_hubs_of_its_name():
    assert command("lora") == ("vllm serve /models/s --enable-lora --max-lora-rank 16 "
                               "--lora-modules tolls=/b/adapter")


def test_whole_weights_are_served_with_the_tokenizer_of_their_base():
    assert command("full") == ("vllm serve /b/weights --tokenizer /models/s "
                               "--served-model-name tolls")


def test_what_was_not_tuned_is_the_base():
    assert command("rag") == "vllm serve /models/s --served-model-name tolls"


def test_an_adapter_that_vllm_refuses_has_no_command():
    assert command("lora-dora") == NO_DORA


def test_an_adapter_on_4_bits_is_another_model_there():
    assert "measured on a base in 4 bits" in command("qlora")


@pytest.mark.parametrize("name", ["lora-rslora", "lora-dpo", "distilled", "rag-raft", "dapt-lora"])
def test_every_other_tuned_contender_is_an_adapter(name):
    assert tuned(name)
    assert "--lora-modules" in command(name)
