/** How far two rewards are from each other: STARC and its neighbours, in bandits and finite MDPs. */
export {
  type BanditOptions,
  type Canonical,
  canonicalise,
  epic,
  epicInterval,
  type IntervalOptions,
  starc,
  type StarcInterval,
  starcInterval,
  type StarcOptions,
  starcStatistic,
} from "./bandit.ts";
export {
  actionValues,
  expectedReward,
  type Mdp,
  mdp,
  optimalPolicy,
  policyReturn,
  policyValues,
  regret,
  returnRange,
  uniformPolicy,
} from "./mdp.ts";
export {
  type Canonicalisation,
  dardCanonical,
  epicCanonical,
  mdpDard,
  mdpEpic,
  mdpStarc,
  type MdpStarcOptions,
  minimalCanonical,
  valCanonical,
} from "./mdp_distance.ts";
export { type Norm } from "./norm.ts";
export { type Interval } from "../metrics/mod.ts";
