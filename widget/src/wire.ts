/** What POST /chat says and hears. Everything from outside is checked here, once. */

export interface Source {
  n: number;
  title: string;
  url: string;
  breadcrumbs: string[];
}

export interface PageReference {
  url: string;
  title: string;
}

export interface Turn {
  role: "user" | "assistant";
  content: string;
}

export interface ChatRequest {
  question: string;
  session_id?: string;
  history?: Turn[];
  selection?: string;
  page?: PageReference;
}

export type ChatEvent =
  | { type: "start"; sessionId: string; messageId: string }
  | { type: "status" }
  | { type: "sources"; sources: Source[] }
  | { type: "chunk"; content: string }
  | { type: "citation"; n: number }
  | { type: "notice"; code: string; message: string }
  | { type: "done"; sessionId: string; messageId: string; answered: boolean; citations: number[]; answer: string }
  | { type: "error"; code: string; message: string; retryable: boolean; retryAfter: number };

export type Fields = Record<string, unknown>;

export const text = (value: unknown): string => (typeof value === "string" ? value : "");
export const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
export const fields = (value: unknown): Fields =>
  typeof value === "object" && value !== null ? (value as Fields) : {};

/** A whole number from 0 to an hour of seconds; anything else is 0. */
export function seconds(value: unknown): number {
  const number = Number(value);
  return Number.isFinite(number) && number > 0 ? Math.min(Math.ceil(number), 3600) : 0;
}

export function readSource(value: unknown): Source | undefined {
  const source = fields(value);
  if (!Number.isInteger(source.n)) return undefined;
  return {
    n: source.n as number,
    title: text(source.title),
    url: text(source.url),
    breadcrumbs: list(source.breadcrumbs).map(text).filter(Boolean),
  };
}

export const readSources = (value: unknown): Source[] =>
  list(value)
    .slice(0, 50)
    .map(readSource)
    .filter((source) => source !== undefined);

/** What a JSON text says; undefined when it is not one. */
export function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

export const readNumbers = (value: unknown): number[] =>
  list(value).filter((number): number is number => Number.isInteger(number));

export function readError(value: unknown): Extract<ChatEvent, { type: "error" }> {
  const error = fields(value);
  return {
    type: "error",
    code: text(error.code),
    message: text(error.message) || text(error.error),
    retryable: error.retryable !== false,
    retryAfter: seconds(error.retry_after),
  };
}

/**
 * One event of the stream, or undefined for a kind this widget does not know.
 * @throws SyntaxError when the data is not JSON.
 */
export function readEvent(data: string): ChatEvent | undefined {
  const event = fields(JSON.parse(data));
  const ids = { sessionId: text(event.session_id), messageId: text(event.message_id) };
  switch (event.type) {
    case "start":
      return { type: "start", ...ids };
    case "status":
      return { type: "status" };
    case "sources":
      return { type: "sources", sources: readSources(event.sources) };
    case "chunk":
      return { type: "chunk", content: text(event.content) };
    case "citation":
      return { type: "citation", n: Number(fields(event.citation).n) };
    case "notice":
      return { type: "notice", code: text(event.code), message: text(event.message) };
    case "done":
      return {
        type: "done",
        ...ids,
        answered: event.answered !== false,
        citations: readNumbers(event.citations),
        answer: text(event.answer),
      };
    case "error":
      return readError(event);
    default:
      return undefined;
  }
}
