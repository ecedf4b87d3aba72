/** Every word the widget says by itself. Each can be replaced by the page. */

export const english = {
  title: "Ask the book",
  open: "Ask the book",
  close: "Close",
  newConversation: "New conversation",
  greeting: "Ask a question about this book. Answers link to the pages they come from.",
  tryAsking: "Try asking",
  onThisPage: "On this page",
  suggestPage: "What is “{title}” about?",
  suggestHeading: "Explain “{heading}”",
  placeholder: "Ask a question…",
  questionLabel: "Your question",
  send: "Send",
  stop: "Stop",
  askSelection: "Ask about this",
  selectionLabel: "About the selected text",
  removeSelection: "Remove the selected text",
  youAsked: "You asked",
  asking: "Asking…",
  searching: "Searching the book…",
  answering: "Reading…",
  sources: "Sources",
  nearest: "Nearest sections",
  source: "Source {n}: {title}",
  copy: "Copy",
  copied: "Copied",
  helpful: "Helpful",
  notHelpful: "Not helpful",
  thanks: "Thank you for the feedback.",
  retry: "Try again",
  retryIn: "Try again in {seconds} s",
  stopped: "Stopped.",
  answerReady: "Answer:",
  disclaimer: "Answers can be wrong. Check the sources.",
  "error.offline": "You are offline. The question waits until you are back.",
  "error.unreachable": "The assistant cannot be reached from this page. It may be starting up.",
  "error.waking": "The assistant is waking up. This can take a minute.",
  "error.cut": "The answer was cut off.",
  "error.garbled": "The answer could not be read.",
  "error.rate_limited": "Too many questions in a short time.",
  "error.refused": "The assistant did not accept the question.",
  "error.internal": "Something went wrong.",
};

export type StringKey = keyof typeof english;
/** The known keys, and `error.<code>` or `notice.<code>` for codes of the server. */
export type Strings = typeof english & Record<string, string>;

/** A template with its {placeholders} filled in. */
export const fill = (template: string, values: Record<string, string | number>): string =>
  template.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));

/** Words for a problem: the page's own for its code, else the server's sentence, else ours. */
export function sayProblem(strings: Strings, kind: "error" | "notice", code: string, message: string): string {
  return strings[`${kind}.${code}`] || message || strings["error.internal"];
}
