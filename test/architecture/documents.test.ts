import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { exitCodeOf } from '../../src/cli/exit-codes.ts';
import { createProgram } from '../../src/cli/program.ts';
import { Problem, type ProblemCode } from '../../src/problems.ts';
import { describeProblem } from '../../src/server/problem-details.ts';
import { variable, variableNames } from '../../src/variables.ts';
import { documents, readDocument, rootFolder } from '../support/documents.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const problemCodes = Object.keys(exitCodeOf) as ProblemCode[];

describe('the documents', () => {
  it('list every problem code with its status, and no other', () => {
    const rows = [...read('docs/api.md').matchAll(/^\| `([a-z-]+)` \| (\d{3}) \|/gm)].map(
      ([, code, status]) => `${code} ${status}`,
    );
    const real = problemCodes.map((code) => `${code} ${describeProblem(new Problem(code, 'x'), 'id').status}`);
    expect(rows).to.have.members(real);
  });

  it('list every variable with its meaning and example, and no other', () => {
    const rows = [...read('docs/operating.md').matchAll(/^\| `([A-Z_]+)`( ●)?( 🔒)? \| (.*?) \| .*? \| `(.*?)` \|$/gm)];
    expect(rows.map((row) => row[1])).to.deep.equal(variableNames);
    for (const [, name, production, secret, meaning, example] of rows) {
      const known = variable(name as (typeof variableNames)[number]);
      expect(
        { meaning, example, production: production !== undefined, secret: secret !== undefined },
        name,
      ).to.deep.equal({
        meaning: known.meaning,
        example: known.example,
        production: known.production === true,
        secret: known.secret === true,
      });
    }
  });

  it('have an .env.example with every variable, and no other', () => {
    const names = [...read('.env.example').matchAll(/^#([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name, value]);
    expect(names).to.deep.equal(variableNames.map((name) => [name, variable(name).example]));
  });

  it('list every command, and no other', () => {
    const stream = { write: () => true, columns: 80, isTTY: false };
    const program = createProgram({ stdout: stream, stderr: stream } as unknown as Parameters<typeof createProgram>[0]);
    const commandsOf = (parent: typeof program): string[] =>
      parent.commands.flatMap((it) =>
        it.commands.length > 0 ? commandsOf(it).map((name) => `${it.name()} ${name}`) : [it.name()],
      );
    const real = commandsOf(program).filter((it) => it !== 'help');
    const rows = [...read('docs/cli.md').matchAll(/^\| `ruffinweb ([a-z -]+?)(?: [[<].*)?` \|/gm)].map(
      ([, name]) => name,
    );
    expect(rows).to.have.members(real);
  });

  it('say of every package what it is for, and name no other', () => {
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(read('package.json'));
    const rows = [...read('docs/dependencies.md').matchAll(/^\| (`.+?`) \| (.+?) \| (.+?) \|$/gm)];
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
