/** One question to the server: the request, its stream, and everything that can interrupt it. */

import { ChatProblem, ours, refusal, unreached } from "./problems.ts";
import { EventStreamParser } from "./sse.ts";
import { readEvent, type ChatEvent, type ChatRequest } from "./wire.ts";

// The server writes something at least every 15 seconds; a waking one may hold the request for long.
const SILENCE_MS = 45_000;
const FIRST_BYTE_MS = 120_000;

/** Aborts when nothing has happened for a while, and remembers that it was the one who did. */
class Watchdog {
  readonly controller = new AbortController();
  barked = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  expect(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.barked = true;
      this.controller.abort();
    }, milliseconds);
  }

  rest(): void {
    clearTimeout(this.#timer);
    this.controller.abort();
  }
}

/**
 * Streams the events of one answer; the last is `done` or `error`.
 * @throws ChatProblem for every other ending, an AbortError when `signal` is aborted.
 */
export async function* chat(
  server: string,
  request: ChatRequest,
  signal: AbortSignal,
): AsyncGenerator<ChatEvent, void> {
  const watchdog = new Watchdog();
  const leave = (): void => watchdog.rest();
  signal.throwIfAborted();
  signal.addEventListener("abort", leave);
  try {
    watchdog.expect(FIRST_BYTE_MS);
    const response = await open(server, request, watchdog, signal);
    yield* events(response, watchdog, signal);
  } finally {
    signal.removeEventListener("abort", leave);
    watchdog.rest();
  }
}

async function open(
  server: string,
  request: ChatRequest,
  watchdog: Watchdog,
  signal: AbortSignal,
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`${server}/chat`, {
      method: "POST",
      mode: "cors",
      credentials: "omit",
      cache: "no-store",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body: JSON.stringify(request),
      signal: watchdog.controller.signal,
    });
  } catch {
    signal.throwIfAborted();
    throw new ChatProblem(watchdog.barked ? ours("waking", 1) : unreached(navigator.onLine));
  }
  const kind = response.headers.get("content-type") ?? "";
  if (response.ok && kind.startsWith("text/event-stream") && response.body) return response;
  const body = await response.text().catch(() => "");
  signal.throwIfAborted();
  throw new ChatProblem(refusal(response.status, body, response.headers.get("retry-after")));
}

async function* events(
  response: Response,
  watchdog: Watchdog,
  signal: AbortSignal,
): AsyncGenerator<ChatEvent, void> {
  const parser = new EventStreamParser();
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  for (;;) {
    watchdog.expect(SILENCE_MS);
    const piece = await reader.read().catch(() => undefined);
    signal.throwIfAborted();
    if (!piece || piece.done) throw new ChatProblem(ours("cut"));
    for (const event of decode(parser, piece.value)) {
      yield event;
      if (event.type === "done" || event.type === "error") return;
    }
  }
}

function decode(parser: EventStreamParser, bytes: Uint8Array): ChatEvent[] {
  try {
    return parser
      .feed(bytes)
      .map(({ data }) => readEvent(data))
      .filter((event) => event !== undefined);
  } catch {
    throw new ChatProblem(ours("garbled"));
  }
}

/** Tells the server what the reader thought of an answer; false when it does not want to know. */
export async function sendFeedback(server: string, feedback: Record<string, string>): Promise<boolean> {
  try {
    const response = await fetch(`${server}/feedback`, {
      method: "POST",
      mode: "cors",
      credentials: "omit",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(feedback),
      keepalive: true,
    });
    return response.status !== 404 && response.status !== 405;
  } catch {
    return true;
  }
}
