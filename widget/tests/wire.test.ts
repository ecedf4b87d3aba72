import assert from "node:assert/strict";
import { test } from "node:test";
import { asksAgain, ours, refusal } from "../src/problems.ts";
import { readEvent } from "../src/wire.ts";

const read = (value: unknown): unknown => readEvent(JSON.stringify(value));

test("kinds this widget does not know, and things that are not events, are passed over", () => {
  for (const value of [{ type: "new" }, {}, [], null, 7, "text", { type: null }]) assert.equal(read(value), undefined);
});

test("what is not JSON is an error", () => {
  assert.throws(() => readEvent('{"type":"chunk",'), SyntaxError);
});

test("fields of the wrong kind become harmless ones", () => {
  assert.deepEqual(read({ type: "chunk", content: { a: 1 } }), { type: "chunk", content: "" });
  assert.deepEqual(read({ type: "sources", sources: [{ n: "1" }, null, { n: 2, title: 3, url: ["x"], breadcrumbs: "b" }] }), {
    type: "sources",
    sources: [{ n: 2, title: "", url: "", breadcrumbs: [] }],
  });
  assert.deepEqual(read({ type: "done", citations: ["1", 2, 2.5, null], answer: 1 }), {
    type: "done",
    sessionId: "",
    messageId: "",
    answered: true,
    citations: [2],
    answer: "",
  });
});

test("a wait is whole seconds, at most an hour", () => {
  for (const [given, expected] of [[1.2, 2], ["5", 5], [1e9, 3600], [-3, 0], ["soon", 0], [null, 0]]) {
    const error = read({ type: "error", code: "x", message: "m", retry_after: given }) as { retryAfter: number };
    assert.equal(error.retryAfter, expected);
  }
});

test("a refusal in the server's shape keeps its code, its sentence and its wait", () => {
  const body = JSON.stringify({ error: "e", code: "rate_limited", message: "Slow down.", retryable: true, retry_after: 12 });
  const { code, message, retryAfter } = refusal(429, body, "99");
  assert.deepEqual({ code, message, retryAfter }, { code: "rate_limited", message: "Slow down.", retryAfter: 12 });
  assert.equal(refusal(422, JSON.stringify({ code: "invalid_question", retryable: false }), null).retryable, false);
});

test("a proxy's page means that the server is waking, whatever its status says", () => {
  for (const status of [200, 502, 503, 504]) assert.equal(refusal(status, "<html>starting</html>", null).code, "waking");
  assert.equal(refusal(503, "<html>", "4").retryAfter, 4);
  assert.equal(refusal(429, "slow", "4").code, "rate_limited");
  assert.equal(refusal(404, "<html>", null).code, "refused");
  assert.equal(refusal(404, "<html>", null).retryable, false);
});

test("only a server that has not read the question is asked again without the reader, and not for ever", () => {
  assert.equal(asksAgain(ours("waking"), 1), true);
  assert.equal(asksAgain(ours("waking"), 12), false);
  assert.equal(asksAgain(ours("rate_limited", 5), 1), false);
  assert.equal(asksAgain(ours("unreachable"), 1), true);
  assert.equal(asksAgain(ours("unreachable"), 4), false);
  assert.equal(asksAgain(ours("cut"), 1), false);
});
