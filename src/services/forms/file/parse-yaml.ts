import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';

/** Other syntax errors keep the parser's words. */
const plainWords: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'a second document starts here: a file has one',
  TAG_RESOLVE_FAILED: 'tags such as !text are not allowed',
};

/** Reads YAML 1.2 (core schema). `value` is undefined if it cannot be read at all. */
export function parseYaml(text: string) {
  const lineCounter = new LineCounter();
  // Our own check of keys finds `7` beside `'7'` too, and takes no quadratic time.
  const document = parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: false, schema: 'core' });
  const placeAt = (offset = 0) => {
    const { line, col } = lineCounter.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const syntax = [...document.errors, ...document.warnings];
  const faults = syntax.map((it) => ({ ...placeAt(it.pos[0]), message: plainWords[it.code] ?? it.message }));
  let isReadable = faults.length === 0;
  const refuse = (range: readonly number[] | null | undefined, message: string, isFatal = false) => {
    faults.push({ ...placeAt(range?.[0]), message });
    if (isFatal) isReadable = false;
  };
  visit(document, {
    Map(_, { items, range }) {
      const names = new Set<string>();
      for (const { key } of items) {
        const name = isScalar(key) ? String(key.value) : '';
        // YAML reads 007 as the number 7.
        const isText = isScalar(key) && (typeof key.value === 'string' || key.source === name);
        if (!isText) refuse(isScalar(key) ? key.range : range, 'a key must be text: put it in quotes', true);
        else if (names.has(name)) refuse(key.range, `"${name}" is given twice`);
        names.add(name);
      }
    },
    Scalar(_, { value: it, range }) {
      // Neither PostgreSQL nor JSON can store these.
      const isStorable = typeof it !== 'string' || (it.isWellFormed() && !it.includes('\0'));
      if (!isStorable) refuse(range, 'contains a character that cannot be stored', true);
    },
    Alias(_, alias) {
      if (!alias.resolve(document)) refuse(alias.range, `nothing before this is marked as &${alias.source}`, true);
    },
  });

  /** Of a key or an entry of a list, or of the innermost part around it that exists. */
  const placeOf = (path: readonly PropertyKey[]) => {
    let [node, offset]: [unknown, number | undefined] = [document.contents, document.contents?.range?.[0]];
    for (const step of path) {
      if (isAlias(node)) node = node.resolve(document);
      const pair = isMap(node) ? node.items.find(({ key }) => isScalar(key) && String(key.value) === step) : undefined;
      const next = isSeq(node) ? node.items[Number(step)] : pair?.key;
      if (next === undefined) break;
      offset = (next as { range?: [number] }).range?.[0] ?? offset;
      node = pair === undefined ? next : pair.value;
    }
    return placeAt(offset);
  };
  let value: unknown;
  try {
    if (isReadable) value = document.toJS({ maxAliasCount: 100 });
  } catch {
    refuse(document.contents?.range, 'uses aliases (*) too often');
  }
  return { value, faults, placeOf };
}
