import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { referencePages } from '../../docs/reference/pages.ts';
import { documents, readDocument, rootFolder } from '../support/documents.ts';

/** Pages for people who check the program, each with its largest number of words: decision 111. */
const wordsOfEvidence: Readonly<Record<string, number>> = {
  'docs/security.md': 3300,
  'docs/privacy.md': 1700,
  'docs/reliability.md': 2100,
};

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

  it('pin each package to one version, with its hash', () => {
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(read('package.json'));
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
      expect(version, name).to.match(/^\d+\.\d+\.\d+(?:-[\w.]+)?$/);
    }
    const { '': _project, ...locked } = JSON.parse(read('package-lock.json')).packages;
    for (const [path, { integrity }] of Object.entries<{ integrity?: string }>(locked)) {
      expect(integrity, path).to.match(/^sha512-/);
    }
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

  it('name a test for each protection, and only tests that exist', () => {
    const table = /^\| what \|[^\n]*\n\|[-|]+\n((?:\|.*\n)+)/m.exec(read('docs/security.md'))?.[1] ?? '';
    const rows = table.trimEnd().split('\n');
    expect(rows.length, 'rows found').to.be.above(20);
    const missing: string[] = [];
    for (const row of rows) {
      const cell = row.split('|').at(-2) ?? '';
      const named = [...cell.matchAll(/`(test\/[\w./-]+\.test\.ts)`((?:,? "[^"]+")+)/g)];
      if (named.length === 0 && !cell.includes('not tested')) missing.push(`no test: ${row}`);
      for (const [, file = '', quoted = ''] of named) {
        const titles = existsSync(join(rootFolder, file)) ? titlesOf(read(file)) : [];
        const wrong = [...quoted.matchAll(/"([^"]+)"/g)].filter(([, title = '']) => !titles.includes(title));
        missing.push(...wrong.map(([title]) => `${file}: ${title}`));
      }
    }
    expect(missing).to.deep.equal([]);
  });

  it('keep to their number of words: 15,000, and some for each page of evidence', () => {
    const counted = documents.filter((it) => /^docs\/(?!decisions\/|reference\/)/.test(it));
    const wordsOf = (path: string) => readDocument(path).split(/\s+/).filter(Boolean).length;
    const all = counted.filter((it) => !(it in wordsOfEvidence)).reduce((sum, it) => sum + wordsOf(it), 0);
    expect(all, 'all other pages').to.be.within(10_000, 15_000);
    for (const [path, limit] of Object.entries(wordsOfEvidence).filter(([it]) => counted.includes(it))) {
      expect(wordsOf(path), path).to.be.at.most(limit);
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

/** The titles of a file's tests, with `…` for each value that a title contains. */
function titlesOf(source: string): string[] {
  return [...source.matchAll(/\bit\((['"`])((?:\\.|(?!\1)[^\\])*)\1/g)].map(([, , title = '']) =>
    title.replaceAll(/\$\{[^}]*\}/g, '…').replaceAll('\\', ''),
  );
}

/** The anchor GitHub generates for each heading. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
