/** Pairs as rows of one feature matrix, centred and scaled for training. */
import { FairlError, type Random } from "../base/mod.ts";

/** Preference pairs over texts that were turned into features. */
export interface PairFeatures {
  /** `[texts, dimension]`, row-major: one row for each distinct text. */
  readonly features: Float32Array<ArrayBuffer>;
  /** Features of a text. */
  readonly dimension: number;
  /** Row of each pair's chosen text. */
  readonly chosen: Int32Array;
  /** Row of each pair's rejected text. */
  readonly rejected: Int32Array;
}

/** How raw features become the ones that rewards are trained on: `(f - mean) * scale`. */
export interface Standardisation {
  /** `[dimension]`, the mean over the texts of the training pairs. */
  readonly mean: Float32Array<ArrayBuffer>;
  /** One number for all features, so that their mean square is 1. */
  readonly scale: number;
}

/**
 * Centres features and gives them one global scale (C: METHOD.md). One scale and not one for each
 * feature: the encoder's own geometry says which directions matter.
 *
 * @param data The pairs' features
 * @param pairs The pairs to take mean and scale from: the training pairs
 * @throws FairlError `irl.constant-features` when all texts have the same features
 */
export function standardisation(data: PairFeatures, pairs: Int32Array): Standardisation {
  const { features, dimension } = data;
  const rows = rowsOf(data, pairs);
  const sums = new Float64Array(dimension);
  for (const row of rows) {
    for (let at = 0; at < dimension; at++) sums[at]! += features[row * dimension + at]!;
  }
  const mean = Float32Array.from(sums, (sum) => sum / rows.length);
  let squares = 0;
  for (const row of rows) {
    for (let at = 0; at < dimension; at++) {
      squares += (features[row * dimension + at]! - mean[at]!) ** 2;
    }
  }
  if (!(squares > 0)) {
    throw new FairlError("irl.constant-features", "All training texts have the same features");
  }
  return { mean, scale: Math.fround(Math.sqrt(rows.length * dimension / squares)) };
}

/** Distinct rows of some pairs' texts, in ascending order. */
export function rowsOf(data: PairFeatures, pairs: Int32Array): Int32Array {
  const rows = new Set<number>();
  for (const pair of pairs) rows.add(data.chosen[pair]!).add(data.rejected[pair]!);
  return Int32Array.from(rows).sort();
}

/**
 * The standardised features of some pairs' texts alone, with the pairs' rows renumbered.
 *
 * @returns pair `i` of the result is pair `pairs[i]` of the data
 */
export function standardised(
  data: PairFeatures,
  pairs: Int32Array,
  { mean, scale }: Standardisation,
): PairFeatures {
  const { dimension } = data;
  const rows = rowsOf(data, pairs);
  const place = new Map<number, number>();
  const features = new Float32Array(rows.length * dimension);
  rows.forEach((row, index) => {
    place.set(row, index);
    for (let at = 0; at < dimension; at++) {
      features[index * dimension + at] = (data.features[row * dimension + at]! - mean[at]!) * scale;
    }
  });
  return {
    features,
    dimension,
    chosen: pairs.map((pair) => place.get(data.chosen[pair]!)!),
    rejected: pairs.map((pair) => place.get(data.rejected[pair]!)!),
  };
}

/**
 * Adds comparisons across pairs of the same prompt: the chosen text of one against the rejected text
 * of another (C). Both come from the same two policies on the same prompt, so the aligned one's text
 * is as much preferred there; what it adds is the scale between pairs, which a pair alone cannot show.
 * Pairs without a prompt answer the same empty one.
 *
 * @param data The pairs; they stay first and in their order
 * @param groups Which pairs may be set against each other: prompt, and fold where there are folds
 * @param times How many comparisons are added for each pair
 * @returns the same texts with more comparisons; `source` is the pair that a comparison's chosen text
 * is from
 */
export function acrossPairs(
  data: PairFeatures,
  groups: Int32Array,
  times: number,
  random: Random,
): PairFeatures & { readonly source: Int32Array } {
  const { features, dimension } = data;
  const chosen = [...data.chosen];
  const rejected = [...data.rejected];
  const source = [...chosen.keys()];
  const members = new Map<number, number[]>();
  groups.forEach((group, pair) => {
    if (!members.has(group)) members.set(group, []);
    members.get(group)!.push(pair);
  });
  for (let time = 0; time < times; time++) {
    for (const pairs of members.values()) {
      if (pairs.length < 2) continue;
      random.shuffle(pairs);
      pairs.forEach((pair, at) => {
        const other = pairs[(at + 1) % pairs.length]!;
        if (data.chosen[pair] === data.rejected[other]) return;
        chosen.push(data.chosen[pair]!);
        rejected.push(data.rejected[other]!);
        source.push(pair);
      });
    }
  }
  return {
    features,
    dimension,
    chosen: Int32Array.from(chosen),
    rejected: Int32Array.from(rejected),
    source: Int32Array.from(source),
  };
}

/** R(chosen) - R(rejected) of each pair, from the rewards of the texts. */
export function gapsOf(data: PairFeatures, rewards: Float32Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(
    data.chosen,
    (row, pair) => rewards[row]! - rewards[data.rejected[pair]!]!,
  );
}
