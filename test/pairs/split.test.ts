/** The algebra of splits and sets. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { FairlError } from "../../src/base/mod.ts";
import {
  componentsOf,
  pairSet,
  type PreferencePair,
  splitPairs,
  textsOf,
} from "../../src/pairs/mod.ts";

/** Pairs over few prompts and texts, so that they share a lot. */
const pairsOf = (texts: number) =>
  fc.array(
    fc.record({
      prompt: fc.oneof(fc.constant(""), fc.nat(texts).map((at) => `p${at}`)),
      chosen: fc.nat(texts).map((at) => `t${at}`),
      rejected: fc.nat(texts).map((at) => `t${at}`),
    }),
    { minLength: 1, maxLength: 60 },
  );

const tokensOf = (pair: PreferencePair) => [
  `text ${pair.chosen}`,
  `text ${pair.rejected}`,
  ...(pair.prompt === "" ? [] : [`prompt ${pair.prompt}`]),
];

Deno.test("no text and no prompt stands in two parts, and every pair in one", () => {
  fc.assert(fc.property(pairsOf(200), fc.nat(1000), (pairs, seed) => {
    let split;
    try {
      split = splitPairs(pairs, { seed });
    } catch (error) {
      assert(error instanceof FairlError && error.code === "pairs.cannot-split");
      return;
    }
    const { train, validation, test } = split;
    const all = [...train, ...validation, ...test].sort((a, b) => a - b);
    assertEquals(all, pairs.map((_, at) => at));
    const [a, b, c] = [train, validation, test].map((part) =>
      new Set([...part].flatMap((at) => tokensOf(pairs[at]!)))
    );
    assert(a!.isDisjointFrom(b!) && a!.isDisjointFrom(c!) && b!.isDisjointFrom(c!));
  }));
});

Deno.test("components are those of a search that walks from pair to pair", () => {
  fc.assert(fc.property(pairsOf(30), (pairs) => {
    const { of, sizes } = componentsOf(pairs);
    assertEquals(sizes.reduce((sum, size) => sum + size, 0), pairs.length);
    for (let start = 0; start < pairs.length; start++) {
      const reached = new Set([start]);
      for (const at of reached) {
        const tokens = new Set(tokensOf(pairs[at]!));
        pairs.forEach((pair, other) => {
          if (tokensOf(pair).some((token) => tokens.has(token))) reached.add(other);
        });
      }
      assertEquals(
        [...reached].sort((a, b) => a - b),
        pairs.map((_, at) => at).filter((at) => of[at] === of[start]),
      );
    }
  }));
});

const separate = Array.from({ length: 1000 }, (_, at) => ({
  prompt: `p${at >> 1}`,
  chosen: `a${at}`,
  rejected: `b${at}`,
}));

Deno.test("the shares are met where components are small, and the seed decides who goes where", () => {
  const [one, again, other] = [1, 1, 2].map((seed) =>
    splitPairs(separate, { seed, validation: 0.15, test: 0.25 })
  );
  assertEquals(
    [one!.train.length, one!.validation.length, one!.test.length],
    [600, 150, 250],
  );
  assertEquals(one, again);
  assert(one!.test.join() !== other!.test.join());
});

Deno.test("pairs that are all connected cannot be split, and the error says so", () => {
  const chain = Array.from({ length: 100 }, (_, at) => ({
    prompt: "",
    chosen: `t${at}`,
    rejected: `t${at + 1}`,
  }));
  const error = assertThrows(() => splitPairs(chain, { seed: 0 }), FairlError) as FairlError;
  assertEquals(error.code, "pairs.cannot-split");
});

Deno.test("textsOf() gives each distinct text one row, from which the pairs can be rebuilt", () => {
  fc.assert(fc.property(pairsOf(30), (pairs) => {
    const { texts, chosen, rejected } = textsOf(pairs);
    assertEquals(new Set(texts).size, texts.length);
    pairs.forEach((pair, at) => {
      assertEquals(texts[chosen[at]!], pair.chosen);
      assertEquals(texts[rejected[at]!], pair.rejected);
    });
  }));
});

const pair = (chosen: string, rejected: string, prompt = "") => ({ prompt, chosen, rejected });

Deno.test("empty, equal and repeated pairs are left out and counted, conflicts stay", () => {
  const pairs = [
    pair("a", "b"),
    pair("a", "b"),
    pair("a", "b", "another prompt"),
    pair("b", "a"),
    pair(" ", "a"),
    pair("a", "a"),
  ];
  const set = pairSet("test", pairs);
  assertEquals(set.pairs, [pairs[0]!, pairs[2]!, pairs[3]!]);
  assertEquals(set.counts, {
    read: 6,
    kept: 3,
    problems: {},
    duplicates: 1,
    equalTexts: 1,
    emptyTexts: 1,
    conflicts: 1,
    texts: 2,
    prompts: 1,
  });
  const all = pairSet("test", pairs, { keepDuplicates: true });
  assertEquals([all.counts.kept, all.counts.duplicates], [4, 1]);
});

Deno.test("counts by hash are those of sets of strings", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(300), fc.nat(300)), { minLength: 3000, maxLength: 4000 }),
      (draws) => {
        const pairs = [...draws.map(([a, b]) => pair(`text ${a}`, `text ${b}`)), pair("x", "y")];
        const { counts } = pairSet("test", pairs);
        const valid = pairs.filter(({ chosen, rejected }) => chosen !== rejected);
        const distinct = new Set(valid.map(({ chosen, rejected }) => `${chosen}>${rejected}`));
        assertEquals(counts.kept, distinct.size);
        assertEquals(counts.duplicates, valid.length - distinct.size);
        assertEquals(
          counts.texts,
          new Set(valid.flatMap(({ chosen, rejected }) => [chosen, rejected])).size,
        );
      },
    ),
    { numRuns: 10 },
  );
});

Deno.test("the content hash depends on every field and on the order, not on what is left out", () => {
  const base = [pair("a", "b"), pair("c", "d")];
  const hash = (pairs: PreferencePair[]) => pairSet("test", pairs).contentHash;
  assertEquals(hash(base), hash([...base, pair("e", "e")]));
  const others = [
    [...base].reverse(),
    [base[0]!, pair("c", "d", "p")],
    [base[0]!, { ...base[1]!, label: "T->NT" as const }],
    [base[0]!, { ...base[1]!, group: "g" }],
    [base[0]!, { ...base[1]!, chosenReference: 1 }],
    [base[0]!, { ...base[1]!, rejectedReference: 1 }],
  ];
  assertEquals(new Set([base, ...others].map(hash)).size, 1 + others.length);
});
