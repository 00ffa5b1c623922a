/** One encoding in which a text could appear, and its bytes in that encoding. */
interface Trace {
  how: string;
  bytes: Buffer;
  /** Whether upper and lower case are equal: then `bytes` is lower case. */
  anyCase: boolean;
}

/**
 * Searches for texts that must not appear: raw, in UTF-8 and UTF-16, as hex, base64 (at any offset), percent-encoded
 * and escaped for JSON, in any case.
 */
export class TraceSearch {
  readonly #traces: Trace[];

  constructor(texts: readonly string[]) {
    this.#traces = texts.flatMap(tracesOf);
  }

  /** The matches, each with the bytes around it; empty if there are none. */
  findIn(where: string, content: Buffer | string): string[] {
    const bytes = Buffer.isBuffer(content) ? content : Buffer.from(content, 'utf8');
    const small = Buffer.from(
      bytes.toString('latin1').replace(/[A-Z]+/g, (it) => it.toLowerCase()),
      'latin1',
    );
    return this.#traces.flatMap(({ how, bytes: trace, anyCase }) => {
      const at = (anyCase ? small : bytes).indexOf(trace);
      if (at < 0) return [];
      const around = bytes.subarray(Math.max(0, at - 60), at + trace.length + 60).toString('latin1');
      return [`${where}: ${how}, in ${JSON.stringify(around)}`];
    });
  }
}

function tracesOf(text: string): Trace[] {
  const utf8 = Buffer.from(text, 'utf8');
  const small = (how: string, bytes: Buffer): Trace => ({
    how: `${JSON.stringify(text)} ${how}`,
    bytes: Buffer.from(
      bytes.toString('latin1').replace(/[A-Z]+/g, (it) => it.toLowerCase()),
      'latin1',
    ),
    anyCase: true,
  });
  const utf16 = Buffer.from(text, 'utf16le');
  const escaped = [...text]
    .map((it) =>
      it > '~'
        ? JSON.stringify(it)
            .slice(1, -1)
            .replace(/[^\0-~]/g, toEscape)
        : it,
    )
    .join('');
  return [
    small('raw', utf8),
    small('in UTF-16LE', utf16),
    small('in UTF-16BE', Buffer.from(utf16).swap16()),
    small('as hex', Buffer.from(utf8.toString('hex'))),
    small('percent-encoded', Buffer.from(encodeURIComponent(text))),
    small('percent-encoded throughout', Buffer.from(utf8.toString('hex').replace(/../g, '%$&'))),
    small('escaped for JSON', Buffer.from(escaped)),
    ...[0, 1, 2].map((before) => ({
      how: `${JSON.stringify(text)} as base64`,
      bytes: Buffer.from(innerBase64(utf8, before)),
      anyCase: false,
    })),
  ];
}

function toEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** The base64 characters that encode only these bytes, if so many others (up to two) come before them. */
function innerBase64(bytes: Buffer, before: number): string {
  const whole = Buffer.concat([Buffer.alloc(before), bytes]);
  const first = before === 0 ? 0 : before + 1;
  return whole.toString('base64').slice(first, Math.floor((whole.length * 8) / 6));
}
