import assert from "node:assert/strict";
import { test } from "node:test";
import { EventStreamParser, type ServerSentEvent } from "../src/sse.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function parse(...pieces: Uint8Array[]): ServerSentEvent[] {
  const parser = new EventStreamParser();
  return pieces.flatMap((piece) => parser.feed(piece));
}

const datas = (text: string): string[] => parse(bytes(text)).map(({ data }) => data);

// As the server sends it: comments, identifiers, text of one to four bytes a character.
const RECORDED = [
  "\uFEFF: ping",
  "",
  "id: 1",
  'data: {"type":"start","v":1,"session_id":"s","message_id":"m"}',
  "",
  "id: 2",
  'data: {"type":"chunk","content":"Ça va, 制御 🙂 [1]"}',
  "",
  ": still here",
  "",
  "event: note",
  "retry: 3000",
  "data: first line",
  "data:second line",
  "data",
  "",
  "id: 4",
  'data: {"type":"done","answer":"Ça va"}',
  "",
  "",
];

const EXPECTED = [
  { id: "1", event: "message", data: '{"type":"start","v":1,"session_id":"s","message_id":"m"}' },
  { id: "2", event: "message", data: '{"type":"chunk","content":"Ça va, 制御 🙂 [1]"}' },
  { id: "2", event: "note", data: "first line\nsecond line\n" },
  { id: "4", event: "message", data: '{"type":"done","answer":"Ça va"}' },
];

for (const [name, end] of Object.entries({ LF: "\n", CRLF: "\r\n", CR: "\r" })) {
  const stream = bytes(RECORDED.join(end));

  test(`${name}: a recorded stream, split in two at every byte`, () => {
    for (let at = 0; at <= stream.length; at += 1) {
      assert.deepEqual(parse(stream.subarray(0, at), stream.subarray(at)), EXPECTED, `split at ${at}`);
    }
  });

  test(`${name}: a recorded stream in pieces of every size`, () => {
    for (let size = 1; size < stream.length; size += 1) {
      const pieces = [];
      for (let at = 0; at < stream.length; at += size) pieces.push(stream.subarray(at, at + size));
      assert.deepEqual(parse(...pieces), EXPECTED, `pieces of ${size}`);
    }
  });

  test(`${name}: empty pieces anywhere change nothing`, () => {
    const nothing = new Uint8Array();
    const pieces = Array.from(stream, (_, at) => [nothing, stream.subarray(at, at + 1), nothing]).flat();
    assert.deepEqual(parse(...pieces), EXPECTED);
  });
}

test("line ends of every kind may be mixed", () => {
  assert.deepEqual(datas("data: a\r\ndata: b\rdata: c\n\n"), ["a\nb\nc"]);
  assert.deepEqual(datas("data: a\r\r\ndata: b\n\r\n"), ["a", "b"]);
});

test("one space after the colon belongs to the field, the rest to the value", () => {
  assert.deepEqual(datas("data:  two\n\ndata:none\n\n"), [" two", "none"]);
});

test("an event without data is not an event, one with an empty data line is", () => {
  assert.deepEqual(datas("event: x\n\ndata\n\n"), [""]);
});

test("an event that no blank line has closed is not given out", () => {
  assert.deepEqual(datas("data: whole\n\ndata: cut"), ["whole"]);
  assert.deepEqual(datas("data: whole\n\ndata: cut\n"), ["whole"]);
});

test("unknown fields, comments and identifiers holding a null are ignored", () => {
  assert.deepEqual(parse(bytes("id: 7\nfoo: bar\n: baz\ndata: x\n\nid: 8\0\ndata: y\n\n")), [
    { id: "7", event: "message", data: "x" },
    { id: "7", event: "message", data: "y" },
  ]);
});

test("only the first byte order mark is dropped", () => {
  assert.deepEqual(datas("\uFEFFdata: a\n\ndata: \uFEFFb\n\n"), ["a", "\uFEFFb"]);
});

test("bytes that are not UTF-8 become replacement characters", () => {
  const broken = new Uint8Array([...bytes("data: a"), 0xff, 0xc3, ...bytes("b\n\n")]);
  assert.deepEqual(parse(broken)[0]?.data, "a\uFFFD\uFFFDb");
});

test("a line or an event that never ends is refused", () => {
  const parser = new EventStreamParser();
  const megabyte = bytes("x".repeat(1 << 19));
  parser.feed(megabyte);
  assert.throws(() => {
    parser.feed(megabyte);
    parser.feed(megabyte);
  }, RangeError);
  const lines = new EventStreamParser();
  assert.throws(() => lines.feed(bytes("data: 0123456789\n".repeat(100_000))), RangeError);
});
