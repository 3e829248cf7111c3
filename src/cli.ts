/** The command table of fairl: every command is a thin call into a room. */
import { Command, CommanderError, Option } from "commander";
import { withDevice, withEncodingFlags, withModels } from "./cli/options.ts";
import { note, print, report } from "./cli/terminal.ts";

/** What `--model` takes. */
const MODEL_NAMES = "comments-base, comments-aligned, a folder, a .gguf file or a hub name";

/** Builds the command table. Each command's code is loaded when the command is run. */
function commands(): Command {
  const fairl = new Command("fairl")
    .description("Finds the reward that alignment left behind in a language model.")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => print(text),
      writeErr: (text) => note(text.trimEnd().replace(/^error: /, "fairl: cli.usage: ")),
    })
    .showHelpAfterError("(--help shows the options and an example)");
  const command = (name: string, description: string, example: string) =>
    fairl.command(name).description(description).addHelpText("after", `\nExample:\n  ${example}`);

  const training = withEncodingFlags(
    command(
      "train",
      "extract the reward behind preference pairs: IRL, its control and FA-IRL, compared",
      "fairl train --pairs pairs.jsonl --out artefacts/mine",
    ),
  )
    .option(
      "--pairs <source>",
      "models (sampled from the two that ship), paradetox, davidson, mixture, synthetic or a file",
      "models",
    )
    .addOption(
      new Option("--objective <name>", "loss of a pair")
        .choices(["max-margin", "max-entropy", "asymmetric", "confidence"])
        .default("max-entropy"),
    )
    .addOption(
      new Option("--method <name>", "the reward that the artefact holds")
        .choices(["irl", "irl-tuned", "control", "fa-irl"])
        .default("fa-irl"),
    )
    .addOption(
      new Option("--head <form>", "form of the base path").choices(["linear", "mlp"])
        .default("linear"),
    )
    .option("--reference <reward>", "davidson, lexicon, column, none or an artefact")
    .option("--out <folder>", "where the artefact goes", "artefacts/reward")
    .option("--seed <number>", "order, initial weights and splits", "0")
    .addOption(
      new Option("--on-error <what>", "at a bad row").choices(["stop", "skip"]).default("stop"),
    )
    .option("--prompts <number>", "--pairs models: prompts that both continue twice", "1500")
    .option("--resume", "go on with a run that was stopped");
  for (
    const [flag, about] of [
      ["--world <reward>", "linear, nonlinear or noisy"],
      ["--world-inputs <kind>", "texts or features"],
      ["--world-prompts <number>", "how many prompts"],
      ["--world-noise <share>", "share of preferences the wrong way round"],
      ["--world-blind-spot <share>", "share of prompts where the reward's sign is flipped"],
    ] as const
  ) training.option(flag, `--pairs synthetic: ${about}`);
  training.action(async (flags) => (await import("./cli/train.ts")).train(flags));

  withEncodingFlags(
    command(
      "score <artefact> [file]",
      "reward, probability and quantile of texts (lines, JSONL, CSV or TSV; - is stdin)",
      'echo "have a nice day" | fairl score artefacts/reward',
    ),
  )
    .option("--column <name>", "the column that holds the text", "text")
    .action(async (artefact, file, flags) =>
      (await import("./cli/score.ts")).score(artefact, file, flags)
    );

  withEncodingFlags(
    command(
      "starc <a> <b>",
      "how far two rewards are from each other: STARC and EPIC with intervals",
      "fairl starc artefacts/reward lexicon --pairs paradetox",
    ),
  )
    .requiredOption("--pairs <source>", "the texts to compare on: a named source or a file")
    .option("--base <model>", "implicit: the model before alignment", "comments-base")
    .option("--aligned <model>", "implicit: the model after it", "comments-aligned")
    .option("--seed <number>", "draws of the bootstrap", "0")
    .action(async (a, b, flags) => (await import("./cli/starc.ts")).starcCommand(a, b, flags));

  const pairs = command(
    "pairs <source>",
    "what is in a set of pairs, its problems and its artefacts",
    "fairl pairs pairs.jsonl",
  )
    .addOption(
      new Option("--on-error <what>", "at a bad row").choices(["stop", "skip"]).default("skip"),
    )
    .option("--seed <number>", "which sample the baselines see", "0")
    .option("--json", "print one JSON document and nothing else")
    .action(async (source, flags) => (await import("./cli/pairs.ts")).pairs(source, flags));

  withModels(withDevice(
    pairs.command("make").description(
      "pairs out of two language models: the aligned one's text is chosen, the base's rejected",
    ).addHelpText("after", "\nExample:\n  fairl pairs make --out pairs.jsonl --seed 1"),
  ))
    .option("--prompts <file>", "lines, JSONL, CSV or TSV; default: those that ship")
    .option("--reference <reward>", "toxicity, lexicon, davidson, none or an artefact", "toxicity")
    .option("--out <file>", "where the pairs go", "pairs.jsonl")
    .option("--per-prompt <number>", "pairs of each prompt", "2")
    .option("--max-tokens <number>", "longest continuation", "18")
    .option("--temperature <number>", "of both models", "0.7")
    .option("--min-p <share>", "only tokens at least this part as likely as the likeliest", "0.05")
    .option("--seed <number>", "all draws", "0")
    .option("--resume", "go on with a run that was stopped")
    .action(async (flags) => (await import("./cli/pairs_make.ts")).makePairs(flags));

  withModels(withDevice(
    command(
      "implicit [file]",
      "what two models themselves say of texts: log p of the aligned over the base, in nats",
      "fairl implicit pairs.jsonl",
    ),
  ))
    .option("--column <name>", "the column that holds the text", "text")
    .action(async (file, flags) => (await import("./cli/implicit.ts")).implicit(file, flags));

  withDevice(
    command(
      "sample [prompt...]",
      "a language model continues prompts, one line of JSON for each text",
      'fairl sample "the movie was" --count 3',
    ),
  )
    .option(
      "--model <model>",
      MODEL_NAMES,
      "comments-base",
    )
    .option("--prompts <file>", "lines, JSONL, CSV or TSV; default: those that ship")
    .option("--count <number>", "texts for each prompt", "1")
    .option("--max-tokens <number>", "longest continuation", "18")
    .option("--temperature <number>", "0 takes the likeliest token", "0.7")
    .option("--top-k <number>", "only so many of the likeliest tokens")
    .option("--top-p <share>", "only the fewest tokens that reach this probability")
    .option("--min-p <share>", "only tokens at least this part as likely as the likeliest", "0.05")
    .option("--stop <text...>", "ends a text")
    .option("--seed <number>", "all draws", "0")
    .action(async (prompt, flags) => (await import("./cli/sample.ts")).sample(prompt, flags));

  withEncodingFlags(
    command(
      "rlhf",
      "align a language model with a reward, or with pairs, held near a frozen reference",
      "fairl rlhf --reward artefacts/reward --cap 0.5 --out aligned/again",
    ),
  )
    .option(
      "--model <model>",
      MODEL_NAMES,
      "comments-base",
    )
    .option(
      "--reward <reward>",
      "toxicity, lexicon, davidson, random[:SEED], an artefact, or the URL of a reward server",
      "toxicity",
    )
    .option("--judge <reward>", "what is watched: below 0 is toxic; none for none", "toxicity")
    .option("--pairs <source>", "dpo: preference pairs")
    .option("--prompts <file>", "lines, JSONL, CSV or TSV; default: those that ship")
    .addOption(
      new Option("--algo <name>", "how").choices(["rloo", "grpo", "ppo", "dpo"]).default("rloo"),
    )
    .option("--epochs <number>", "batches of prompts", "40")
    .option("--batch <number>", "prompts (dpo: pairs) in a batch", "32")
    .option("--group <number>", "continuations of a prompt", "4")
    .option("--micro-batch <texts>", "texts trained at a time: less memory, the same step")
    .option("--max-tokens <number>", "longest continuation", "18")
    .option("--temperature <number>", "of sampling", "0.7")
    .option("--learning-rate <number>", "step size; default: 6e-4, with --lora 2e-3")
    .option("--beta <number>", "coefficient of the KL to the reference", "0.03")
    .option("--target-kl <nats>", "KL a text that beta is steered to")
    .option("--cap <deviations>", "standardise the reward and pay for no more than this")
    .option("--lora <rank>", "train adapters of this rank instead of all weights")
    .option("--seed <number>", "prompts, draws and adapters", "0")
    .option("--out <folder>", "where the model goes", "artefacts/aligned")
    .option("--checkpoint-every <epochs>", "how often a checkpoint is kept", "10")
    .option("--resume", "go on with a run that was stopped")
    .action(async (flags) => (await import("./cli/rlhf.ts")).rlhf(flags));

  command("devices", "what this machine computes on, and which device auto takes", "fairl devices")
    .option("--json", "print one JSON document and nothing else")
    .action(async (flags) => (await import("./cli/devices.ts")).devices(flags));

  command(
    "fetch [names...]",
    "download data, encoders and runtimes ahead of time",
    "fairl fetch paradetox native",
  ).action(async (names) => (await import("./cli/fetch.ts")).fetchAll(names));

  return fairl;
}

/** Runs a command line and gives its exit status. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    await commands().parseAsync([...args], { from: "user" });
    return 0;
  } catch (thrown) {
    // commander has printed its line already; asking for help is no failure.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    return report(thrown);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
