"""What SciPy and plain enumeration say of made-up samples: `python3 against_scipy.py > against_scipy.json`.

Needs scipy and numpy (made with 1.17.1 and 2.4.6). For ties SciPy's `mannwhitneyu` has no exact distribution, so
there it is `permutation_test` over every split, and beyond what can be enumerated a count in whole numbers.
"""

import json
from itertools import combinations
from math import comb

import numpy as np
from scipy import stats

rng = np.random.default_rng(20221122)
SMALL = 16  # runs on both sides together that are enumerated
EXACT = 5000  # runs on the smaller side times all: beyond, a normal distribution


def ways_by_sum(ranks, chosen):
    ways = [{0: 1}] + [{} for _ in range(chosen)]
    for rank in ranks:
        for count in range(chosen, 0, -1):
            for total, number in ways[count - 1].items():
                ways[count][total + rank] = ways[count].get(total + rank, 0) + number
    return ways[chosen]


def counted_p(before, after):
    doubled = [int(rank) for rank in stats.rankdata(np.r_[after, before]) * 2]
    seen = sum(doubled[: len(after)])
    ways = ways_by_sum(doubled, len(after))
    low = sum(number for total, number in ways.items() if total <= seen)
    high = sum(number for total, number in ways.items() if total >= seen)
    return min(1.0, 2 * min(low, high) / comb(len(doubled), len(after)))


def rank_sum_p(before, after):
    total = len(before) + len(after)
    if min(len(before), len(after)) * total > EXACT:
        return stats.mannwhitneyu(after, before, method="asymptotic").pvalue
    if len(set(before) | set(after)) == total:
        return stats.mannwhitneyu(after, before, method="exact").pvalue
    if total > SMALL or min(len(before), len(after)) < 2:
        return counted_p(before, after)

    def rank_sum(after, before, axis):
        pooled = stats.rankdata(np.concatenate([after, before], axis=axis), axis=axis)
        return pooled[..., : after.shape[axis]].sum(axis=axis)

    test = stats.permutation_test(
        (after, before), rank_sum, permutation_type="independent", n_resamples=np.inf, vectorized=True
    )
    return float(test.pvalue)


def interval_rank(before, after):
    """The largest k with P(U <= k - 1) <= 2.5 %, without ties."""
    n, m = len(before), len(after)
    if min(n, m) * (n + m) > EXACT:
        deviation = (n * m * (n + m + 1) / 12) ** 0.5
        return int(n * m / 2 + 0.5 - stats.norm.ppf(0.975) * deviation)
    ways, below, rank = ways_by_sum(range(1, n + m + 1), m), 0, 0
    for total in range(m * (m + 1) // 2, max(ways) + 1):
        below += ways.get(total, 0)
        if below / comb(n + m, m) > 0.025:
            return rank or None
        rank += 1


def stall_tails(before, after, factor):
    """Over every split of the durations and every split of the gaps."""

    def ratios(after, before):
        pooled = np.r_[after, before]
        splits = list(combinations(range(len(pooled)), len(after)))
        sums = pooled[np.array(splits)].sum(axis=1)
        return sums / len(after) / ((pooled.sum() - sums) / len(before))

    gaps = [np.diff(side["starts"]).astype(float) for side in (before, after)]
    durations = ratios(np.array(after["durations"]) / factor, np.array(before["durations"], float))
    paces = ratios(gaps[1], gaps[0])
    seen = durations[0] / paces[0]
    every = durations[:, None] / paces[None, :]
    return [float((every >= seen * (1 - 1e-12)).mean()), float((every <= seen * (1 + 1e-12)).mean())]


def side(runs, level, grid, gap):
    durations = np.exp(rng.normal(np.log(level), rng.choice([0.01, 0.1, 0.4]), runs))
    durations = np.maximum(1, np.round(durations / grid) * grid).astype(int)
    steps = gap + rng.integers(0, 3, runs) * 32_000_000
    return {"durations": durations.tolist(), "starts": (1_000_000_000 + np.cumsum(steps)).tolist()}


def case(index):
    if index < 150:
        n, m = rng.integers(1, 9, 2)
    elif index < 180:
        n, m = rng.integers(4, 51, 2)
    else:
        n, m = rng.integers(60, 200, 2)
    level = 10 ** rng.uniform(3, 7)
    grid = level * rng.choice([1e-9, 0.02, 0.2, 1.0])
    factor = rng.choice([1.0, 1.0, 1.1, 1.5, 0.5])
    before = side(n, level, max(1, grid), 2_016_000_000)
    after = side(m, level * factor, max(1, grid), int(rng.choice([2_016_000_000, 1_000_000_000, 5_120_000_000])))
    b, a = np.array(before["durations"]), np.array(after["durations"])
    logarithms = np.sort((np.log(a)[:, None] - np.log(b)[None, :]).ravel())
    rank = interval_rank(b, a)
    result = {
        "before": before,
        "after": after,
        "p_value": float(rank_sum_p(b, a)),
        "cliffs_delta": float(np.sign(a[:, None] - b[None, :]).mean()),
        "shift_ratio": float(np.exp(np.median(logarithms))),
        "interval_ratio": rank and [float(np.exp(logarithms[rank - 1])), float(np.exp(logarithms[-rank]))],
    }
    if index < 150 and min(n, m) > 1 and n + m <= 12:
        stalls = [np.mean(side["durations"]) / np.diff(side["starts"]).mean() for side in (before, after)]
        result["stall_ratio"] = float(stalls[1] / stalls[0])
        result["stall_tails"] = {str(by): stall_tails(before, after, by) for by in (1.0, 1.05, 0.95)}
    else:
        del before["starts"], after["starts"]
    return result


if __name__ == "__main__":
    # Six against six: the 6th and the 31st of 36.
    assert interval_rank(range(6), range(6)) == 6
    print("[\n" + ",\n".join(json.dumps(case(index)) for index in range(200)) + "\n]")
