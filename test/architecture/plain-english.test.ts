import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { rootFolder } from '../support/documents.ts';

/** A gap between two words, which may be a line break in a comment. */
const gap = String.raw`(?:\s|\*|//|#)+`;

/** Dialect words. Say fix, again, "anyone who", "told about" and maintenance instead. */
const dialect = new RegExp(
  String.raw`\b(?:mend(?:s|ed|ing)?|anew|whoever|told${gap}of|(?:keep(?:s|ing)?|kept)${gap}house)\b`,
  'gi',
);

const parts = {
  src: /^src\/.*\.(?:ts|liquid|js|css)$/,
  test: /^test\/.*\.ts$/,
  docs: /^docs\/(?!decisions\/).*\.(?:md|ts)$/,
  'all other files': /^(?:(?:bench|deploy|bin|packaging)\/.*|README\.md|CHANGELOG\.md|SECURITY\.md|\.env\.example)$/,
};

/** Generated code, and the list of dialect words itself. */
const excluded = [/\/form\.min\.js$/, /^test\/architecture\/plain-english\.test\.ts$/];

/** Titles of `describe`, `it` and our own variants of them, which may take an array before the title. */
const titleCall =
  /(?<![.\w])(?:it(?:Shares)?|describe(?:InBrowser|With)?)\(\s*(?:\[[^\]]*\],\s*)?(['"`])((?:\\.|(?!\1)[^\\])*)\1/g;

const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  cwd: rootFolder,
  encoding: 'utf8',
})
  .split('\0')
  .filter((path) => !excluded.some((it) => it.test(path)) && existsSync(join(rootFolder, path)));

const titles = files.filter((path) => path.endsWith('.test.ts')).flatMap(titlesIn);

describe('plain English', () => {
  for (const [part, pattern] of Object.entries(parts)) {
    it(`uses no dialect words: ${part}`, () => {
      const own = files.filter((path) => pattern.test(path));
      expect(own).to.not.deep.equal([]);
      expect(own.flatMap(dialectIn)).to.deep.equal([]);
    });
  }

  it('keeps every test title within 80 characters', () => {
    const long = titles.filter((it) => it.length > 80);
    expect(long.map((it) => `${it.where}: ${it.length} characters: ${it.title}`)).to.deep.equal([]);
  });

  it('keeps the median test title within 60 characters', () => {
    expect(titles.length, 'titles found').to.be.greaterThan(1000);
    const lengths = titles.map((it) => it.length).toSorted((a, b) => a - b);
    expect(lengths[Math.floor(lengths.length / 2)]).to.be.at.most(60);
  });
});

function dialectIn(path: string): string[] {
  const text = path === 'CHANGELOG.md' ? newestRelease(read(path)) : read(path);
  return [...text.matchAll(dialect)].map(
    (it) => `${path}:${lineAt(text, it.index)}: ${it[0].replace(/[\s*/#]+/g, ' ')}`,
  );
}

function titlesIn(path: string): { where: string; title: string; length: number }[] {
  const text = read(path);
  return [...text.matchAll(titleCall)].map((it) => {
    const title = it[2] ?? '';
    // An expression in a template counts as five characters.
    const { length } = title.replace(/\$\{[^}]*\}/g, '12345').replace(/\\(.)/g, '$1');
    return { where: `${path}:${lineAt(text, it.index)}`, title, length };
  });
}

function read(path: string): string {
  return readFileSync(join(rootFolder, path), 'utf8');
}

/** The top of the changelog and its first release; older releases keep the words they were published with. */
function newestRelease(changelog: string): string {
  return changelog
    .split(/^(?=## )/m)
    .slice(0, 2)
    .join('');
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}
