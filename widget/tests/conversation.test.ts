import assert from "node:assert/strict";
import { test } from "node:test";
import {
  amend,
  ask,
  askAgain,
  clip,
  empty,
  fail,
  hear,
  listedSources,
  MAX_EXCHANGES,
  requestFor,
  withoutDefinitions,
  type Conversation,
  type Exchange,
} from "../src/conversation.ts";
import { ours } from "../src/problems.ts";
import { readEvent, type ChatEvent } from "../src/wire.ts";

const QUESTION = { question: "Why?", selection: "", page: null };

const event = (value: unknown): ChatEvent => readEvent(JSON.stringify(value)) as ChatEvent;

const STREAM = [
  { type: "start", v: 1, session_id: "session", message_id: "message" },
  { type: "status", stage: "retrieving" },
  { type: "sources", grounded: true, sources: [{ n: 1, title: "A", url: "/a" }, { n: 2, title: "B", url: "/b" }] },
  { type: "chunk", content: "Because " },
  { type: "chunk", content: "so [2]." },
  { type: "citation", citation: { n: 2 } },
  { type: "citation", citation: { n: 2 } },
  { type: "done", answered: true, citations: [2], answer: 'Because so [2].\n\n[2]: /b "B"', session_id: "session", message_id: "message" },
].map(event);

const last = (state: Conversation): Exchange => state.exchanges.at(-1) as Exchange;
const hearAll = (state: Conversation, events: ChatEvent[]): Conversation =>
  events.reduce((before, heard) => hear(before, last(before).id, heard), state);

test("an answer grows from asked to done", () => {
  const phases: string[] = [];
  let state = ask(empty(), QUESTION);
  for (const heard of STREAM) {
    state = hear(state, 1, heard);
    phases.push(`${last(state).phase}:${last(state).answer}`);
  }
  assert.deepEqual(phases, [
    "asking:",
    "searching:",
    "answering:",
    "answering:Because ",
    "answering:Because so [2].",
    "answering:Because so [2].",
    "answering:Because so [2].",
    'done:Because so [2].\n\n[2]: /b "B"',
  ]);
  assert.equal(state.sessionId, "session");
  assert.deepEqual(last(state).cited, [2]);
  assert.deepEqual(listedSources(last(state)).map(({ title }) => title), ["B"]);
});

test("the states before stay as they were", () => {
  const asked = ask(empty(), QUESTION);
  const copy = structuredClone(asked);
  hearAll(asked, STREAM);
  assert.deepEqual(asked, copy);
});

test("what arrives after the end, or after stopping, changes nothing", () => {
  const done = hearAll(ask(empty(), QUESTION), STREAM);
  assert.deepEqual(hear(done, 1, event({ type: "chunk", content: "late" })), done);
  const stopped = amend(ask(empty(), QUESTION), 1, { phase: "stopped" });
  assert.deepEqual(hearAll(stopped, STREAM), stopped);
  assert.deepEqual(hear(stopped, 99, STREAM[0] as ChatEvent), stopped);
});

test("a failed question is asked again in its place, with its selection, from nothing", () => {
  const selected = { question: "Why?", selection: "the text", page: { url: "https://book.example/", title: "Book" } };
  const failed = fail(hearAll(ask(empty(), selected), STREAM.slice(0, 4)), 1, ours("rate_limited", 7), 1000);
  assert.equal(last(failed).phase, "failed");
  assert.equal(last(failed).retryAt, 8000);
  assert.equal(last(failed).answer, "Because ");
  const again = last(askAgain(failed, last(failed)));
  assert.deepEqual(
    { id: again.id, phase: again.phase, answer: again.answer, problem: again.problem, attempts: again.attempts },
    { id: 1, phase: "asking", answer: "", problem: null, attempts: 2 },
  );
  assert.equal(again.selection, "the text");
  assert.deepEqual(again.page, selected.page);
});

test("a question the book does not answer lists the nearest sections", () => {
  const sources = [1, 2, 3, 4].map((n) => ({ n, title: `S${n}`, url: `/${n}` }));
  const events = [{ type: "sources", sources }, { type: "done", answered: false, citations: [], answer: "Not in the book." }];
  const state = hearAll(ask(empty(), QUESTION), events.map(event));
  assert.deepEqual(listedSources(last(state)).map(({ n }) => n), [1, 2, 3]);
});

test("the request carries the session, three finished exchanges, the selection and the page", () => {
  let state = empty();
  for (let number = 0; number < 5; number += 1) state = hearAll(ask(state, { ...QUESTION, question: `Q${number}` }), STREAM);
  state = amend(ask(state, QUESTION), 6, { phase: "stopped", answer: "half" });
  state = ask(state, { question: "And now?", selection: "chosen", page: { url: "https://book.example/p", title: "P" } });
  const request = requestFor(state, last(state));
  assert.equal(request.session_id, "session");
  assert.equal(request.selection, "chosen");
  assert.deepEqual(request.page, { url: "https://book.example/p", title: "P" });
  assert.deepEqual(request.history?.map(({ content }) => content), ["Q2", "Q3", "Q4"].flatMap((q) => [q, "Because so [2]."]));
});

test("a first request holds nothing but the question", () => {
  const state = ask(empty(), QUESTION);
  assert.deepEqual(requestFor(state, last(state)), { question: "Why?" });
});

test("the largest request stays below the server's 64 KiB", () => {
  const wide = "制".repeat(10_000);
  let state = empty();
  const question = { question: clip(wide, 2000), selection: clip(wide, 4000), page: { url: "x".repeat(2000), title: clip(wide, 300) } };
  for (let number = 0; number < 4; number += 1) {
    const done = event({ type: "done", answer: wide });
    state = hear(ask(state, question), number + 1, done);
  }
  state = ask(state, question);
  const body = JSON.stringify(requestFor(state, last(state)));
  assert.ok(new TextEncoder().encode(body).length < 64 * 1024);
});

test("the oldest exchanges are forgotten, and an answer has an end", () => {
  let state = empty();
  for (let number = 0; number < 50; number += 1) state = ask(state, QUESTION);
  assert.equal(state.exchanges.length, MAX_EXCHANGES);
  assert.equal(last(state).id, 50);
  const endless = event({ type: "chunk", content: "x".repeat(150_000) });
  assert.equal(last(hearAll(state, [endless, endless, endless])).answer.length, 200_000);
});

test("a clipped text never ends in half a character", () => {
  assert.equal(clip("ab🙂", 3), "ab");
  assert.equal(clip("ab🙂", 4), "ab🙂");
  assert.equal(clip("abc", 3), "abc");
});

test("link definitions are taken off the end only", () => {
  assert.equal(withoutDefinitions('A [1] b.\n\n[1]: /a "A"\n[2]: /b\n'), "A [1] b.");
  assert.equal(withoutDefinitions("[1]: in the text\nmore"), "[1]: in the text\nmore");
});
