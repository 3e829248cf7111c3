/** What a policy's texts look like while it is trained, and when to stop. */

/** Figures of one epoch. */
export interface EpochLog {
  /** From 0: the reference itself. */
  readonly epoch: number;
  /** Mean reward that the policy is trained with; absent with DPO, which has none. */
  readonly reward?: number;
  /** Share of texts below 0 under the judge; absent without one. */
  readonly toxicity?: number;
  /** KL to the reference in nats a text: mean of log p - log p_reference of what was written (k1). */
  readonly kl: number;
  /** Entropy of a token in nats, estimated by the mean of -log p of what was written. */
  readonly entropy: number;
  /** Distinct pairs of neighbouring words, as a share of all (Li et al. 2016). */
  readonly distinct2: number;
  /** Mean length in words of what was written. */
  readonly words: number;
  /** Share of texts with less than two words. */
  readonly nearlyEmpty: number;
  /** Share of texts that repeat a pair of words three times or more. */
  readonly repeated: number;
  /** Coefficient of the KL in the reward. */
  readonly beta: number;
}

/** Figures that texts alone give. */
export function textFigures(
  texts: readonly string[],
): Pick<EpochLog, "distinct2" | "words" | "nearlyEmpty" | "repeated"> {
  const seen = new Set<string>();
  let [pairs, words, empty, repeated] = [0, 0, 0, 0];
  for (const text of texts) {
    const own = text.split(/\s+/).filter((word) => word !== "");
    words += own.length;
    if (own.length < 2) empty++;
    const counts = new Map<string, number>();
    for (let at = 1; at < own.length; at++) {
      const pair = `${own[at - 1]} ${own[at]}`;
      seen.add(pair);
      pairs++;
      counts.set(pair, (counts.get(pair) ?? 0) + 1);
    }
    if (Math.max(0, ...counts.values()) >= 3) repeated++;
  }
  const count = Math.max(1, texts.length);
  return {
    // Texts of single words repeat nothing.
    distinct2: pairs > 0 ? seen.size / pairs : 1,
    words: words / count,
    nearlyEmpty: empty / count,
    repeated: repeated / count,
  };
}

/** Why a run should stop; undefined while it is well. */
export function collapse(first: EpochLog, now: EpochLog): string | undefined {
  if (![now.reward ?? 0, now.kl, now.entropy].every(Number.isFinite)) {
    return "a figure is not finite";
  }
  for (const name of ["nearlyEmpty", "repeated"] as const) {
    if (now[name] > first[name] + 0.3) {
      const what = name === "repeated" ? "repeat themselves" : "are nearly empty";
      return `${(100 * now[name]).toFixed(0)} % of the texts ${what}`;
    }
  }
  if (now.distinct2 < first.distinct2 / 2) {
    return `distinct-2 fell from ${first.distinct2.toFixed(2)} to ${now.distinct2.toFixed(2)}`;
  }
  return undefined;
}
