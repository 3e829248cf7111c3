/** Dialogues as texts: TRL's chat messages and the turns of HH-RLHF. */

/** One turn of a conversation. */
export interface Message {
  /** Who speaks: "user", "assistant", "system". */
  role: string;
  /** What is said. */
  content: string;
}

/** A single turn is its content; several are written as `role: content`, a blank line between. */
export function render(side: string | readonly Message[]): string {
  if (typeof side === "string") return side;
  if (side.length === 1) return side[0]!.content;
  return side.map(({ role, content }) => `${role}: ${content}`).join("\n\n");
}

/** How many messages both sides begin with; at least the last one of each is left to it. */
export function sharedMessages(a: readonly Message[], b: readonly Message[]): number {
  const longest = Math.min(a.length, b.length) - 1;
  let shared = 0;
  while (
    shared < longest && a[shared]!.role === b[shared]!.role &&
    a[shared]!.content === b[shared]!.content
  ) shared++;
  return Math.max(0, shared);
}

/** The marker after which the model speaks in Anthropic's HH-RLHF. */
const ASSISTANT = "\n\nAssistant:";

/**
 * Takes the dialogue that both sides begin with as the prompt, where they are HH-RLHF dialogues:
 * everything up to the last "Assistant:" before they part. Other texts stand for themselves.
 */
export function readDialogue(
  chosen: string,
  rejected: string,
): { prompt: string; chosen: string; rejected: string } {
  if (chosen.includes(ASSISTANT) && rejected.includes(ASSISTANT)) {
    const longest = Math.min(chosen.length, rejected.length);
    let shared = 0;
    while (shared < longest && chosen.charCodeAt(shared) === rejected.charCodeAt(shared)) shared++;
    const at = chosen.slice(0, shared).lastIndexOf(ASSISTANT);
    if (at >= 0) {
      const end = at + ASSISTANT.length;
      return {
        prompt: chosen.slice(0, end).trim(),
        chosen: chosen.slice(end).trim(),
        rejected: rejected.slice(end).trim(),
      };
    }
  }
  return { prompt: "", chosen, rejected };
}
