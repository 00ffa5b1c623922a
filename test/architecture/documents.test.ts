import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { referencePages } from '../../docs/reference/pages.ts';
import { documents, readDocument, rootFolder } from '../support/documents.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

describe('documents', () => {
  for (const { path, text } of referencePages()) {
    it(`${path} matches what "npm run docs" generates`, () => {
      expect(read(path), 'run "npm run docs"').to.equal(text);
    });
  }

  it('give a purpose for every package and no others', () => {
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(read('package.json'));
    const rows = [...read('docs/dependencies.md').matchAll(/^- (`.+?`) for (.+?): (.+)$/gm)];
    const named = rows.flatMap(([, names = '']) => names.split(', ').map((it) => it.replaceAll('`', '')));
    expect(named).to.have.members(Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies }));
  });

  it('link only to files that exist', () => {
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

  it('link only to headings that exist', () => {
    const anchors = new Map(documents.map((it) => [it, headingsOf(readDocument(it))]));
    for (const document of documents) {
      for (const [, target = '', anchor = ''] of readDocument(document).matchAll(/\]\(([^)#:\s]*)#([^)\s]+)\)/g)) {
        const page = target === '' ? document : join(dirname(document), target);
        expect(anchors.get(page), `${document}: ${target}#${anchor}`).to.include(anchor);
      }
    }
  });
});

/** The anchor GitHub generates for each heading. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
