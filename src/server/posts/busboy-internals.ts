import type { Busboy } from 'busboy';

/** The headers of a part by their names in lower case, one character a byte. */
export type PartHeaders = Record<string, string[] | undefined>;

interface HeaderParser {
  cb(headers: PartHeaders): void;
}

/**
 * Calls `prepare` with the headers of each part before busboy reads them, so that it can change them. Busboy decodes the text
 * of a part itself, but only from four character sets (its issue 380), and does not say which one a part names.
 *
 * It uses `_hparser`: null, or while headers are read the parser's only `HeaderParser`. Check it at each upgrade.
 */
export function prepareParts(parser: Busboy, prepare: (headers: PartHeaders) => void): void {
  let current: HeaderParser | null = null;
  let original: HeaderParser['cb'] | undefined;
  Object.defineProperty(parser, '_hparser', {
    get: () => current,
    set(next: HeaderParser | null) {
      current = next;
      if (next === null || original !== undefined) return;
      original = next.cb;
      next.cb = (headers) => {
        prepare(headers);
        original?.(headers);
      };
    },
  });
}
