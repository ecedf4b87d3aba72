/** The conversation as plain data, and the pure functions that change it. */

import type { Problem } from "./problems.ts";
import type { ChatEvent, ChatRequest, PageReference, Source, Turn } from "./wire.ts";

export type Phase = "asking" | "searching" | "answering" | "done" | "stopped" | "failed";
export type Rating = "up" | "down";

export interface Notice {
  code: string;
  message: string;
}

export interface Exchange {
  id: number;
  question: string;
  selection: string;
  page: PageReference | null;
  phase: Phase;
  /** The text as it was streamed, or as `done` gave it. */
  answer: string;
  answered: boolean;
  sources: Source[];
  cited: number[];
  notices: Notice[];
  messageId: string;
  rating: Rating | null;
  problem: Problem | null;
  /** When the question may be asked again, in milliseconds since the epoch. */
  retryAt: number;
  attempts: number;
}

export interface Conversation {
  sessionId: string;
  exchanges: Exchange[];
}

export interface Question {
  question: string;
  selection: string;
  page: PageReference | null;
}

export const MAX_EXCHANGES = 20;
export const MAX_QUESTION = 2000;
export const MAX_SELECTION = 4000;
const MAX_ANSWER = 200_000;
const MAX_NOTICES = 5;
// Together with a question and a selection, at three bytes a character, below the 64 KiB of a request.
const REMEMBERED_EXCHANGES = 3;
const REMEMBERED_CHARACTERS = 1500;

export const empty = (): Conversation => ({ sessionId: "", exchanges: [] });

export const isRunning = (exchange: Exchange): boolean =>
  exchange.phase === "asking" || exchange.phase === "searching" || exchange.phase === "answering";

/** At most `max` UTF-16 units, never ending in half a character. */
export function clip(text: string, max: number): string {
  const clipped = text.slice(0, max);
  return clipped.length < text.length ? clipped.replace(/[\uD800-\uDBFF]$/, "") : clipped;
}

export function fresh({ question, selection, page }: Question, id: number, attempts: number): Exchange {
  return {
    id,
    question,
    selection,
    page,
    phase: "asking",
    answer: "",
    answered: true,
    sources: [],
    cited: [],
    notices: [],
    messageId: "",
    rating: null,
    problem: null,
    retryAt: 0,
    attempts,
  };
}

/** The conversation with one more question; the oldest are forgotten. */
export function ask({ sessionId, exchanges }: Conversation, question: Question): Conversation {
  const asked = fresh(question, (exchanges.at(-1)?.id ?? 0) + 1, 1);
  return { sessionId, exchanges: [...exchanges, asked].slice(-MAX_EXCHANGES) };
}

/** The same question once more, in place of its last answer. */
export const askAgain = (state: Conversation, past: Exchange): Conversation =>
  amend(state, past.id, fresh(past, past.id, past.attempts + 1));

export function amend({ sessionId, exchanges }: Conversation, id: number, changes: Partial<Exchange>): Conversation {
  return {
    sessionId,
    exchanges: exchanges.map((exchange) => (exchange.id === id ? { ...exchange, ...changes } : exchange)),
  };
}

export const fail = (state: Conversation, id: number, problem: Problem, now: number): Conversation =>
  amend(state, id, { phase: "failed", problem, retryAt: now + problem.retryAfter * 1000 });

/** What an event of the stream changes. Events for an answer that is no longer awaited change nothing. */
export function hear(state: Conversation, id: number, event: ChatEvent): Conversation {
  const exchange = state.exchanges.find((candidate) => candidate.id === id);
  if (!exchange || !isRunning(exchange)) return state;
  const heard = amend(state, id, changesOf(exchange, event));
  const sessionId = (event.type === "start" || event.type === "done") && event.sessionId;
  return sessionId ? { ...heard, sessionId } : heard;
}

function changesOf({ answer, cited, notices, messageId }: Exchange, event: ChatEvent): Partial<Exchange> {
  switch (event.type) {
    case "start":
      return { messageId: event.messageId };
    case "status":
      return { phase: answer ? "answering" : "searching" };
    case "sources":
      return { phase: "answering", sources: event.sources };
    case "chunk":
      return { phase: "answering", answer: clip(answer + event.content, MAX_ANSWER) };
    case "citation":
      return { cited: [...new Set([...cited, event.n])] };
    case "notice":
      return { notices: [...notices, event].slice(-MAX_NOTICES) };
    case "done":
      return {
        phase: "done",
        answer: clip(event.answer, MAX_ANSWER) || answer,
        answered: event.answered,
        cited: event.citations,
        messageId: event.messageId || messageId,
      };
    case "error":
      return {};
  }
}

/** The sources to list: those the answer cites, or what lies nearest when the book has no answer. */
export function listedSources(exchange: Exchange): Source[] {
  const cited = exchange.sources.filter(({ n }) => exchange.cited.includes(n));
  return cited.length || exchange.answered ? cited : exchange.sources.slice(0, 3);
}

/** The request for an exchange: its question, and what was said before it. */
export function requestFor(state: Conversation, exchange: Exchange): ChatRequest {
  const { question, selection, page } = exchange;
  const before = state.exchanges.filter(({ id, phase, answer }) => id < exchange.id && phase === "done" && answer);
  const history = before.slice(-REMEMBERED_EXCHANGES).flatMap((past): Turn[] => [
    { role: "user", content: past.question },
    { role: "assistant", content: clip(withoutDefinitions(past.answer), REMEMBERED_CHARACTERS) },
  ]);
  return {
    question,
    ...(state.sessionId && { session_id: state.sessionId }),
    ...(history.length && { history }),
    ...(selection && { selection }),
    ...(page && { page }),
  };
}

/** The answer without the link definitions at its end. */
export const withoutDefinitions = (answer: string): string =>
  answer.replace(/(?:\n+\[\d+\]:[^\n]*)+\s*$/, "").trim();
