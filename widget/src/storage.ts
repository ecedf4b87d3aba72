/** The conversation in this tab's sessionStorage, bounded; a missing or broken one is an empty one. */

import { empty, fresh, isRunning, type Conversation, type Exchange } from "./conversation.ts";

const MAX_STORED = 300_000;

export interface Remembered {
  conversation: Conversation;
  open: boolean;
  draft: string;
}

export class ConversationStorage {
  readonly #key: string;

  constructor(server: string) {
    this.#key = `askthebook:1:${server}`;
  }

  load(): Remembered {
    try {
      return revive(JSON.parse(sessionStorage.getItem(this.#key) ?? "null"));
    } catch {
      return revive(null);
    }
  }

  /** Storage may be full or forbidden; the conversation then lives as long as the page. */
  save(remembered: Remembered): void {
    try {
      const nothing = !remembered.conversation.exchanges.length && !remembered.open && !remembered.draft;
      if (nothing) sessionStorage.removeItem(this.#key);
      else sessionStorage.setItem(this.#key, serialize(remembered));
    } catch {
      return;
    }
  }
}

/** JSON of at most 300,000 characters: the oldest exchanges are forgotten first. */
export function serialize({ conversation, open, draft }: Remembered): string {
  let { exchanges } = conversation;
  for (;;) {
    const json = JSON.stringify({ conversation: { ...conversation, exchanges }, open, draft });
    if (json.length <= MAX_STORED || !exchanges.length) return json;
    exchanges = exchanges.slice(1);
  }
}

/** An answer that was still arriving when the page went away counts as stopped. */
export function revive(value: unknown): Remembered {
  const { conversation, open = false, draft = "" } = (value ?? {}) as Partial<Remembered>;
  const { sessionId, exchanges } = conversation ?? empty();
  const settled = exchanges.map((past): Exchange => ({
    ...fresh(past, past.id, 1),
    ...past,
    phase: isRunning(past) ? "stopped" : past.phase,
  }));
  return { conversation: { sessionId, exchanges: settled }, open, draft };
}
