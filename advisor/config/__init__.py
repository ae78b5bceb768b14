"""What a user writes in YAML: advisor.yaml, task.yaml and the recipes.

Each model is documented once; the same text becomes the JSON schema that editors read
(`advisor/schemas/*.json`). Unknown keys are errors; `yamlfiles.py` reads a file into its model.
"""

from advisor.config.base import Strict
from advisor.config.recipe import PromptSpec, Recipe, RetrievalSpec
from advisor.config.settings import (
    FACTORS,
    EndpointFile,
    GovernanceFile,
    PolicyFile,
    Settings,
)
from advisor.config.task import PRIMARY, TaskFile
from advisor.config.weights import (
    WEIGHTS,
    BaseWeights,
    DistilSpec,
    EndpointWeights,
    FullWeights,
    LoraWeights,
    OwnSystem,
    PreferSpec,
    PretrainSpec,
    TunedWeights,
)

__all__ = [
    "FACTORS",
    "PRIMARY",
    "WEIGHTS",
    "BaseWeights",
    "DistilSpec",
    "EndpointFile",
    "EndpointWeights",
    "FullWeights",
    "GovernanceFile",
    "LoraWeights",
    "OwnSystem",
    "PolicyFile",
    "PreferSpec",
    "PretrainSpec",
    "PromptSpec",
    "Recipe",
    "RetrievalSpec",
    "Settings",
    "Strict",
    "TaskFile",
    "TunedWeights",
]
