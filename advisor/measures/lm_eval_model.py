"""An lm-eval model that asks an engine. Import it only where lm-eval is installed."""

from __future__ import annotations

from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from advisor import stops
from advisor.engines.protocol import Engine


class EngineModel(TemplateLM):  # type: ignore[misc]  # lm-eval ships no types
    """Log-likelihoods and generations of `engine`; tokenisation rules are lm-eval's."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    @property
    def eot_token_id(self) -> int:
        return self.engine.end_of_text

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        return list(self.engine.tokenize(string))

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        return self.engine.score([(tuple(ctx), tuple(cont)) for _, ctx, cont in requests])

    def loglikelihood(
        self, requests: Any, disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        scores: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return scores

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
        pairs, owners = [], []
        for owner, request in enumerate(requests):
            windows = get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.engine.context_length,
                context_len=1,
            )
            for context, continuation in map(make_disjoint_window, windows):
                pairs.append((tuple(context), tuple(continuation)))
                owners.append(owner)
        totals = [0.0] * len(requests)
        for owner, (log_likelihood, _) in zip(owners, self.engine.score(pairs), strict=True):
            totals[owner] += log_likelihood
        return totals

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
        texts = [""] * len(requests)
        for index, request in enumerate(requests):
            prompt, options = request.args
            tokens = self.engine.tokenize(prompt)
            limit = int(options.get("max_gen_toks", 256))
            until = options.get("until") or []
            until = [until] if isinstance(until, str) else until
            for _, said in self.engine.generate([tokens], max_tokens=limit, stop=until):
                # lm-eval also ends an answer that has not begun.
                texts[index] = stops.cut(said.text, until, begun=True)
        return texts
