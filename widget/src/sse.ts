/** Server-Sent Events as the HTML standard parses them; bytes in, events out, no I/O. */

export interface ServerSentEvent {
  id: string;
  event: string;
  data: string;
}

const LINE_END = /\r\n|\r|\n/;
const MAX_PENDING = 1 << 20;

/** Feed it the body in any pieces. An event not closed by a blank line is never given out. */
export class EventStreamParser {
  // A TextDecoder keeps split characters and drops one leading byte order mark by itself.
  readonly #decoder = new TextDecoder("utf-8");
  #rest = "";
  #endedWithReturn = false;
  #id = "";
  #event = "";
  #data: string[] = [];
  #size = 0;

  /** @throws RangeError when a line or an event grows beyond a million characters. */
  feed(bytes: Uint8Array): ServerSentEvent[] {
    const events: ServerSentEvent[] = [];
    for (const line of this.#lines(this.#decoder.decode(bytes, { stream: true }))) {
      const event = this.#take(line);
      if (event) events.push(event);
    }
    if (this.#rest.length + this.#size > MAX_PENDING) throw new RangeError("event too large");
    return events;
  }

  #lines(text: string): string[] {
    if (!text) return [];
    if (this.#endedWithReturn && text.startsWith("\n")) text = text.slice(1);
    this.#endedWithReturn = text.endsWith("\r");
    const lines = text.split(LINE_END);
    lines[0] = this.#rest + (lines[0] ?? "");
    this.#rest = lines.pop() ?? "";
    return lines;
  }

  #take(line: string): ServerSentEvent | undefined {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "data") {
      this.#data.push(value);
      this.#size += value.length + 1;
    } else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    return undefined;
  }

  #dispatch(): ServerSentEvent | undefined {
    const data = this.#data;
    const event = this.#event || "message";
    this.#data = [];
    this.#event = "";
    this.#size = 0;
    return data.length ? { id: this.#id, event, data: data.join("\n") } : undefined;
  }
}
