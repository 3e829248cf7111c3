/** The command table of fairl: every command is a thin call into a room. */
import { Command, CommanderError, Option } from "commander";
import { withEncodingFlags } from "./cli/options.ts";
import { note, print, report } from "./cli/terminal.ts";

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
    .option("--seed <number>", "draws of the bootstrap", "0")
    .action(async (a, b, flags) => (await import("./cli/starc.ts")).starcCommand(a, b, flags));

  command(
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
