/** The running conversation: asks, listens, stops, asks again; tells one listener of every change. */

import { chat } from "./client.ts";
import { amend, ask, askAgain, empty, fail, hear, isRunning, requestFor } from "./conversation.ts";
import type { Conversation, Exchange, Question, Rating } from "./conversation.ts";
import { asksAgain, ChatProblem, ours, type Problem } from "./problems.ts";

export class Dialogue {
  #state: Conversation;
  #running: AbortController | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;
  readonly #server: string;
  readonly #changed: () => void;

  constructor(server: string, state: Conversation, changed: () => void) {
    this.#server = server;
    this.#state = state;
    this.#changed = changed;
  }

  get state(): Conversation {
    return this.#state;
  }

  get last(): Exchange | undefined {
    return this.#state.exchanges.at(-1);
  }

  get busy(): boolean {
    return this.last !== undefined && isRunning(this.last);
  }

  ask(question: Question): void {
    this.stop();
    this.#become(ask(this.#state, question));
    void this.#run();
  }

  /** Only the newest question can be asked again. */
  retry(): void {
    if (!this.last) return;
    this.stop();
    this.#become(askAgain(this.#state, this.last));
    void this.#run();
  }

  /** Aborts the request and any waiting to ask again; what has been said stays. */
  stop(): void {
    clearTimeout(this.#again);
    this.#running?.abort();
    if (this.last && isRunning(this.last)) this.#become(amend(this.#state, this.last.id, { phase: "stopped" }));
  }

  clear(): void {
    this.stop();
    this.#become(empty());
  }

  rate(id: number, rating: Rating | null): void {
    this.#become(amend(this.#state, id, { rating }));
  }

  /** The network is back: a question that failed for want of it is asked again. */
  online(): void {
    if (this.last?.problem?.code === "offline") this.retry();
  }

  #become(state: Conversation): void {
    this.#state = state;
    this.#changed();
  }

  async #run(): Promise<void> {
    const exchange = this.last as Exchange;
    const { signal } = (this.#running = new AbortController());
    try {
      for await (const event of chat(this.#server, requestFor(this.#state, exchange), signal)) {
        if (signal.aborted) return;
        if (event.type === "error") throw new ChatProblem(event);
        this.#become(hear(this.#state, exchange.id, event));
      }
    } catch (error) {
      if (signal.aborted) return;
      this.#fail(exchange, error instanceof ChatProblem ? error.problem : ours("garbled"));
    }
  }

  #fail({ id, attempts }: Exchange, problem: Problem): void {
    this.#become(fail(this.#state, id, problem, Date.now()));
    if (asksAgain(problem, attempts)) this.#again = setTimeout(() => this.retry(), problem.retryAfter * 1000);
  }
}
