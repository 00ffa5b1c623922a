import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { referencePages } from '../../docs/reference/pages.ts';
import { documents, readDocument, rootFolder } from '../support/documents.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

describe('the documents', () => {
  for (const { path, text } of referencePages()) {
    it(`have ${path} as the program has it today`, () => {
      expect(read(path), 'run "npm run docs"').to.equal(text);
    });
  }

  it('say of every package what it is for, and name no other', () => {
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(read('package.json'));
    const rows = [...read('docs/dependencies.md').matchAll(/^- (`.+?`) for (.+?): (.+)$/gm)];
    const named = rows.flatMap(([, names = '']) => names.split(', ').map((it) => it.replaceAll('`', '')));
    expect(named).to.have.members(Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies }));
  });

  it('name only files that are there', () => {
    for (const document of documents) {
      const text = readDocument(document);
      for (const [, target = ''] of text.matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)) {
        expect(existsSync(join(rootFolder, dirname(document), target)), `${document}: ${target}`).to.equal(true);
      }
      for (const [, path = ''] of text.matchAll(/`((?:src|test|docs|bin|deploy|packaging)\/[\w./-]+)`/g)) {
        expect(existsSync(join(rootFolder, path)), `${document}: ${path}`).to.equal(true);
      }
    }
  });

  it('lead to headings that are there', () => {
    const anchors = new Map(documents.map((it) => [it, headingsOf(readDocument(it))]));
    for (const document of documents) {
      for (const [, target = '', anchor = ''] of readDocument(document).matchAll(/\]\(([^)#:\s]*)#([^)\s]+)\)/g)) {
        const page = target === '' ? document : join(dirname(document), target);
        expect(anchors.get(page), `${document}: ${target}#${anchor}`).to.include(anchor);
      }
    }
  });
});

/** As GitHub makes anchors of headings. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
