import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { exitCodeOf } from '../../src/cli/exit-codes.ts';
import { createProgram } from '../../src/cli/program.ts';
import { Problem, type ProblemCode } from '../../src/problems.ts';
import { describeProblem } from '../../src/server/problem-details.ts';
import { variable, variableNames } from '../../src/variables.ts';

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

  it('name only files that are there', () => {
    for (const document of ['README.md', 'docs/operating.md', 'docs/architecture.md', 'docs/api.md', 'docs/cli.md']) {
      for (const [, target = ''] of read(document).matchAll(/\]\(([^)#:]+)\)/g)) {
        const folder = document.includes('/') ? 'docs/' : '';
        expect(
          () => readFileSync(new URL(`../../${folder}${target}`, import.meta.url)),
          `${document}: ${target}`,
        ).to.not.throw(/ENOENT/);
      }
    }
  });
});
