/** A request as a strict reader of RFC 9112 finds it. */
export interface StrictRequest {
  method: string;
  headers: Map<string, string[]>;
  body: string;
  /** `sure`: a server must answer it. `unsure`: it may also be refused as malformed. */
  trust: 'sure' | 'unsure';
  /** Whether the connection must end after its answer. */
  isLast: boolean;
}

export interface StrictReading {
  requests: StrictRequest[];
  /** Where it stopped: between requests, in a head, or in a body whose head was right. */
  stopped: 'at the end' | 'in a head' | 'in a body';
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const requestLine = new RegExp(`^(${token})( +)([\\x21-\\x7e]+)( +)HTTP/1\\.([01])$`);
const fieldLine = new RegExp(`^(${token}):[ \\t]*([\\t\\x20-\\x7e\\x80-\\xff]*?)[ \\t]*$`);
const chunkLine = new RegExp(`^([0-9a-fA-F]{1,8})((?:;${token}(?:=(?:${token}|"[^"\\\\\\x00-\\x1f\\x7f]*"))?)*)$`);
const target = /^(?:\/|http:\/\/)/;

/** Reads a connection's bytes up to the first that are no part of a request. @param bytes as latin1. */
export function readStrictly(bytes: string): StrictReading {
  const requests: StrictRequest[] = [];
  for (let at = 0; ; ) {
    const start = at;
    while (/[\r\n]/.test(bytes[at] ?? '')) at++;
    const end = bytes.indexOf('\r\n\r\n', at);
    if (at === bytes.length) return { requests, stopped: 'at the end' };
    const head = end < 0 ? undefined : readHead(bytes.slice(at, end));
    if (head === undefined) return { requests, stopped: 'in a head' };
    const body = readBody(bytes, end + 4, head.headers);
    if (body === undefined) return { requests, stopped: 'in a body' };
    const isUnsure = head.isUnsure || body.isUnsure || !/^(?:\r\n)?$/.test(bytes.slice(start, at));
    const [connection] = [words(head.headers, 'connection')];
    const isLast = connection.includes('close') || (head.minor === '0' && !connection.includes('keep-alive'));
    requests.push({ ...head, body: body.text, trust: isUnsure ? 'unsure' : 'sure', isLast });
    if (isLast) return { requests, stopped: 'at the end' };
    at = body.end;
  }
}

function readHead(text: string) {
  const [first = '', ...lines] = text.split('\r\n');
  const [, method = '', one = '', uri = '', two = '', minor = ''] = requestLine.exec(first) ?? [];
  if (method === '' || method === 'CONNECT' || uri.includes('#')) return undefined;
  const headers = new Map<string, string[]>();
  for (const line of lines) {
    const [, name, value = ''] = fieldLine.exec(line) ?? [];
    if (name === undefined) return undefined;
    headers.set(name.toLowerCase(), [...(headers.get(name.toLowerCase()) ?? []), value]);
  }
  const hosts = headers.get('host') ?? [];
  if (hosts.length === 0 && minor === '1') return undefined;
  const [codings, lengths] = [headers.get('transfer-encoding'), headers.get('content-length')];
  if (codings && (lengths || minor === '0' || codings.join().toLowerCase() !== 'chunked')) return undefined;
  if (lengths && !/^\d{1,15}$/.test(lengths.join())) return undefined;
  const isUnsure =
    one + two !== '  ' ||
    !/^(?:GET|POST|OPTIONS)$/.test(method) ||
    !target.test(uri) ||
    hosts.length > 1 ||
    // Limits of the server, and white space that it need not accept.
    text.length > 8000 ||
    lines.length > 90 ||
    /\r\n(?:connection|transfer-encoding|content-length):[^\r]*\t/i.test(text);
  return { method, headers, minor, isUnsure };
}

function readBody(bytes: string, start: number, headers: Map<string, string[]>) {
  if (!headers.has('transfer-encoding')) {
    const end = start + Number(headers.get('content-length')?.[0] ?? 0);
    return end > bytes.length ? undefined : { text: bytes.slice(start, end), end, isUnsure: false };
  }
  let text = '';
  let extensions = 0;
  for (let at = start; ; ) {
    const [line, next] = lineAt(bytes, at);
    const [, size = '', extension = ''] = chunkLine.exec(line ?? '') ?? [];
    // Extensions are ignored, so one of another shape does no harm.
    const [, otherSize = ''] = /^([0-9a-fA-F]{1,8});[\t\x20-\x7e\x80-\xff]*$/.exec(line ?? '') ?? [];
    if (size + otherSize === '') return undefined;
    extensions += size === '' ? 8001 : extension.length;
    const length = Number.parseInt(size || otherSize, 16);
    if (length === 0) {
      const trailers = readTrailers(bytes, next);
      return trailers && { text, ...trailers, isUnsure: trailers.isUnsure || extensions > 8000 };
    }
    text += bytes.slice(next, next + length);
    if (bytes.slice(next + length, next + length + 2) !== '\r\n') return undefined;
    at = next + length + 2;
  }
}

function readTrailers(bytes: string, start: number): { end: number; isUnsure: boolean } | undefined {
  let isUnsure = false;
  for (let at = start; ; ) {
    const [line, next] = lineAt(bytes, at);
    if (line === undefined) return undefined;
    if (line === '') return { end: next, isUnsure: isUnsure || next - start > 8000 };
    if (!fieldLine.test(line)) return undefined;
    // Fields about the framing may not be here.
    if (/^(?:content-length|transfer-encoding|connection|host|upgrade):/i.test(line)) isUnsure = true;
    at = next;
  }
}

function lineAt(bytes: string, at: number): [line: string | undefined, next: number] {
  const end = bytes.indexOf('\r\n', at);
  return end < 0 ? [undefined, bytes.length] : [bytes.slice(at, end), end + 2];
}

function words(headers: Map<string, string[]>, name: string): string[] {
  return (headers.get(name) ?? []).flatMap((it) => it.toLowerCase().split(',')).map((it) => it.trim());
}

export interface WireAnswer {
  status: number;
  closes: boolean;
  body: string;
}

/** The final answers on a connection. @throws if the bytes are anything else. */
export function readAnswers(text: string): WireAnswer[] {
  const answers: WireAnswer[] = [];
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\r\n\r\n', at);
    const [first = '', ...lines] = text.slice(at, end).split('\r\n');
    const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(first) ?? [];
    if (end < 0 || status === undefined) throw new Error(`no answer: ${JSON.stringify(text.slice(at, at + 100))}`);
    at = end + 4;
    if (status.startsWith('1')) continue;
    const field = (name: string) =>
      lines.find((it) => it.toLowerCase().startsWith(`${name}: `))?.slice(name.length + 2);
    const length = Number(field('content-length') ?? (/^(?:204|304)$/.test(status) ? 0 : Number.NaN));
    const body = text.slice(at, at + length);
    if (body.length !== length) throw new Error(`an answer is cut: ${first}`);
    answers.push({ status: Number(status), closes: field('connection') === 'close', body });
    at += length;
  }
  return answers;
}
