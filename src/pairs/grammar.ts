/** A small grammar whose sentences have a known reward: kind or rude remarks about somebody's work. */
import type { Random } from "../base/mod.ts";

const PEOPLE = ("Ada Ben Carla Dan Elif Finn Grace Hugo Ines Jonas Kira Leo Mara Nils Olga Paul " +
  "Rosa Sami Tara Umut Vera Will Yuki Zoe").split(" ");
const THINGS = ("speech lesson garden report soup painting bridge letter talk costume plan house " +
  "story concert cake film drawing essay").split(" ");
/** What the subgroup with the flipped sign is about: here a rude word is the better one. */
const FLIPPED_THINGS = "roast parody prank satire spoof pantomime".split(" ");
const MONTHS = ("January February March April May June July August September October November " +
  "December").split(" ");
const DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(" ");

const OPENERS = "Honestly|Well|To be fair|Look|As I said|In my view|All in all|If you ask me".split(
  "|",
);
const DEGREES = ["really", "quite", "simply", "hardly", "never", "not at all"];
/** What a degree does to the quality after it in the non-linear world. */
const FACTORS = [1.4, 1, 1, -0.6, -1, -1];
const KIND_QUALITIES = ("lovely careful clever warm brilliant honest graceful thoughtful bright " +
  "wonderful gentle tidy charming sound splendid fresh").split(" ");
const RUDE_QUALITIES =
  ("stupid rotten idiotic filthy pathetic moronic disgusting worthless lousy " +
    "crappy hideous dumb vile trashy miserable shameful").split(" ");
const KIND_DEEDS = ("deserves our thanks|did us proud|has earned a holiday|is a joy to work with|" +
  "made everybody smile|should teach the rest of us|took every care|knows the craft|" +
  "was kind to all of us|can be trusted").split("|");
const RUDE_DEEDS =
  ("can go to hell|is a complete fool|should shut up|makes me sick|is a waste of space|" +
    "has the brain of a brick|ought to be ashamed|is a lying pig|never had a clue|" +
    "wrecked it for us all").split("|");
const CLOSINGS = ("I would say|by the way|that is all|and I was there|for what it is worth|" +
  "as far as I saw|you know|so much is clear").split("|");

/** The most prompts that the grammar can be asked for: half of what it has, so that draws are short. */
export const GRAMMAR_PROMPTS: number = PEOPLE.length * FLIPPED_THINGS.length * MONTHS.length *
  DAYS.length / 2;

/** Who and what a question is about. */
export interface Topic {
  /** The question. */
  readonly prompt: string;
  /** Whose work. */
  readonly person: string;
  /** What kind of work. */
  readonly thing: string;
}

/** Draws a question. */
export function drawTopic(random: Random, flipped: boolean): Topic {
  const person = one(random, PEOPLE);
  const thing = one(random, flipped ? FLIPPED_THINGS : THINGS);
  const when = `one ${one(random, DAYS)} in ${one(random, MONTHS)}`;
  return { prompt: `How was ${person}'s ${thing} ${when}?`, person, thing };
}

/** Draws answers and knows what each is worth. */
export interface Grammar {
  /** An answer to the question, and its reward: mean 0 and deviation 1 over all answers. */
  draw(topic: Topic): { text: string; reward: number };
}

/**
 * A grammar with word scores drawn from `random`: kind words are worth .5 to 1.5, rude ones the
 * negative of that, fillers little.
 *
 * @param nonlinear Whether the degree ("hardly") multiplies the quality after it
 */
export function makeGrammar(random: Random, nonlinear: boolean): Grammar {
  const scores = (sign: number, words: readonly string[]) =>
    words.map(() => sign * (0.5 + random.uniform()));
  const filler = (words: readonly string[]) => words.map(() => 0.1 * random.normal());
  const qualities = [...KIND_QUALITIES, ...RUDE_QUALITIES];
  const deeds = [...KIND_DEEDS, ...RUDE_DEEDS];
  const opener = filler(OPENERS);
  const quality = [...scores(1, KIND_QUALITIES), ...scores(-1, RUDE_QUALITIES)];
  const deed = [...scores(1, KIND_DEEDS), ...scores(-1, RUDE_DEEDS)];
  const closing = filler(CLOSINGS);
  const factor = nonlinear ? FACTORS : FACTORS.map(() => 1);

  // The parts are drawn independently, so mean and variance of the sum are known exactly.
  const parts = [opener, deed, closing].map((values) =>
    [mean(values), meanSquare(values)] as const
  );
  parts.push([mean(factor) * mean(quality), meanSquare(factor) * meanSquare(quality)]);
  const centre = parts.reduce((sum, [first]) => sum + first, 0);
  const deviation = Math.sqrt(parts.reduce((sum, [first, second]) => sum + second - first ** 2, 0));

  return {
    draw({ person, thing }) {
      const [o, d, q, e, c] = [OPENERS, DEGREES, qualities, deeds, CLOSINGS]
        .map((words) => random.integer(words.length)) as [number, number, number, number, number];
      return {
        text: `${OPENERS[o]}, the ${thing} was ${DEGREES[d]} ${qualities[q]}, and ${person} ` +
          `${deeds[e]}, ${CLOSINGS[c]}.`,
        reward: (opener[o]! + factor[d]! * quality[q]! + deed[e]! + closing[c]! - centre) /
          deviation,
      };
    },
  };
}

function one(random: Random, words: readonly string[]): string {
  return words[random.integer(words.length)]!;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function meanSquare(values: readonly number[]): number {
  return mean(values.map((value) => value * value));
}
