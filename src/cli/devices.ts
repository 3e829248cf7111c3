/** `fairl devices`: what this machine has, which device `auto` takes, and why. */
import Table from "cli-table3";
import { autoChoice, listDevices } from "../runtime/mod.ts";
import { print } from "./terminal.ts";

/** Runs the command. */
export async function devices({ json }: { json?: boolean }): Promise<void> {
  const found = await listDevices();
  const { device, why } = autoChoice(found);
  if (json) return print(JSON.stringify({ devices: found, auto: { device, why } }));
  const table = new Table({ head: ["device", "there", "what"], style: { head: [], border: [] } });
  for (const info of found) {
    table.push([info.device, info.available ? "yes" : "no", info.detail]);
  }
  print(table.toString());
  print(`auto takes ${device}: ${why}`);
}
