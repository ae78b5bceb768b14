"""Whether what is fast is also right: our outputs in float32 beside those of transformers,
lm-eval and a plain loop of peft's, and what bfloat16 changes. Minutes; on the real model."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from advisor.config import LoraWeights
from advisor.engines.protocol import Course, Lesson, Message
from advisor.engines.transformers import TransformersEngine
from advisor.engines.tuning import sample
from tests.bench import libraries, sides, works

TOLERANCE = 1e-3
NEW = 32
# One batch of all rows in every update, so that no order of rows enters.
CURVE = LoraWeights(kind="lora", epochs=50.0, learning_rate=2e-4, batch_size=4, checks=1,
                    check_rows=1)


class Host(sides.Host):
    def identity(self, name: str) -> dict[str, Any]:
        """{identity, of, same or largest, holds}."""
        return {"identity": name, **IDENTITIES[name](works.opened("float32"))}

    def precision(self) -> dict[str, Any]:
        return {"precision": "bfloat16 beside float32", **_flips()}


def _greedy(engine: TransformersEngine) -> dict[str, Any]:
    prompts = works.tickets(engine, 100)
    theirs = libraries.in_batches(libraries.as_it_came(engine), prompts, NEW, 25,
                                  min_new_tokens=0)
    said = dict(engine.generate(prompts, max_tokens=NEW))
    ends = engine._ends()

    def text(tokens: works.Ids) -> str:
        end = next((at for at, token in enumerate(tokens) if token in ends), len(tokens))
        return str(engine.weights.tokenizer.decode(tokens[:end], skip_special_tokens=True))

    same = sum(said[n].text == text(theirs[n]) for n in range(len(prompts)))
    return {"of": len(prompts), "same": same, "holds": same == len(prompts),
            "note": f"at most {NEW} new tokens each"}


def _scores(engine: TransformersEngine) -> dict[str, Any]:
    work = works.Work("multiple choice", "scoring", 120)
    asked = works.items(work, engine)
    ours, theirs = (sides.SIDES["scoring"][name](work, engine, "batch 16")(asked)()
                    for name in (sides.OURS, "lm-eval"))
    pairs = [(a, b) for one, other in zip(ours, theirs, strict=True)
             for a, b in zip(one, other, strict=True)]
    largest = max(abs(a[0] - b[0]) for a, b in pairs)
    same = sum(a[1] == bool(b[1]) for a, b in pairs)
    best = sum(_chosen(a) == _chosen(b) for a, b in zip(ours, theirs, strict=True))
    return {"of": len(pairs), "same": same, "largest": largest,
            "holds": largest <= TOLERANCE and same == len(pairs) and best == len(asked),
            "note": f"the answer chosen is the same for {best} of {len(asked)} questions"}


def _chosen(scores: list[Any]) -> int:
    return max(range(len(scores)), key=lambda n: float(scores[n][0]))


def _curve(engine: TransformersEngine) -> dict[str, Any]:
    rows = works.lines("policy-qa/train.jsonl")[: CURVE.batch_size]
    lessons = tuple(Lesson((Message("user", row["text"]),), row["targets"][0]) for row in rows)
    plain = _plain_losses(engine, lessons)
    folder = Path(tempfile.mkdtemp())
    try:
        ours = engine.tune(Course(lessons, lessons[:1]), CURVE, folder=folder, seed=0).train_loss
    finally:
        shutil.rmtree(folder)
    largest = max(abs(a - b) for a, b in zip(ours, plain, strict=True))
    return {"of": len(plain), "largest": largest, "holds": largest <= TOLERANCE,
            "note": f"{len(lessons)} rows in every update; losses from {plain[0]:.3f} to "
                    f"{plain[-1]:.3f}"}


def _plain_losses(engine: TransformersEngine, lessons: tuple[Lesson, ...]) -> list[float]:
    """peft and torch alone: padded rows, all logits, transformers' own loss."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)  # peft draws the adapter's initial weights globally
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(libraries.as_it_came(engine), LoraConfig(
        r=CURVE.rank, lora_alpha=int(CURVE.alpha), target_modules=targets,
        task_type="CAUSAL_LM")).train()
    samples = [sample(engine, lesson.prompt, lesson.completion) for lesson in lessons]
    width = max(len(sample.tokens) for sample in samples)
    ids = torch.tensor([[*one.tokens, *[0] * (width - len(one.tokens))] for one in samples])
    columns = torch.arange(width)
    ends = torch.tensor([[len(one.tokens)] for one in samples])
    graded = torch.tensor([[one.graded] for one in samples])
    labels = ids.masked_fill((columns < ends - graded) | (columns >= ends), -100)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=CURVE.learning_rate, weight_decay=0.0)
    steps, losses = round(CURVE.epochs), []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = CURVE.learning_rate * _factor(step, steps)
        loss = model(input_ids=ids, attention_mask=(columns < ends).long(), labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    return losses


def _factor(step: int, steps: int) -> float:
    """A linear rise over `warmup` of the updates, then a linear fall to 0."""
    rising = round(steps * CURVE.warmup)
    return (step + 1) / rising if step < rising else (steps - step) / (steps - rising)


IDENTITIES: Mapping[str, Callable[[TransformersEngine], dict[str, Any]]] = {
    "greedy answers are those of transformers": _greedy,
    "log-likelihoods are those of lm-eval": _scores,
    "losses of LoRA tuning are those of a plain loop": _curve,
}


# ------------------------------------------------------------------ precision


def _flips() -> dict[str, Any]:
    """Greedy answers of few-shot to ticket-triage's dev rows, in both precisions."""
    from advisor.config import Recipe
    from advisor.contenders.composed import Tools
    from advisor.contenders.recipe import prepare
    from advisor.data.task import load_task
    from advisor.engines.embedders import FakeEmbedder
    from advisor.measures.scorers import grade
    from advisor.yamlfiles import load

    task = load_task(works.ROOT / "evals" / "ticket-triage")
    recipe = load(works.ROOT / "baselines" / "few-shot.yaml", Recipe)
    asked = task.material.dev
    said = {}
    for dtype in ("bfloat16", "float32"):
        with tempfile.TemporaryDirectory() as folder:
            tools = Tools(works.opened(dtype), FakeEmbedder())
            system = prepare(recipe, task.material, tools, Path(folder), seed=0).system
            found = {one.question_id: one
                     for one in system.answer([example.question for example in asked])}
        said[dtype] = [found[example.question.id] for example in asked]
    pairs = list(zip(said["bfloat16"], said["float32"], asked, strict=True))
    credits = [tuple(grade(one, example, task.scorer, primary=task.primary).credit
                     for one in (narrow, wide)) for narrow, wide, example in pairs]
    return {
        "of": len(pairs),
        "text_differs": sum(a.text != b.text for a, b, _ in pairs) / len(pairs),
        "grade_differs": sum(a != b for a, b in credits) / len(pairs),
        "mean_bfloat16": sum(a or 0.0 for a, _ in credits) / len(pairs),
        "mean_float32": sum(b or 0.0 for _, b in credits) / len(pairs),
        "note": "few-shot on the dev rows of ticket-triage",
    }
