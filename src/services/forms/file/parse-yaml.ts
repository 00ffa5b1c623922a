import { isAlias, isMap, isNode, isScalar, isSeq, type Node, parseDocument, visit } from 'yaml';

/** What is wrong, and where in the text. */
export interface Fault {
  offset: number;
  message: string;
}

/** Other syntax errors keep the parser's words. */
const plainWords: Readonly<Record<string, string>> = {
  BLOCK_AS_IMPLICIT_KEY: 'put a text that contains ": " in quotes',
  MULTIPLE_DOCS: 'a second document starts here: a file has one',
  NON_STRING_KEY: 'a key must be text',
  RESOURCE_EXHAUSTION: 'is nested too deeply',
};

/** Reads YAML 1.2 (core schema). Every key is text. `value` is only of use without faults. */
export function parseYaml(text: string) {
  const document = parseDocument(text, { prettyErrors: false, stringKeys: true, uniqueKeys: false, schema: 'core' });
  const faults: Fault[] = document.errors.map(({ pos, code, message }) => ({
    offset: pos[0],
    message: plainWords[code] ?? message,
  }));
  const refuse = (node: Node, message: string) => faults.push({ offset: node.range?.[0] ?? 0, message });
  visit(document, {
    Node(_, node) {
      const message = refusalOf(node);
      if (message !== undefined) refuse(node, message);
      // The parser's own check takes quadratic time.
      const seen = new Set<unknown>();
      for (const { key } of isMap(node) ? node.items : []) {
        if (!isScalar(key)) continue;
        if (seen.has(key.value)) refuse(key, `"${key.value}" is given twice`);
        seen.add(key.value);
      }
    },
  });

  /** Of a key or an entry of a list, or of the innermost part around it that exists. */
  const offsetOf = (path: readonly PropertyKey[]): number => {
    const [parent, step] = [document.getIn(path.slice(0, -1), true), path.at(-1)];
    const pair = isMap(parent) ? parent.items.find(({ key }) => isScalar(key) && key.value === step) : undefined;
    const node = isSeq(parent) ? parent.items[Number(step)] : pair?.key;
    if (path.length > 0) return isNode(node) && node.range ? node.range[0] : offsetOf(path.slice(0, -1));
    return document.contents?.range?.[0] ?? 0;
  };
  return { value: faults.length === 0 ? document.toJS() : undefined, faults, offsetOf };
}

function refusalOf(node: Node): string | undefined {
  if (isAlias(node)) return 'aliases such as *this are not allowed';
  if ('tag' in node && node.tag) return 'tags such as !this are not allowed';
  if (!isScalar(node) || typeof node.value !== 'string') return undefined;
  // Neither PostgreSQL nor JSON can store these, and the last one is no ordinary key of an object.
  const isStorable = node.value.isWellFormed() && !node.value.includes('\0') && node.value !== '__proto__';
  return isStorable ? undefined : 'contains characters that cannot be stored';
}
