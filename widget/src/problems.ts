/** What can go wrong on the way to an answer, and how long to wait before asking again. */

import { fields, parseJson, readError, seconds } from "./wire.ts";

export interface Problem {
  /** A code of the server, or one of ours: offline, unreachable, waking, cut, garbled. */
  code: string;
  /** The server's own sentence; shown when the widget has no words for the code. */
  message: string;
  retryable: boolean;
  /** Seconds from now; 0 when nothing has to be waited for. */
  retryAfter: number;
}

export class ChatProblem extends Error {
  constructor(readonly problem: Problem) {
    super(problem.code);
  }
}

const WAKING_SECONDS = 10;

export function ours(code: string, retryAfter = 0): Problem {
  return { code, message: "", retryable: true, retryAfter };
}

/** A server that is starting often cannot be told from one that is gone: its proxy allows no origin. */
export const unreached = (online: boolean): Problem => (online ? ours("unreachable", WAKING_SECONDS) : ours("offline"));

/** The problem of an answer that is not a stream: a refusal of ours, or a proxy's page. */
export function refusal(status: number, body: string, retryAfterHeader: string | null): Problem {
  const wait = seconds(retryAfterHeader);
  const parsed = fields(parseJson(body));
  if (typeof parsed.code === "string" && parsed.code) {
    const problem = readError(parsed);
    return { ...problem, retryAfter: problem.retryAfter || wait };
  }
  if (status === 429) return ours("rate_limited", wait || WAKING_SECONDS);
  if (status === 200 || (status >= 502 && status <= 504)) return ours("waking", wait || WAKING_SECONDS);
  return { ...ours("refused"), retryable: status >= 500 };
}

const AUTOMATIC: Record<string, number> = { waking: 12, unreachable: 4 };

/** Whether the widget asks again by itself once the wait is over: only where nobody has read the question yet. */
export const asksAgain = ({ code }: Problem, attempts: number): boolean => attempts < (AUTOMATIC[code] ?? 0);
